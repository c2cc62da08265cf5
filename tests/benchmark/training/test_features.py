"""Images are encoded once for each distinct picture, kept by content, and never read where anything has changed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from tiny_models import TINY_FAMILIES, tiny_images, tiny_retriever
from torch import Tensor
from toy_training import ToyImages, ToyRetriever

from cirgen.errors import UserError
from cirgen_benchmark.images import ImageCollection
from cirgen_benchmark.training import features
from cirgen_benchmark.training.features import EncodedImages, encode_collection
from cirgen_benchmark.training.pixels import PictureFiles, made_ahead


def straight(model: ToyRetriever, images: ToyImages, name: str) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        one, two = model.encode_images(model.preprocess(images.open(name))[None])
    return one[0], two[0]


def agrees(encoded: EncodedImages, model: ToyRetriever, images: ToyImages, names: list[str]) -> None:
    for name in names:
        reference, target = straight(model, images, name)
        torch.testing.assert_close(encoded.references_of([name])[0], reference)
        torch.testing.assert_close(encoded.targets_of([name])[0], target)


@pytest.mark.parametrize("on_disk", [True, False])
@pytest.mark.parametrize("vectors", [1, 3])
def test_every_image_id_has_the_encoding_of_its_picture(on_disk: bool, vectors: int, tmp_path: Path) -> None:
    images, model = ToyImages(9, twins={"image-7": "image-3"}), ToyRetriever(vectors=vectors)
    folder = tmp_path if on_disk else None
    encoded = encode_collection(model, images, images.ids, batch=4, folder=folder)
    assert len(encoded.contents) == len(encoded.targets) == 8
    assert encoded.rows["image-7"] == encoded.rows["image-3"]
    agrees(encoded, model, images, list(images.ids))


def test_a_picture_goes_through_the_model_once_and_never_again(tmp_path: Path) -> None:
    images, model = ToyImages(9, twins={"image-7": "image-3"}), ToyRetriever()
    encode_collection(model, images, [*images.ids, *images.ids], batch=4, folder=tmp_path)
    assert sorted(images.opened) == sorted(set(images.ids) - {"image-7"})
    shuffled = list(reversed(images.ids))
    again = encode_collection(model, images, shuffled, batch=2, folder=tmp_path)
    assert len(images.opened) == 8
    agrees(again, model, images, shuffled)


def test_the_cache_is_keyed_by_content_and_not_by_path(tmp_path: Path) -> None:
    images, model = ToyImages(5), ToyRetriever()
    encode_collection(model, images, images.ids, folder=tmp_path / "here")
    shutil.move(tmp_path / "here", tmp_path / "there")
    images.opened.clear()
    encode_collection(model, images, images.ids, folder=tmp_path / "there")
    assert not images.opened


def folders(path: Path) -> set[str]:
    return {child.name for child in path.iterdir()}


def test_other_weights_pictures_types_or_preprocessing_are_encoded_anew(tmp_path: Path) -> None:
    images, model = ToyImages(5), ToyRetriever()
    encode_collection(model, images, images.ids, folder=tmp_path)
    encode_collection(ToyRetriever(seed=1), images, images.ids, folder=tmp_path)
    encode_collection(model, images, images.ids[:4], folder=tmp_path)
    encode_collection(model, ToyImages(5, twins={"image-0": "image-1"}), images.ids, folder=tmp_path)
    encode_collection(model, images, images.ids, folder=tmp_path, dtype="float16")
    encode_collection(model, images, images.ids, folder=tmp_path, references=False)
    encode_collection(Brighter(), images, images.ids, folder=tmp_path)
    assert len(folders(tmp_path)) == 7


class Brighter(ToyRetriever):
    """Differs by its preprocessing alone."""

    __module__ = ToyRetriever.__module__
    __qualname__ = ToyRetriever.__qualname__

    def preprocess(self, image: Image.Image) -> Tensor:
        return super().preprocess(image) + 0.1


def test_what_stage_two_trains_does_not_change_the_key_once_it_is_prepared(tmp_path: Path) -> None:
    images, model = ToyImages(5), ToyRetriever()
    model.prepare_stage_two()
    before = encode_collection(model, images, images.ids, folder=tmp_path)
    with torch.no_grad():
        model.words.weight.add_(1)
    after = encode_collection(model, images, images.ids, folder=tmp_path)
    assert before.encoder == after.encoder
    assert len(folders(tmp_path)) == 1


class TinyImages(ImageCollection):
    """Pictures of several sizes."""

    def __init__(self) -> None:
        self._pictures = {f"picture-{number}": picture for number, picture in enumerate(tiny_images(6))}

    @property
    def ids(self) -> list[str]:
        return list(self._pictures)

    def open(self, image_id: str) -> Image.Image:
        return self._pictures[image_id]

    def content(self, image_id: str) -> str:
        return image_id


@pytest.mark.parametrize("family", TINY_FAMILIES)
def test_every_family_is_encoded_as_it_encodes_itself(family: str) -> None:
    model, images = tiny_retriever(family), TinyImages()
    model.prepare_stage_two()
    encoded = encode_collection(model, images, images.ids, batch=6)
    pixels = torch.stack([model.preprocess(images.open(name)) for name in images.ids])
    with torch.no_grad():
        torch.testing.assert_close(encoded.references_of(images.ids), model.encode_references(pixels))
        torch.testing.assert_close(encoded.targets_of(images.ids), model.encode_targets(pixels))


def test_float16_halves_the_bytes_and_is_given_back_as_float32(tmp_path: Path) -> None:
    images, model = ToyImages(5), ToyRetriever()
    exact = encode_collection(model, images, images.ids)
    half = encode_collection(model, images, images.ids, folder=tmp_path, dtype="float16")
    assert half.targets.nbytes * 2 == exact.targets.nbytes
    found = half.targets_of(images.ids)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, exact.targets_of(images.ids), rtol=1e-3, atol=1e-3)


@pytest.mark.filterwarnings("error")
def test_large_encodings_are_memory_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, model = ToyImages(5), ToyRetriever()
    monkeypatch.setattr(features, "IN_MEMORY_BYTES", 10)
    encoded = encode_collection(model, images, images.ids, folder=tmp_path)
    maps = Path("/proc/self/maps").read_text()
    assert "references.npy" in maps
    assert "targets.npy" in maps
    agrees(encoded, model, images, list(images.ids))


def test_a_kill_leaves_no_folder_that_is_taken_for_whole(tmp_path: Path) -> None:
    images, model = ToyImages(9), ToyRetriever()
    child = os.fork()
    if not child:  # a process of its own dies while it writes
        count = 0

        def dies(name: str) -> Image.Image:
            nonlocal count
            count += 1
            if count > 5:
                os.kill(os.getpid(), 9)
            return ToyImages.open(images, name)

        images.open = dies  # type: ignore[method-assign]
        encode_collection(model, images, images.ids, batch=2, folder=tmp_path)
    assert os.waitpid(child, 0)[1] == 9
    encoded = encode_collection(model, images, images.ids, batch=2, folder=tmp_path)
    agrees(encoded, model, images, list(images.ids))
    assert len(folders(tmp_path)) == 1


def test_images_that_are_not_encoded_are_an_error_that_counts() -> None:
    images, model = ToyImages(5), ToyRetriever()
    encoded = encode_collection(model, images, ["image-0"])
    with pytest.raises(UserError, match="2 images are not encoded, the first is 'image-1'"):
        encoded.rows_of(["image-0", "image-1", "image-2"])
    targets = encode_collection(model, images, ["image-0"], references=False)
    with pytest.raises(UserError, match="references=True"):
        targets.references_of(["image-0"])
    with pytest.raises(UserError, match="no images"):
        encode_collection(model, images, [])


def test_the_model_is_in_its_own_mode_afterwards() -> None:
    images, model = ToyImages(3), ToyRetriever(dropout=0.5)
    model.train()
    model.pixels.eval()
    encode_collection(model, images, images.ids)
    assert model.dropout.training
    assert not model.pixels.training


def test_two_processes_that_encode_the_same_at_once_do_not_disturb_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, model = ToyImages(5), ToyRetriever()
    flush = features.flush_to_disk

    def meanwhile(path: Path) -> None:
        monkeypatch.setattr(features, "flush_to_disk", flush)
        encode_collection(model, images, images.ids, folder=tmp_path)
        flush(path)

    monkeypatch.setattr(features, "flush_to_disk", meanwhile)
    encoded = encode_collection(model, images, images.ids, folder=tmp_path)
    agrees(encoded, model, images, list(images.ids))
    assert len(folders(tmp_path)) == 1


def test_workers_preprocess_the_same_pixels() -> None:
    images, model = ToyImages(7), ToyRetriever()
    files = PictureFiles(model, images, list(images.ids))
    batches = [[0, 1, 2], [6], [3, 3]]
    here, there = (list(made_ahead(files, batches, workers)) for workers in (0, 2))
    assert all(torch.equal(one, other) for one, other in zip(here, there, strict=True))
    assert torch.equal(here[1][0], model.preprocess(images.open("image-6")))
