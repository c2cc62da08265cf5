"""Pictures travel with their ids, as places or as bytes, through processes that know nothing of it."""

from __future__ import annotations

import hashlib
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from cirgen.backends.base import Request
from cirgen.executors.pictures import Travelled, Travelling, packing
from cirgen.images import Place, RunImages
from cirgen.run_folder import Run
from runs import make_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return make_run(tmp_path)


def images_of(run: Run) -> tuple[RunImages, str]:
    images = RunImages(run.catalog, run.store.root / "ingest")
    return images, images._ids[0].decode()


@pytest.mark.parametrize("by_value", [False, True])
def test_a_picture_opens_the_same_where_it_has_travelled_to(run: Run, by_value: bool) -> None:
    images, image_id = images_of(run)
    sent = pickle.loads(pickle.dumps(packing(images)(image_id, by_value)))
    assert sent == image_id
    assert hash(sent) == hash(image_id)
    assert (sent.data is not None) == by_value
    assert Travelled().open(sent).tobytes() == images.open(image_id).tobytes()


def test_a_request_that_brings_pictures_is_the_same_request(run: Run) -> None:
    images, image_id = images_of(run)
    request = Request("key", 0, "What is this?", (image_id,), 0.0, 1.0, 0, 8)
    sent = replace(request, image_ids=(packing(images)(image_id, True),))
    assert sent == request
    assert hash(sent) == hash(request)


def test_a_picture_that_is_not_where_it_should_be_is_an_error_that_names_the_place(run: Run) -> None:
    images, image_id = images_of(run)
    place = images.place(image_id)
    with pytest.raises(OSError, match="elsewhere"):
        Travelled().open(Travelling(image_id, place._replace(path="/elsewhere/a.png")))
    Path(place.path).write_bytes(b"another picture")
    with pytest.raises(OSError, match="changed since ingest"):
        Travelled().open(Travelling(image_id, place))
    with pytest.raises(OSError, match="no picture"):
        Travelled().open(image_id)


def test_pictures_of_a_reader_without_files_travel_without_loss(tmp_path: Path) -> None:
    picture = Image.radial_gradient("L").convert("RGB")

    class InMemory:
        def open(self, image_id: str) -> Image.Image:
            return picture

    assert Travelled().open(packing(InMemory())("a", False)).tobytes() == picture.tobytes()


def test_a_place_holds_a_whole_picture_of_a_larger_file(tmp_path: Path) -> None:
    data = b"some picture"
    (tmp_path / "many").write_bytes(b"x" * 10 + data + b"y" * 10)
    place = Place(str(tmp_path / "many"), 10, len(data))
    from cirgen.images import read_place

    assert read_place(place, hashlib.sha256(data).hexdigest()) == data
