"""CIRCO: average precision over all right images, recall of one, the reference in the ranking, the server's file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_benchmarks import (
    made_features,
    oracle_average_precision,
    oracle_places,
    oracle_rank,
    ranked_by,
    write_circo,
    write_json,
)

from cirgen.errors import UserError
from cirgen_benchmark.protocols.base import Features
from cirgen_benchmark.protocols.circo import CIRCO, IMAGE_INFO
from cirgen_benchmark.protocols.rankings import read_rankings

DEPTHS = (5, 10, 25, 50)


def rows_of(root: Path, split: str = "val") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((root / "annotations" / f"{split}.json").read_text())
    return found


def gallery_of(root: Path) -> list[str]:
    return [str(image["id"]) for image in json.loads((root / IMAGE_INFO).read_text())["images"]]


def oracle(root: Path, features: Features) -> list[dict[str, Any]]:
    """Rank every query in plain Python."""
    found, names = [], gallery_of(root)
    for row, query in zip(rows_of(root), features["queries"], strict=True):
        similar = ranked_by(features, "gallery", names, query)
        rights = [str(image) for image in row["gt_img_ids"]]
        places = oracle_places(similar, rights)
        averages = {k: oracle_average_precision(places, len(rights), k) for k in DEPTHS}
        found.append({"rank": oracle_rank(similar, str(row["target_img_id"])), "ap": averages, **row})
    return found


@pytest.mark.parametrize("seed", range(5))
def test_figures_are_those_of_a_count_by_hand(tmp_path: Path, seed: int) -> None:
    root = write_circo(tmp_path, queries=20, seed=seed)
    protocol = CIRCO(root)
    features = made_features(protocol, seed=seed)
    scores = protocol.score(features)
    expected = oracle(root, features)
    assert scores.queries["rank"].to_pylist() == [row["rank"] for row in expected]
    for k in DEPTHS:
        assert scores.metrics[f"circo.val.map@{k}"] == pytest.approx(np.mean([row["ap"][k] for row in expected]))
        hits = [row["rank"] <= k for row in expected]
        assert scores.metrics[f"circo.val.recall@{k}"] == pytest.approx(100 * np.mean(hits))
    aspects = {aspect for row in expected for aspect in row["semantic_aspects"]}
    for aspect in aspects:
        among = [row["ap"][10] for row in expected if aspect in row["semantic_aspects"]]
        assert scores.metrics[f"circo.val.map@10.{aspect}"] == pytest.approx(np.mean(among))
    assert len(scores.metrics) == 8 + len(aspects)


def test_the_reference_competes(tmp_path: Path) -> None:
    protocol = CIRCO(write_circo(tmp_path))
    part = protocol.parts[0]
    gallery = np.eye(len(part.gallery), dtype=np.float32)
    queries = 2 * gallery[part.references] + gallery[part.targets[:, 0]]
    assert set(protocol.score({"gallery": gallery, "queries": queries}).queries["rank"].to_pylist()) == {2}


@pytest.mark.parametrize("split", ["val", "test"])
def test_the_submission_is_what_the_server_takes(tmp_path: Path, split: Any) -> None:
    root = write_circo(tmp_path, split)
    protocol = CIRCO(root, split)
    features = made_features(protocol)
    (file,) = protocol.submissions(features)
    content = json.loads(file.text)
    assert file.name == f"circo.{split}.json"
    assert list(content) == [str(row["id"]) for row in rows_of(root, split)]
    for images, query in zip(content.values(), features["queries"], strict=True):
        similar = ranked_by(features, "gallery", gallery_of(root), query)
        assert images == [int(name) for name in sorted(similar, key=lambda n: (-similar[n], n))[:50]]


def test_rankings_need_no_list_of_cocos_images_and_give_the_figures_of_the_features(tmp_path: Path) -> None:
    root = write_circo(tmp_path)
    protocol = CIRCO(root)
    rng = np.random.default_rng(0)
    features = {
        "gallery": rng.normal(size=(70, 8)).astype(np.float32),
        "queries": rng.normal(size=(10, 8)).astype(np.float32),
    }
    (file,) = protocol.submissions(features)
    by_features = protocol.score(features).metrics
    rankings = read_rankings(file.write(tmp_path / "sub"))
    (root / IMAGE_INFO).unlink()
    assert CIRCO(root).score_rankings([rankings]).metrics == by_features
    with pytest.raises(UserError, match="image_info_unlabeled2017"):
        CIRCO(root).score(features)


def test_predictions_must_be_unique_and_at_least_fifty(tmp_path: Path) -> None:
    root = write_circo(tmp_path)
    (file,) = CIRCO(root).submissions(made_features(CIRCO(root)))
    content = json.loads(file.text)
    strange = {**content, "3": [1, *content["3"][1:]]}
    twice, short = {**content, "3": [content["3"][1], *content["3"][1:]]}, {**content, "3": content["3"][:49]}
    for wrong, message in (
        (strange, "rank an image from outside the gallery"),
        (twice, r"queries that name an image twice: 1 \(3\)"),
        (short, r"at least 50 images: 1 \(3\)"),
    ):
        with pytest.raises(UserError, match=message):
            CIRCO(root).score_rankings([read_rankings(write_json(tmp_path / "mine.json", wrong))])
    with pytest.raises(UserError, match="1 of 10 rows"):
        kept = {query: images for query, images in content.items() if query != "3"}
        CIRCO(root).score_rankings([read_rankings(write_json(tmp_path / "mine.json", kept))])


def test_a_right_image_that_is_missing_counts_no_more_and_marks_every_figure(tmp_path: Path) -> None:
    root = write_circo(tmp_path)
    protocol = CIRCO(root, allow_missing=True)
    part = protocol.parts[0]
    query, second = next((row, own[1]) for row, own in enumerate(part.targets) if own[1] >= 0)
    gallery = np.eye(len(part.gallery), dtype=np.float32)
    queries = gallery[part.targets[:, 0]]
    features = {"gallery": gallery.copy(), "queries": queries}
    features["gallery"][second] = 0
    scores = protocol.score(features)
    assert all(key.startswith("circo.val.partial.") for key in scores.metrics)
    rights = int((part.targets[query] >= 0).sum())
    found = scores.queries["map@10"].to_pylist()[query]
    assert found >= 100 / (rights - 1)
    with pytest.raises(UserError, match=rf"1 of 70 images of gallery \({part.gallery[second]}\)"):
        CIRCO(root).score(features)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("caption", "has two dogs"),
        ("shared_concept", "a dog in a park"),
        ("concept_and_caption", "a dog in a park, has two dogs"),
    ],
)
def test_queries_say_what_the_option_says(tmp_path: Path, text: Any, said: str) -> None:
    assert {query.text for query in CIRCO(write_circo(tmp_path), text=text).queries()["queries"]} == {said}


def test_an_image_that_the_copy_lacks_is_told(tmp_path: Path) -> None:
    root = write_circo(tmp_path)
    protocol = CIRCO(root)
    features = made_features(protocol)
    folder = root / "COCO2017_unlabeled" / "unlabeled2017"
    folder.mkdir()
    for name in gallery_of(root)[1:]:
        (folder / f"{int(name):012d}.jpg").touch()
    with pytest.raises(UserError, match="1 of 70 images of gallery"):
        CIRCO(root).score(features)


def test_rankings_are_one_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="give --rankings once"):
        CIRCO(write_circo(tmp_path)).score_rankings([])


def test_an_aspect_whose_queries_are_all_left_out_has_no_figure(tmp_path: Path) -> None:
    root = write_circo(tmp_path)
    rows = rows_of(root)
    for row in rows:
        row["semantic_aspects"] = ["negation"]
    rows[0]["semantic_aspects"] = ["viewpoint"]
    write_json(root / "annotations" / "val.json", rows)
    protocol = CIRCO(root, allow_missing=True)
    features = made_features(protocol)
    features["queries"][0] = 0
    metrics = protocol.score(features).metrics
    assert "circo.val.partial.map@10.negation" in metrics
    assert "circo.val.partial.map@10.viewpoint" not in metrics


@pytest.mark.parametrize("wrong", ["{:012d}", "{}.jpg", "-{}"])
def test_what_is_no_id_of_coco_is_refused_even_without_its_list(tmp_path: Path, wrong: str) -> None:
    protocol = CIRCO(write_circo(tmp_path))
    (file,) = protocol.submissions(made_features(protocol))
    lists = json.loads(file.text)
    lists["3"] = [wrong.format(image) for image in lists["3"]]
    (tmp_path / IMAGE_INFO).unlink()
    with pytest.raises(UserError, match=r"no id of COCO, a number without leading zeros: 1 \(3\)"):
        CIRCO(tmp_path).score_rankings([read_rankings(write_json(tmp_path / "mine.json", lists))])
