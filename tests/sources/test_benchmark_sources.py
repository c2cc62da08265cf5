"""FashionIQ and CIRR are taken as people have them, holes and all."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from cirgen.errors import UserError
from cirgen.sources.base import GivenPair, named_in
from cirgen.stages.ingest import ingest
from ingest_runs import catalog, make_run, names, png, source, stored

SHARED = Path(os.environ.get("CIRGEN_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
SPLITS = {"dress": ["A", "B", "C"], "shirt": ["C", "D"], "toptee": ["E"]}


def write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def fashioniq(root: Path) -> Path:
    for category, ids in SPLITS.items():
        write_json(root / "image_splits" / f"split.{category}.train.json", ids)
        rows = [{"target": ids[-1], "candidate": ids[0], "captions": ["is red", "is longer"]}]
        write_json(root / "captions" / f"cap.{category}.train.json", rows)
    (root / "images").mkdir()
    for number, name in enumerate("ABCDE"):
        (root / "images" / f"{name}{'.jpg' if number % 2 else '.png'}").write_bytes(png(number))
    return root


def test_a_fashioniq_name_in_two_categories_is_one_file_with_two_aliases(tmp_path: Path) -> None:
    root = fashioniq(tmp_path / "fiq")
    run = make_run(tmp_path / "run", {"kind": "fashioniq", "root": str(root)})
    ingest(run)
    assert len(stored(run)) == 5
    rows = {row["aliases"][0]["source_id"]: row for row in catalog(run)}
    assert [alias["category"] for alias in rows["C"]["aliases"]] == ["dress", "shirt"]
    assert rows["C"]["category"] == "dress"
    assert len(rows) == 5


def test_fashioniq_gives_its_pairs_by_image_name(tmp_path: Path) -> None:
    root = fashioniq(tmp_path / "fiq")
    pairs = list(source(kind="fashioniq", root=str(root)).pairs())
    assert pairs == [GivenPair("A", "C"), GivenPair("C", "D"), GivenPair("E", "E")]
    assert list(source(kind="fashioniq", root=str(root), categories=["shirt"]).pairs()) == [GivenPair("C", "D")]


def test_one_category_of_fashioniq_alone(tmp_path: Path) -> None:
    root = fashioniq(tmp_path / "fiq")
    assert names(kind="fashioniq", root=str(root), categories=["shirt"]) == ["C", "D"]


def test_images_that_no_human_triplet_names_can_be_left_out(tmp_path: Path) -> None:
    root = fashioniq(tmp_path / "fiq")
    assert names(kind="fashioniq", root=str(root), only_in_triplets=True) == ["A", "C", "C", "D", "E"]
    dresses = {"kind": "fashioniq", "root": str(root), "categories": ["dress"]}
    assert names(**dresses, only_in_triplets=True) == ["A", "C"]
    (root / "images" / "B.jpg").unlink()
    assert source(**dresses, only_in_triplets=True).remarks() == []


def test_missing_fashioniq_images_are_counted_and_refused_unless_allowed(tmp_path: Path) -> None:
    root = fashioniq(tmp_path / "fiq")
    (root / "images" / "C.png").unlink()
    (root / "images" / "E.png").unlink()
    with pytest.raises(UserError, match=r"3 of 6 images are missing, such as C, C, E .*images\.allow_missing"):
        names(kind="fashioniq", root=str(root))
    allowed = source(kind="fashioniq", root=str(root), allow_missing=True)
    assert [item.source_id for item in allowed.items()] == ["A", "B", "D"]
    assert allowed.count() == 3
    assert allowed.remarks() == ["3 of 6 images are missing, such as C, C, E."]
    run = make_run(tmp_path / "run", {"kind": "fashioniq", "root": str(root), "allow_missing": True})
    ingest(run)
    assert run.read_facts()["source_remarks"] == allowed.remarks()
    shutil.rmtree(root / "images")
    (root / "images").mkdir()
    with pytest.raises(UserError, match="None of the 6 images"):
        names(kind="fashioniq", root=str(root), allow_missing=True)


def test_withheld_targets_are_said_so(tmp_path: Path) -> None:
    root = fashioniq(tmp_path / "fiq")
    write_json(root / "captions" / "cap.dress.train.json", [{"candidate": "A", "captions": ["is red"]}])
    with pytest.raises(UserError, match="withholds its targets"):
        list(source(kind="fashioniq", root=str(root)).pairs())


@pytest.mark.parametrize("damage", ["image_splits/split.shirt.train.json", "images"])
def test_another_layout_is_named(tmp_path: Path, damage: str) -> None:
    root = fashioniq(tmp_path / "fiq")
    (root / damage).rename(tmp_path / "away")
    with pytest.raises(UserError, match=damage):
        names(kind="fashioniq", root=str(root))


LAYOUTS = [("", ""), ("cirr", ""), ("cirr", "cirr"), ("cirr", "img_raw"), ("", "images")]


@pytest.mark.parametrize(("annotations", "images"), LAYOUTS)
def test_cirr_is_found_with_and_without_its_levels(tmp_path: Path, annotations: str, images: str) -> None:
    paths = {f"train-{n}-img0": f"./train/{n}/train-{n}-img0.png" for n in range(4)}
    write_json(tmp_path / annotations / "image_splits" / "split.rc2.train.json", paths)
    rows = [{"reference": "train-1-img0", "target_hard": "train-2-img0", "caption": "two of them"}]
    write_json(tmp_path / annotations / "captions" / "cap.rc2.train.json", rows)
    for number, place in enumerate(paths.values()):
        (tmp_path / images / place).parent.mkdir(parents=True)
        (tmp_path / images / place).write_bytes(png(number))
    found = source(kind="cirr", root=str(tmp_path))
    assert [(item.source_id, item.read()) for item in found.items()] == [(f"train-{n}-img0", png(n)) for n in range(4)]
    assert list(found.pairs()) == [GivenPair("train-1-img0", "train-2-img0")]


def test_cirr_images_that_no_human_triplet_names_can_be_left_out(tmp_path: Path) -> None:
    paths = {f"t-{n}": f"./train/t-{n}.png" for n in range(4)}
    write_json(tmp_path / "image_splits" / "split.rc2.train.json", paths)
    rows = [{"reference": "t-2", "target_hard": "t-0", "caption": "two of them"}]
    write_json(tmp_path / "captions" / "cap.rc2.train.json", rows)
    (tmp_path / "train").mkdir()
    for number in range(4):
        (tmp_path / paths[f"t-{number}"]).write_bytes(png(number))
    assert names(kind="cirr", root=str(tmp_path), only_in_triplets=True) == ["t-0", "t-2"]


def test_missing_cirr_images_are_counted(tmp_path: Path) -> None:
    paths = {f"t-{n}": f"./train/t-{n}.png" for n in range(3)}
    write_json(tmp_path / "image_splits" / "split.rc2.train.json", paths)
    with pytest.raises(UserError, match="None of the 3 images"):
        names(kind="cirr", root=str(tmp_path))
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "t-1.png").write_bytes(png(1))
    with pytest.raises(UserError, match="2 of 3 images are missing, such as t-0, t-2"):
        names(kind="cirr", root=str(tmp_path))
    assert names(kind="cirr", root=str(tmp_path), allow_missing=True) == ["t-1"]


@pytest.mark.parametrize("content", [3, None, [["A"]], [None], {"A": 3}, ["A", 3]])
@pytest.mark.parametrize("kind", ["fashioniq", "cirr"])
def test_annotations_of_another_layout_end_in_one_sentence(tmp_path: Path, kind: str, content: Any) -> None:
    for name in ("split.dress.train.json", "split.rc2.train.json"):
        write_json(tmp_path / "image_splits" / name, content)
    (tmp_path / "images").mkdir()
    settings = {"categories": ["dress"]} if kind == "fashioniq" else {}
    with pytest.raises(UserError, match="has another layout"):
        names(kind=kind, root=str(tmp_path), **settings)


def test_annotations_that_name_nothing_are_said_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="name none"):
        names(kind="fashioniq", root=str(fashioniq(tmp_path / "fiq")), categories=[], allow_missing=True)


# The real annotation files

needs_annotations = pytest.mark.skipif(
    not (SHARED / "fashioniq").is_dir(), reason=f"no annotation files in {SHARED}; set CIRGEN_SHARED_DATA"
)


@needs_annotations
def test_the_real_fashioniq_files_name_what_the_field_says(tmp_path: Path) -> None:
    root = tmp_path / "fiq"
    shutil.copytree(SHARED / "fashioniq", root)
    (root / "images").mkdir()
    whole = source(kind="fashioniq", root=str(root), allow_missing=True)
    pairs = list(whole.pairs())
    assert len(pairs) == 18_000
    assert len(named_in(pairs)) == 25_136, "the images that SPN4CIR pairs"
    with pytest.raises(UserError, match=r"None of the 26016 images"):  # 880 of them are in two categories
        names(kind="fashioniq", root=str(root), only_in_triplets=True)
    both = _in_two_categories(root)
    chosen = sorted({name for pair in pairs[:10] for name in pair} | set(both[:3]))
    for number, name in enumerate(chosen):
        (root / "images" / f"{name}.jpg").write_bytes(png(number))
    run = make_run(tmp_path / "run", {"kind": "fashioniq", "root": str(root), "allow_missing": True})
    ingest(run)
    rows = catalog(run)
    assert len(rows) == len(chosen)
    doubled = {row["aliases"][0]["source_id"] for row in rows if len(row["aliases"]) > 1}
    assert set(both[:3]) <= doubled
    assert "of 46609 images are missing" in run.read_facts()["source_remarks"][0]
    with pytest.raises(UserError, match="of 46609 images are missing"):
        names(kind="fashioniq", root=str(root))


def _in_two_categories(root: Path) -> list[str]:
    dress, shirt = (
        set(json.loads((root / "image_splits" / f"split.{category}.train.json").read_text()))
        for category in ("dress", "shirt")
    )
    return sorted(dress & shirt)


@needs_annotations
@pytest.mark.parametrize("level", ["", "cirr"])
def test_the_real_cirr_files_lead_to_their_images(tmp_path: Path, level: str) -> None:
    shutil.copytree(SHARED / "cirr", tmp_path / level, dirs_exist_ok=True)
    places = json.loads((SHARED / "cirr" / "image_splits" / "split.rc2.val.json").read_text())
    pairs = list(source(kind="cirr", root=str(tmp_path), split="val").pairs())
    assert len(pairs) == 4_181
    chosen = sorted({name for pair in pairs[:10] for name in pair})
    for number, name in enumerate(chosen):
        (tmp_path / places[name]).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / places[name]).write_bytes(png(number))
    found = list(source(kind="cirr", root=str(tmp_path), split="val", allow_missing=True).items())
    assert [item.source_id for item in found] == chosen
    assert found[0].read() == png(0)
    with pytest.raises(UserError, match=f"{len(places) - len(chosen)} of 2297 images are missing"):
        names(kind="cirr", root=str(tmp_path), split="val")
    with pytest.raises(UserError, match="withholds its targets"):
        list(source(kind="cirr", root=str(tmp_path), split="test1").pairs())
