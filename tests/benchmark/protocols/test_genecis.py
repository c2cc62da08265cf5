"""GeneCIS: a gallery for each query, four tasks, ties that do not favour the target, and the published crops."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_benchmarks import TASKS, made_features, oracle_rank, similarity, write_genecis
from PIL import Image

from cirgen.errors import UserError
from cirgen_benchmark.protocols.genecis import Entry, GeneCIS, crop

DISTRACTORS = 5


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_genecis(tmp_path, distractors=DISTRACTORS)


@pytest.mark.parametrize("shape", ["per query", "flat"])
@pytest.mark.parametrize("seed", range(4))
def test_ranks_and_figures_are_those_of_a_count_by_hand(root: Path, shape: str, seed: int) -> None:
    protocol = GeneCIS(root)
    features = made_features(protocol, seed=seed)
    given = dict(features)
    if shape == "per query":
        for task in TASKS:
            given[f"gallery.{task}"] = features[f"gallery.{task}"].reshape(8, DISTRACTORS + 1, -1)
    scores = protocol.score(given)
    expected = []
    for task in TASKS:
        rows = json.loads((root / f"{task}.json").read_text())
        galleries = features[f"gallery.{task}"].reshape(8, DISTRACTORS + 1, -1)
        for row, query, gallery in zip(rows, features[f"queries.{task}"], galleries, strict=True):
            copies = [str(place) for place, other in enumerate(row["gallery"], 1) if other == row["target"]]
            found = {str(place): similarity(query, image) for place, image in enumerate(gallery)}
            expected.append(oracle_rank(found, "0", copies))
    assert scores.queries["rank"].to_pylist() == expected
    for place, task in enumerate(TASKS):
        ranks = expected[8 * place : 8 * place + 8]
        for k in (1, 2, 3):
            assert scores.metrics[f"genecis.{task}.recall@{k}"] == pytest.approx(
                100 * np.mean([r <= k for r in ranks])
            )
    mean = np.mean([scores.metrics[f"genecis.{task}.recall@1"] for task in TASKS])
    assert scores.metrics["genecis.mean.recall@1"] == pytest.approx(mean)
    assert len(scores.metrics) == 13


def test_one_vector_for_all_finds_no_target_though_the_file_puts_it_first(root: Path) -> None:
    protocol = GeneCIS(root)
    same = {name: np.ones((len(ids), 3), np.float32) for name, ids in protocol.galleries().items()}
    same |= {name: np.ones((len(ids), 3), np.float32) for name, ids in protocol.query_ids().items()}
    assert set(protocol.score(same).metrics.values()) == {0.0}


def test_a_perfect_model_scores_100_though_one_target_is_listed_twice(root: Path) -> None:
    protocol = GeneCIS(root)
    rng = np.random.default_rng(0)
    names = dict.fromkeys(name for ids in protocol.galleries().values() for name in ids)
    vectors = dict(zip(names, np.eye(len(names), dtype=np.float32)[rng.permutation(len(names))], strict=True))
    features = {name: np.stack([vectors[one] for one in ids]) for name, ids in protocol.galleries().items()}
    for task in TASKS:
        features[f"queries.{task}"] = features[f"gallery.{task}"][:: DISTRACTORS + 1]
    assert set(protocol.score(features).metrics.values()) == {100.0}


def test_tasks_may_be_scored_alone_and_then_have_no_mean(tmp_path: Path) -> None:
    root = write_genecis(tmp_path / "genecis", ["focus_object", "change_object"]).parent
    protocol = GeneCIS(root, tasks=("focus_object", "change_object"))
    assert "genecis.mean.recall@1" not in protocol.score(made_features(protocol)).metrics
    with pytest.raises(UserError, match=r"focus_attribute\.json; .* name the tasks that you have: --task"):
        GeneCIS(root)


def test_galleries_of_several_lengths_are_scored_without_their_padding(root: Path) -> None:
    rows = json.loads((root / "focus_object.json").read_text())
    rows[1]["gallery"] = rows[1]["gallery"][:2]
    (root / "focus_object.json").write_text(json.dumps(rows))
    protocol = GeneCIS(root, tasks=("focus_object",))
    features = made_features(protocol)
    flat = features["gallery.focus_object"]
    padded = np.full((8, DISTRACTORS + 1, flat.shape[1]), np.nan, dtype=np.float32)
    padded[np.arange(DISTRACTORS + 1) < np.array([[len(row["gallery"]) + 1] for row in rows])] = flat
    scores = protocol.score({**features, "gallery.focus_object": padded})
    assert scores.queries["rank"].to_pylist() == protocol.score(features).queries["rank"].to_pylist()
    assert max(scores.queries["rank"].to_pylist()[1:2]) <= 3


def test_a_gallery_of_another_shape_is_refused(root: Path) -> None:
    protocol = GeneCIS(root)
    features = made_features(protocol)
    features["gallery.focus_object"] = features["gallery.focus_object"][:-1]
    with pytest.raises(
        UserError, match=r"it must be \[8, 6, d\], the target's row first in each gallery, or \[48, d\]"
    ):
        protocol.score(features)
    del features["gallery.focus_object"]
    with pytest.raises(UserError, match=r"no tensor 'gallery\.focus_object'"):
        protocol.score(features)


def test_holes_are_told_or_mark_every_figure(root: Path) -> None:
    protocol = GeneCIS(root)
    features = made_features(protocol)
    asked = json.loads((root / "change_object.json").read_text())
    names = protocol.galleries()["gallery.change_object"]
    lost = str(asked[3]["target"]["val_image_id"])
    features["gallery.change_object"][[name == lost for name in names]] = 0
    targets = sum(str(row["target"]["val_image_id"]) == lost for row in asked)
    with pytest.raises(
        UserError, match=rf"images of gallery\.change_object \({lost}\), .* the targets of {targets} of 8 "
    ):
        protocol.score(features)
    scores = GeneCIS(root, allow_missing=True).score(features)
    assert all(key.startswith("genecis.partial.") for key in scores.metrics)
    ranks = [row["rank"] for row in scores.queries.to_pylist() if row["part"] == "change_object"]
    assert [rank is None for rank in ranks] == [str(row["target"]["val_image_id"]) == lost for row in asked]


def test_an_image_that_the_copy_lacks_is_told(root: Path) -> None:
    protocol = GeneCIS(root)
    features = made_features(protocol)
    (root / "val2017").mkdir()
    for number in range(1, 20):
        (root / "val2017" / f"{1_000 + number:012d}.jpg").touch()
    with pytest.raises(UserError, match=r"images of gallery\.focus_object \(1000\)"):
        protocol.score(features)


def test_every_id_of_a_gallery_or_a_reference_says_what_to_encode(root: Path) -> None:
    protocol = GeneCIS(root)
    ids = {name for names in protocol.galleries().values() for name in names}
    ids |= {query.reference for queries in protocol.queries().values() for query in queries}
    assert ids == set(protocol.entries)
    assert all(protocol.entries[name].name == name for name in ids)
    assert Entry(2_003, (1.0, 4.5, 30.0, 21.0)).name == "2003:1,4.5,30,21"
    assert Entry(153_527).file_name == "000000153527.jpg"
    assert Entry(2_003, (1, 2, 3, 4)).file_name == "2003.jpg"


def test_a_crop_grows_to_the_left_and_above_and_is_padded_with_black() -> None:
    picture = Image.new("RGB", (100, 80), "white")
    found = crop(picture, (40, 50, 20, 10))  # from (26, 43) to (60, 60): 34 x 17
    assert found.size == (34, 34)
    pixels = np.asarray(found)[:, :, 0]
    assert (pixels[8:25] == 255).all()
    assert not pixels[:8].any()
    assert not pixels[25:].any()


def test_what_the_edge_cuts_off_is_made_up_on_the_other_side() -> None:
    picture = Image.new("RGB", (100, 80), "white")
    assert crop(picture, (0, 0, 40, 40)).size == (68, 68)
    assert crop(picture, (90, 70, 10, 10)).size == (17, 17)


@given(*(st.floats(0, 90) for _ in range(2)), *(st.floats(1, 200) for _ in range(2)))
def test_a_crop_is_a_square_within_the_picture(x: float, y: float, width: float, height: float) -> None:
    found = crop(Image.new("RGB", (100, 100), "white"), (x, y, width, height))
    assert found.width == found.height
    assert 1 <= found.width <= 100
