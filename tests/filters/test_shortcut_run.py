"""Ranks in a run of the embedded models: by several encoders, in any batch, under any number of pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from cirgen.filters import search
from cirgen.pipeline import run_pipeline
from cirgen.recipe_file import load_recipe
from cirgen.run_folder import Run
from cirgen.store import Store

pytestmark = pytest.mark.integration

IMAGES = 24
ENCODERS = ("cirgen:filter-encoder", "cirgen:judge-encoder")


def ranks(folder: Path, *encoders: str, **settings: Any) -> dict[str, dict[str, float]]:
    """Return the scores of every triplet."""
    named = ", ".join(f"{{model: '{name}'}}" for name in encoders)
    more = "".join(f", {name}: {value}" for name, value in settings.items())
    stack = f"filter=[{{name: shortcut, min_text_rank: 1, encoders: [{named}]{more}}}, {{name: too_broad, max_rivals: 999, encoders: [{named}]}}]"  # fmt: skip  # noqa: E501
    recipe = load_recipe("demo", ["modify.prompts=[spn-target]", stack]).recipe
    run = Run(folder, recipe, Store(folder / "store"), limit=IMAGES)
    run_pipeline(run)
    return {row["triplet_id"]: dict(row["scores"]) for row in pq.read_table(run.verdicts).to_pylist()}


@pytest.mark.long
def test_the_best_of_several_encoders_counts_and_a_rival_is_one_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = (ranks(tmp_path, encoder) for encoder in ENCODERS)
    monkeypatch.setattr(search, "QUERIES", 7)
    monkeypatch.setattr(search, "PICTURES", 5)
    both = ranks(tmp_path, *ENCODERS)
    assert one.keys() == other.keys() == both.keys()
    for triplet, scores in both.items():
        for name in ("text_rank", "image_rank", "composed_rank"):
            alone = [found[triplet][f"shortcut.{name}"] for found in (one, other)]
            assert scores[f"shortcut.{name}"] == min(alone)
        rivals = [found[triplet]["too_broad.rivals"] for found in (one, other)]
        assert scores["too_broad.rivals"] <= min(rivals)
    assert any(one[triplet] != other[triplet] for triplet in both)


@pytest.mark.long
def test_blocks_of_any_size_rank_alike_and_the_runs_own_encoder_is_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = ranks(tmp_path / "named", ENCODERS[0])
    monkeypatch.setattr(search, "QUERIES", 3)
    monkeypatch.setattr(search, "PICTURES", 4)
    assert ranks(tmp_path / "default") == named


def test_weights_reach_the_dataset_and_its_card(tmp_path: Path) -> None:
    scores = ranks(tmp_path, action="weight")
    assert all(row["shortcut.weight"] == 1 for row in scores.values())
    published = pq.read_table(next((tmp_path / "dataset" / "triplets").glob("train-*.parquet")))
    assert set(published.column("score_shortcut_weight").to_pylist()) == {1.0}
    assert "`score_shortcut_weight`" in (tmp_path / "dataset" / "README.md").read_text()
