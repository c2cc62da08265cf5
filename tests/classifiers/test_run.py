"""A classifier that a filter names is a model of the run: loaded once, stored by content, named to the reader."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from cirgen.classifiers.transformers import TransformersClassifier
from cirgen.errors import UserError
from cirgen.pipeline import run_pipeline
from cirgen.recipe_file import load_recipe
from cirgen.run_folder import Run
from cirgen.store import Store
from tiny_classifiers import save

pytestmark = pytest.mark.integration

IMAGES = 24


def run(folder: Path, model: Path, bound: str = "max_target_percentile: 80", **classifier: Any) -> Run:
    more = "".join(f", {name}: {value}" for name, value in classifier.items())
    stack = f"filter=[{{name: contradiction, {bound}, classifier: {{model: '{model}'{more}}}}}]"
    found = Run(
        folder,
        load_recipe("demo", ["modify.prompts=[spn-target]", stack]).recipe,
        Store(folder / "store"),
        limit=IMAGES,
    )
    run_pipeline(found)
    return found


def scores(of: Run) -> list[dict[str, Any]]:
    return [dict(row["scores"]) for row in pq.read_table(of.verdicts).to_pylist()]


def scored(of: Run) -> int:
    return int(of.read_facts()["funnel"]["filters"][0]["scored"])


@pytest.mark.long
def test_a_classifier_scores_once_and_the_same_weights_elsewhere_score_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path / "nli")
    first = run(tmp_path / "run", tmp_path / "nli")
    before, recipe_hash = scores(first), first.read_facts()["recipe_hash"]
    assert scored(first) > 0
    assert len({row["contradiction.target"] for row in before}) > 2
    shutil.copytree(tmp_path / "nli", tmp_path / "moved")
    monkeypatch.setattr(TransformersClassifier, "_load", lambda self: pytest.fail("a model was loaded"))
    moved = run(tmp_path / "run", tmp_path / "moved", device="cpu")
    assert (scores(moved), scored(moved), moved.read_facts()["recipe_hash"]) == (before, 0, recipe_hash)
    other = run(tmp_path / "run", tmp_path / "nli", "max_target_percentile: 50")
    assert scored(other) == 0
    assert other.read_facts()["recipe_hash"] != recipe_hash


@pytest.mark.long
def test_other_weights_score_anew_and_the_corpus_names_its_classifier(tmp_path: Path) -> None:
    before = scores(run(tmp_path / "run", Path(save(tmp_path / "nli"))))
    other = run(tmp_path / "run", Path(save(tmp_path / "other-nli", seed=1)))
    assert scored(other) == len(before)
    assert scores(other) != before
    manifest = json.loads((other.dataset / "manifest.json").read_text())
    named = {model["role"]: model for model in manifest["models"]}["contradiction classifier"]
    assert (named["model"], len(named["content"])) == ("other-nli", 64)
    assert str(tmp_path) not in (other.dataset / "README.md").read_text()


def test_labels_that_do_not_do_are_told_before_anything_is_generated(tmp_path: Path) -> None:
    save(tmp_path / "nli", labels=("LABEL_0", "LABEL_1", "LABEL_2"))
    with pytest.raises(UserError, match="needs one label that begins with 'contradict' and finds none among LABEL_0"):
        run(tmp_path / "run", tmp_path / "nli")
    assert not (tmp_path / "run" / "store").exists()
