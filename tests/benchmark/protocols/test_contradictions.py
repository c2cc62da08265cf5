"""Annotation files that contradict themselves are refused, and say which rows do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_benchmarks import made_features, write_circo, write_cirr, write_fashioniq, write_genecis

from cirgen.errors import UserError
from cirgen_benchmark.protocols.circo import IMAGE_INFO
from cirgen_benchmark.protocols.registry import open_benchmark

WRITERS: dict[str, Any] = {
    "fashioniq": write_fashioniq,
    "cirr": write_cirr,
    "circo": write_circo,
    "genecis": write_genecis,
}
CIRR_ROWS, CIRR_IMAGES = "captions/cap.rc2.val.json", "image_splits/split.rc2.val.json"
DRESS_ROWS, DRESS_IMAGES = "captions/cap.dress.val.json", "image_splits/split.dress.val.json"
CIRCO_ROWS = "annotations/val.json"


def changed(**entries: Any) -> Callable[[Any], None]:
    """Change entries of the first row."""
    return lambda rows: rows[0].update(entries)


def targets_own_reference(rows: Any) -> None:
    rows[0]["target_hard"] = rows[0]["reference"]


def outside_its_set(rows: Any) -> None:
    rows[0]["img_set"]["members"].remove(rows[0]["target_hard"])


def without_right_image(rows: Any) -> None:
    rows[0]["gt_img_ids"].remove(rows[0]["target_img_id"])


def first_image_again(names: Any) -> None:
    names.append(names[0])


def first_picture_again(info: Any) -> None:
    info["images"].append(info["images"][0])


def empty(content: Any) -> None:
    content.clear()


CASES: list[tuple[str, str, Callable[[Any], None], str]] = [
    ("cirr", CIRR_ROWS, targets_own_reference, r"whose target is their reference.*: 1 \(12000\)"),
    ("cirr", CIRR_ROWS, outside_its_set, r"whose target is not in their set: 1 \(12000\)"),
    ("cirr", CIRR_ROWS, changed(target_hard=None), r"without a target beside others with one: 1 \(12000\)"),
    ("cirr", CIRR_ROWS, changed(pairid=12_007), r"gives several queries one id: 1 \(12007\)"),
    ("cirr", CIRR_ROWS, empty, "has no query; fetch it again"),
    ("cirr", CIRR_IMAGES, empty, "names no image; fetch it again"),
    ("cirr", CIRR_ROWS, changed(target_hard="\ud800"), "is no readable JSON"),
    ("fashioniq", DRESS_IMAGES, first_image_again, "names images more than once: 1"),
    ("fashioniq", DRESS_IMAGES, empty, "names no image"),
    ("fashioniq", DRESS_ROWS, empty, "has no query"),
    ("fashioniq", DRESS_ROWS, changed(captions=["a"]), "another layout at 0.captions"),
    ("fashioniq", DRESS_ROWS, changed(captions=["a", "b", "c"]), "another layout at 0.captions"),
    ("circo", CIRCO_ROWS, changed(target_img_id=None), r"without a target beside others with one: 1 \(0\)"),
    ("circo", CIRCO_ROWS, changed(gt_img_ids=[]), r"whose target is not among their right images: 1 \(0\)"),
    ("circo", CIRCO_ROWS, without_right_image, r"whose target is not among their right images: 1 \(0\)"),
    ("circo", CIRCO_ROWS, changed(id=1), r"gives several queries one id: 1 \(1\)"),
    ("circo", CIRCO_ROWS, empty, "has no query"),
    ("circo", IMAGE_INFO, first_picture_again, "names images more than once: 1"),
    ("genecis", "focus_object.json", empty, "has no query"),
    (
        "genecis",
        "focus_attribute.json",
        changed(target={"image_id": 1, "instance_bbox": [0, float("nan"), 1, 1]}),
        "another layout at 0.target.instance_bbox.1",
    ),
]


@pytest.mark.parametrize(("name", "file", "change", "message"), CASES)
def test_a_file_that_contradicts_itself_is_refused(
    tmp_path: Path, name: str, file: str, change: Callable[[Any], None], message: str
) -> None:
    path = WRITERS[name](tmp_path) / file
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=message) as caught:
        open_benchmark(name, root=tmp_path).galleries()
    assert path.name in str(caught.value)


def test_fashioniqs_target_may_be_its_reference_only_where_that_stays(tmp_path: Path) -> None:
    path = write_fashioniq(tmp_path) / DRESS_ROWS
    rows = json.loads(path.read_text())
    rows[0]["candidate"] = rows[0]["target"]
    path.write_text(json.dumps(rows))
    protocol = open_benchmark("fashioniq", root=tmp_path)
    assert protocol.score(made_features(protocol)).left_out == 0
    with pytest.raises(UserError, match=r"whose target is their reference.*: 1 \(0\)"):
        open_benchmark("fashioniq", root=tmp_path, reference="remove")


@pytest.mark.parametrize(
    ("name", "file", "change"),
    [
        ("fashioniq", DRESS_ROWS, changed(candidate="ghost")),
        ("cirr", CIRR_ROWS, changed(reference="ghost")),
        ("cirr", CIRR_ROWS, lambda rows: rows[0]["img_set"]["members"].append("ghost")),
    ],
)
def test_an_image_that_the_gallery_should_have_is_missed(
    tmp_path: Path, name: str, file: str, change: Callable[[Any], None]
) -> None:
    path = WRITERS[name](tmp_path) / file
    rows = json.loads(path.read_text())
    change(rows)
    path.write_text(json.dumps(rows))
    protocol = open_benchmark(name, root=tmp_path)
    features = made_features(protocol)
    with pytest.raises(UserError, match=r"Missing: 1 of \d+ images of gallery.* \(ghost\)"):
        protocol.score(features)
    partial = open_benchmark(name, root=tmp_path, allow_missing=True).score(features)
    assert all(".partial." in key for key in partial.metrics)


def test_a_member_that_a_set_names_twice_counts_once(tmp_path: Path) -> None:
    path = write_cirr(tmp_path) / CIRR_ROWS
    features = made_features(open_benchmark("cirr", root=tmp_path))
    once = open_benchmark("cirr", root=tmp_path).score(features)
    rows = json.loads(path.read_text())
    for row in rows:
        row["img_set"]["members"] *= 2
    path.write_text(json.dumps(rows))
    assert open_benchmark("cirr", root=tmp_path).score(features).queries.equals(once.queries)
