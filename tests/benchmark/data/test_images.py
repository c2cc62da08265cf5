"""Images under the names that a benchmark gives them, alone and together with those of a corpus."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tiny_models import tiny_images
from toy_training import ToyImages

from benchmark_copies import fashioniq_copy
from cirgen.errors import UserError
from cirgen.sources.fashioniq import FashionIQ, FashionIQSettings
from cirgen_benchmark.data.corpus import Corpus
from cirgen_benchmark.data.files import SourceImages
from cirgen_benchmark.data.union import UnionImages


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    tiny_images(1)[0].save(tmp_path / "picture.png")
    return fashioniq_copy(tmp_path / "fashioniq", [tmp_path / "picture.png"])


def val_images(root: Path, allow_missing: bool = False) -> SourceImages:
    source = FashionIQ(FashionIQSettings(root=str(root), split="val", allow_missing=True))
    return SourceImages.of(source, "fashioniq val", allow_missing)


def test_images_open_by_name_and_one_picture_under_two_names_has_one_content(copy: Path) -> None:
    one, other, twin, *_ = (path.stem for path in sorted((copy / "images").glob("*VA*.png")))
    shutil.copy(copy / "images" / f"{one}.png", copy / "images" / f"{twin}.png")
    images = val_images(copy)
    assert images.open(one).mode == "RGB"
    assert images.content(one) == images.content(twin) != images.content(other)
    assert images.group(one) == images.content(one)


def test_a_file_that_is_no_picture_is_named(copy: Path) -> None:
    broken = min((copy / "images").glob("*VA*.png"))
    broken.write_bytes(b"this is no picture")
    with pytest.raises(UserError, match=broken.name):
        val_images(copy).open(broken.stem)


def test_holes_stop_it_unless_they_are_allowed(copy: Path) -> None:
    gone = min((copy / "images").glob("*VA*.png"))
    gone.unlink()
    with pytest.raises(UserError, match=rf"fashioniq val has holes .*{gone.stem}.*allow_missing=true"):
        val_images(copy)
    assert gone.stem not in val_images(copy, allow_missing=True).ids


def test_a_union_has_every_image_once_and_the_first_part_wins(copy: Path, corpus_folder: Path) -> None:
    people, corpus = val_images(copy), Corpus(corpus_folder).images
    union = UnionImages(people, corpus, people)
    assert list(union.ids) == [*people.ids, *corpus.ids]
    for part in (people, corpus):
        name = part.ids[3]
        assert union.content(name) == part.content(name)
        assert union.group(name) == part.group(name)
        assert union.open(name).tobytes() == part.open(name).tobytes()


def test_an_id_that_two_parts_have_is_the_first_ones() -> None:
    first, second = ToyImages(3), ToyImages(5, groups={"image-1": "other", "image-4": "other"})
    union = UnionImages(first, second)
    assert union.group("image-1") == first.group("image-1")
    assert union.group("image-4") == "other"
    assert len(union.ids) == 5
