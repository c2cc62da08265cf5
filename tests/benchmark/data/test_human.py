"""Human triplets of FashionIQ and CIRR, as SPN4CIR's released code trains on them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from made_benchmarks import CATEGORIES, write_json
from tiny_models import tiny_images

import cirgen
from benchmark_copies import cirr_copy, fashioniq_copy
from cirgen.errors import UserError
from cirgen_benchmark.data.human import cirr_triplets, fashioniq_triplets, joined_captions

DATA = Path(cirgen.__file__).parents[2] / "shared" / "data"


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    (tmp_path / "pictures").mkdir()
    paths = [tmp_path / "pictures" / f"{number}.png" for number in range(13)]
    for path, image in zip(paths, tiny_images(len(paths)), strict=True):
        image.save(path)
    return paths


@pytest.fixture
def fashioniq(tmp_path: Path, pictures: list[Path]) -> Path:
    return fashioniq_copy(tmp_path / "fashioniq", pictures)


@pytest.fixture
def cirr(tmp_path: Path, pictures: list[Path]) -> Path:
    return cirr_copy(tmp_path / "cirr", pictures)


def captions_file(root: Path, category: str) -> Path:
    return root / "captions" / f"cap.{category}.train.json"


def test_a_fashioniq_triplet_has_both_orders_of_its_captions_and_each_alone(fashioniq: Path) -> None:
    path = captions_file(fashioniq, "dress")
    (row, *others) = json.loads(path.read_text())
    write_json(path, [{**row, "captions": [" is Red. ", "has a longer Hem,"]}, *others])
    first = fashioniq_triplets(fashioniq).triplets[0]
    assert first.texts == ("is Red and has a longer Hem", "has a longer Hem and is Red", "is Red", "has a longer Hem")
    assert first.origin == "human"


def test_triplets_of_all_categories_are_one_set_in_the_order_of_the_files(fashioniq: Path) -> None:
    people = fashioniq_triplets(fashioniq)
    rows = [row for category in CATEGORIES for row in json.loads(captions_file(fashioniq, category).read_text())]
    assert [(t.reference, t.target) for t in people.triplets] == [(row["candidate"], row["target"]) for row in rows]


def test_the_images_of_people_are_those_of_the_training_split_alone(fashioniq: Path, cirr: Path) -> None:
    for people, folder, split in (
        (fashioniq_triplets(fashioniq), fashioniq, "split.*.train.json"),
        (cirr_triplets(cirr), cirr / "cirr", "split.rc2.train.json"),
    ):
        listed = [name for path in (folder / "image_splits").glob(split) for name in json.loads(path.read_text())]
        assert sorted(people.images.ids) == sorted(listed)


def test_a_cirr_triplet_is_its_hard_target_and_the_caption_as_it_is(cirr: Path) -> None:
    rows = json.loads((cirr / "cirr" / "captions" / "cap.rc2.train.json").read_text())
    assert [(t.reference, t.target, t.texts) for t in cirr_triplets(cirr).triplets] == [
        (row["reference"], row["target_hard"], (row["caption"],)) for row in rows
    ]


def test_missing_images_stop_it_unless_they_are_allowed_which_leaves_triplets_out(fashioniq: Path) -> None:
    whole = fashioniq_triplets(fashioniq)
    gone = whole.triplets[1].reference
    (fashioniq / "images" / f"{gone}.png").unlink()
    with pytest.raises(UserError, match=rf"1 of 39 .*{gone}.*allow_missing"):
        fashioniq_triplets(fashioniq)
    rest = fashioniq_triplets(fashioniq, allow_missing=True)
    assert rest.left_out == 2  # as a reference and as a target
    assert rest.left_out + len(rest.triplets) == len(whole.triplets)
    assert all(gone not in (triplet.reference, triplet.target) for triplet in rest.triplets)


def test_a_copy_without_any_image_is_refused_even_where_holes_are_allowed(cirr: Path) -> None:
    for path in (cirr / "train").rglob("*.png"):
        path.unlink()
    with pytest.raises(UserError, match="No image of cirr train was found"):
        cirr_triplets(cirr, allow_missing=True)


def test_a_triplet_whose_image_no_split_lists_is_told(fashioniq: Path) -> None:
    path = captions_file(fashioniq, "dress")
    (row, *others) = json.loads(path.read_text())
    write_json(path, [{**row, "candidate": "B000"}, *others])
    with pytest.raises(UserError, match=r"1 of 36 training triplets .* B000 -> "):
        fashioniq_triplets(fashioniq)


def test_a_folder_in_another_layout_is_refused(tmp_path: Path) -> None:
    for read in (fashioniq_triplets, cirr_triplets):
        with pytest.raises(UserError):
            read(tmp_path)


def real_captions() -> Iterator[list[str]]:
    for category in CATEGORIES:
        path = DATA / "fashioniq" / "captions" / f"cap.{category}.train.json"
        if not path.is_file():
            pytest.skip(f"FashionIQ's annotations are not at {path}; made ones are read elsewhere")
        yield from (row["captions"] for row in json.loads(path.read_text()))


def test_the_real_captions_give_four_texts_each() -> None:
    texts = [joined_captions(captions) for captions in real_captions()]
    assert len(texts) == 18_000
    for both, swapped, first, second in texts:
        assert both == f"{first} and {second}"
        assert swapped == f"{second} and {first}"
        assert not any(text[:1] in ".?, " or text[-1:] in ".?, " for text in (first, second) if text)


def test_the_real_annotations_are_read_with_the_images_that_there_are(tmp_path: Path) -> None:
    """Of a copy with three images of each category: as people have it whose links are dead."""
    pairs = []
    for category in CATEGORIES:
        real = DATA / "fashioniq" / "captions" / f"cap.{category}.train.json"
        if not real.is_file():
            pytest.skip(f"FashionIQ's annotations are not at {real}; made ones are read elsewhere")
        row = json.loads(real.read_text())[0]
        pairs.append((row["candidate"], row["target"]))
    for folder in ("captions", "image_splits"):
        (tmp_path / folder).symlink_to(DATA / "fashioniq" / folder)
    (tmp_path / "images").mkdir()
    for name in {name for pair in pairs for name in pair}:
        (tmp_path / "images" / f"{name}.jpg").write_bytes(b"")
    people = fashioniq_triplets(tmp_path, allow_missing=True)
    assert set(pairs) <= {(triplet.reference, triplet.target) for triplet in people.triplets}
    assert people.left_out + len(people.triplets) == 18_000
