"""FashionIQ val: both galleries, the reference kept or removed, and texts joined as asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from made_benchmarks import CATEGORIES, made_features, oracle_rank, ranked_by, write_fashioniq

from cirgen.errors import UserError
from cirgen_benchmark.protocols.base import Features, Query
from cirgen_benchmark.protocols.fashioniq import FashionIQ, joined

Gallery = Literal["original", "val_union"]
Reference = Literal["keep", "remove"]


def oracle(root: Path, features: Features, gallery: Gallery, reference: Reference) -> list[int]:
    """Rank every query from the files, in plain Python."""
    found = []
    for category in CATEGORIES:
        rows = json.loads((root / "captions" / f"cap.{category}.val.json").read_text())
        names = json.loads((root / "image_splits" / f"split.{category}.val.json").read_text())
        union = {row[side] for row in rows for side in ("candidate", "target")}
        for row, query in zip(rows, features[f"queries.{category}"], strict=True):
            similar = ranked_by(features, f"gallery.{category}", names, query)
            without = [name for name in names if gallery == "val_union" and name not in union]
            without += [row["candidate"]] if reference == "remove" else []
            found.append(oracle_rank(similar, row["target"], without))
    return found


@pytest.mark.parametrize("reference", ["keep", "remove"])
@pytest.mark.parametrize("seed", range(4))
def test_ranks_and_figures_are_those_of_a_count_by_hand(tmp_path: Path, reference: Reference, seed: int) -> None:
    root = write_fashioniq(tmp_path, images=70, queries=20, seed=seed)
    protocol = FashionIQ(root, reference=reference)
    features = made_features(protocol, seed=seed)
    scores = protocol.score(features)
    for gallery, column in (("original", "rank"), ("val_union", "rank_val_union")):
        ranks = oracle(root, features, gallery, reference)  # type: ignore[arg-type]
        assert scores.queries[column].to_pylist() == ranks
        prefix = f"fashioniq.val.{gallery}.ref_{reference}"
        recalls = {
            k: [100 * np.mean([rank <= k for rank in ranks[place : place + 20]]) for place in (0, 20, 40)]
            for k in (10, 50)
        }
        for k, values in recalls.items():
            for category, value in zip(CATEGORIES, values, strict=True):
                assert scores.metrics[f"{prefix}.{category}.recall@{k}"] == pytest.approx(value)
            assert scores.metrics[f"{prefix}.mean.recall@{k}"] == pytest.approx(np.mean(values))
        assert scores.metrics[f"{prefix}.mean"] == pytest.approx(np.mean([recalls[10], recalls[50]]))
    assert len(scores.metrics) == 2 * 9


def test_one_gallery_may_be_scored_alone_and_the_smaller_one_needs_no_other_images(tmp_path: Path) -> None:
    root = write_fashioniq(tmp_path)
    both = FashionIQ(root)
    features = made_features(both)
    whole = both.score(features).metrics
    for gallery in ("original", "val_union"):
        alone = FashionIQ(root, gallery=gallery).score(features).metrics  # type: ignore[arg-type]
        assert alone == {key: value for key, value in whole.items() if f".{gallery}." in key}
    needed = {image for part in both.parts for one in part.asked for image in (one.reference, *one.targets)}
    for name, ids in both.galleries().items():
        features[name][[image not in needed for image in ids]] = 0
    assert FashionIQ(root, gallery="val_union").score(features).metrics == {
        key: value for key, value in whole.items() if ".val_union." in key
    }
    with pytest.raises(UserError, match=r"images of gallery\.dress"):
        both.score(features)


def test_several_vectors_of_an_image_count_by_the_nearest(tmp_path: Path) -> None:
    root = write_fashioniq(tmp_path)
    protocol = FashionIQ(root)
    rng = np.random.default_rng(0)
    features = made_features(protocol)
    several = {
        name: np.stack([tensor, rng.permutation(tensor)], axis=1) if name.startswith("gallery") else tensor
        for name, tensor in features.items()
    }
    assert protocol.score(several).queries["rank"].to_pylist() == oracle(root, several, "original", "keep")


def test_a_query_of_the_table_names_its_images(tmp_path: Path) -> None:
    root = write_fashioniq(tmp_path)
    protocol = FashionIQ(root)
    table = protocol.score(made_features(protocol)).queries
    rows = json.loads((root / "captions" / "cap.shirt.val.json").read_text())
    found = [row for row in table.to_pylist() if row["part"] == "shirt"]
    assert [(row["query"], row["reference"], row["target"]) for row in found] == [
        (str(place), row["candidate"], row["target"]) for place, row in enumerate(rows)
    ]


CAPTIONS = [" is Red and long. ", "has no, sleeves?"]


@pytest.mark.parametrize(
    ("joining", "capitalised", "text"),
    [
        ("first_and_second", False, "is Red and long and has no, sleeves"),
        ("first_and_second", True, "Is red and long and has no, sleeves"),
        ("second_and_first", False, "has no, sleeves and is Red and long"),
        ("first", False, "is Red and long"),
        ("second", True, "Has no, sleeves"),
    ],
)
def test_captions_are_joined_as_the_option_says(joining: Any, capitalised: bool, text: str) -> None:
    assert joined(CAPTIONS, joining, capitalised) == text


def test_queries_carry_the_text_that_was_chosen(tmp_path: Path) -> None:
    protocol = FashionIQ(write_fashioniq(tmp_path), text="second")
    reference = protocol.parts[0].asked[0].reference
    assert protocol.queries()["queries.dress"][0] == Query(reference, "has a longer Hem")


def test_annotations_that_are_not_there_or_not_so_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="set --root to the folder of captions/ and image_splits/"):
        FashionIQ(tmp_path)
    root = write_fashioniq(tmp_path)
    (root / "captions" / "cap.shirt.val.json").write_text('[{"candidate": "a", "target": "b", "captions": ["one"]}]')
    with pytest.raises(UserError, match=r"cap\.shirt\.val\.json has another layout"):
        FashionIQ(root)
