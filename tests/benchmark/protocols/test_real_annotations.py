"""The real annotation files, where they lie beside the checkout: counts, layouts, and figures of made features."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_benchmarks import write_json
from numpy.typing import NDArray

import cirgen
from cirgen_benchmark.protocols.base import Protocol
from cirgen_benchmark.protocols.circo import IMAGE_INFO
from cirgen_benchmark.protocols.cirr import CIRR
from cirgen_benchmark.protocols.parts import GalleryProtocol
from cirgen_benchmark.protocols.rankings import read_rankings
from cirgen_benchmark.protocols.registry import open_benchmark

DATA = Path(cirgen.__file__).parents[2] / "shared" / "data"
OBJECT_TASKS = ("focus_object", "change_object")


def folder(name: str) -> Path:
    if not (DATA / name).is_dir():
        pytest.skip(f"the annotation files of {name} are not in {DATA / name}; made ones are scored elsewhere")
    return DATA / name


def unit(vectors: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def random_features(protocol: Protocol, dimensions: int = 16) -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng(0)
    sizes = {name: len(ids) for name, ids in {**protocol.galleries(), **protocol.query_ids()}.items()}
    return {name: unit(rng.normal(size=(size, dimensions))) for name, size in sizes.items()}


def perfect_features(protocol: GalleryProtocol, dimensions: int = 64) -> dict[str, NDArray[np.float32]]:
    features = random_features(protocol, dimensions)
    for part in protocol.parts:
        features[part.query_tensor] = features[part.gallery_tensor][part.targets[:, 0]]
    return features


def chance(k: int, gallery: int) -> float:
    return 100 * k / gallery


def sizes(protocol: Protocol) -> dict[str, int]:
    return {name: len(ids) for name, ids in {**protocol.galleries(), **protocol.query_ids()}.items()}


def test_fashioniq_val_has_the_published_sizes() -> None:
    protocol = open_benchmark("fashioniq", root=folder("fashioniq"))
    assert sizes(protocol) == {
        "gallery.dress": 3_817, "gallery.shirt": 6_346, "gallery.toptee": 5_373,
        "queries.dress": 2_017, "queries.shirt": 2_038, "queries.toptee": 1_961,
    }  # fmt: skip
    assert protocol.queries()["queries.dress"][0].text == "is shiny and silver with shorter sleeves and fit and flare"


def test_fashioniqs_union_gallery_has_the_published_sizes_and_a_perfect_model_scores_100() -> None:
    protocol = open_benchmark("fashioniq", root=folder("fashioniq"), gallery="val_union")
    assert isinstance(protocol, GalleryProtocol)
    assert [int(part.competing.sum()) for part in protocol.parts] == [2_628, 3_089, 2_902]
    assert set(protocol.score(perfect_features(protocol)).metrics.values()) == {100.0}


def test_cirr_val_has_the_published_sizes_and_sets_of_six() -> None:
    protocol = CIRR(folder("cirr"))
    assert sizes(protocol) == {"gallery": 2_297, "queries": 4_181}
    assert protocol._subsets.shape == (4_181, 5)
    assert (protocol._subsets >= 0).all()
    assert set(protocol.score(perfect_features(protocol)).metrics.values()) == {100.0}


def test_random_features_score_by_chance() -> None:
    protocol = CIRR(folder("cirr"))
    metrics = protocol.score(random_features(protocol)).metrics
    assert metrics["cirr.val.recall@50"] == pytest.approx(chance(50, 2_296), abs=1)
    assert metrics["cirr.val.recall_subset@1"] == pytest.approx(chance(1, 5), abs=3)


def test_cirr_test1_makes_both_files_for_the_server(tmp_path: Path) -> None:
    protocol = CIRR(folder("cirr"), "test1")
    assert sizes(protocol) == {"gallery": 2_315, "queries": 4_148}
    for file, length in zip(protocol.submissions(random_features(protocol)), (50, 3), strict=True):
        path = file.write(tmp_path)
        content = json.loads(path.read_text())
        assert path.stat().st_size < 5_000_000
        assert len(content) == 4_150  # as many keys as the server's own example
        rows = json.loads((DATA / "cirr" / "captions" / "cap.rc2.test1.json").read_text())
        for row in rows:
            images = content[str(row["pairid"])]
            assert (len(images), len(set(images))) == (length, length)
            assert row["reference"] not in images


def circo_with_images(folder: Path, copy: Path, ids: Sequence[int]) -> Path:
    (copy / "annotations").symlink_to(folder / "annotations")
    images = [{"id": image, "file_name": f"{image:012d}.jpg"} for image in ids]
    write_json(copy / IMAGE_INFO, {"images": images})
    return copy


def test_circo_val_with_a_made_gallery_around_its_images(tmp_path: Path) -> None:
    rows = json.loads((folder("circo") / "annotations" / "val.json").read_text())
    named = {image for row in rows for image in (row["reference_img_id"], *row["gt_img_ids"])}
    root = circo_with_images(DATA / "circo", tmp_path, [*sorted(named), *range(600_000, 601_000)])
    protocol = open_benchmark("circo", root=root)
    assert isinstance(protocol, GalleryProtocol)
    assert sizes(protocol)["queries"] == 220
    scores = protocol.score(perfect_features(protocol))
    assert scores.metrics["circo.val.recall@5"] == 100
    assert len([key for key in scores.metrics if key.startswith("circo.val.map@10.")]) == 9
    (file,) = protocol.submissions(random_features(protocol))
    rankings = read_rankings(file.write(tmp_path / "sub"))
    by_rankings = protocol.score_rankings([rankings]).metrics
    assert by_rankings == protocol.score(random_features(protocol)).metrics


def test_a_perfect_ranking_of_circo_scores_100(tmp_path: Path) -> None:
    rows = json.loads((folder("circo") / "annotations" / "val.json").read_text())
    filler = range(700_000, 700_050)
    lists = {str(row["id"]): [*row["gt_img_ids"], *filler][:50] for row in rows}
    rankings = read_rankings(write_json(tmp_path / "mine.json", lists))
    metrics = open_benchmark("circo", root=DATA / "circo").score_rankings([rankings]).metrics
    assert {round(value, 9) for value in metrics.values()} == {100.0}


def test_circo_test_withholds_its_targets() -> None:
    protocol = open_benchmark("circo", "test", folder("circo"))
    assert protocol.withheld


def test_genecis_object_tasks_have_galleries_of_fifteen_and_score_by_chance() -> None:
    protocol = open_benchmark("genecis", root=folder("genecis"), tasks=OBJECT_TASKS)
    found = sizes(protocol)
    for task in OBJECT_TASKS:
        assert (found[f"queries.{task}"], found[f"gallery.{task}"]) == (1_960, 15 * 1_960)
    metrics = protocol.score(random_features(protocol)).metrics
    for task in OBJECT_TASKS:
        assert metrics[f"genecis.{task}.recall@1"] == pytest.approx(chance(1, 15), abs=2)


def test_the_one_target_of_genecis_that_is_listed_twice_can_be_found() -> None:
    protocol = open_benchmark("genecis", root=folder("genecis"), tasks=("change_object",))
    names = protocol.galleries()["gallery.change_object"]
    vectors = dict(zip(dict.fromkeys(names), unit(np.random.default_rng(0).normal(size=(len(set(names)), 64)))))  # noqa: B905
    gallery = np.stack([vectors[name] for name in names])
    scores = protocol.score({"gallery.change_object": gallery, "queries.change_object": gallery[::15]})
    assert set(scores.metrics.values()) == {100.0}
