"""Texts are planned by the recipe alone: who writes them, in which direction, with which intent and examples."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from cirgen.errors import UserError
from cirgen.pipeline import run_pipeline
from cirgen.recipe_file import load_recipe
from cirgen.run_folder import Run
from cirgen.store import Store

pytestmark = pytest.mark.integration

IMAGES = 24
TEMPLATES = "modify.prompts=[spn-instead, spn-unlike, spn-target]"


@pytest.fixture(scope="module")
def captioned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run folder that has its captions, so that each test adds texts alone."""
    folder = tmp_path_factory.mktemp("captioned")
    triplets(folder, "modify.prompts=[spn-target]")
    return folder


def triplets(folder: Path, *overrides: str) -> list[dict[str, Any]]:
    recipe = load_recipe("demo", ["filter=[]", *overrides]).recipe
    run = Run(folder, recipe, Store(folder / "store"), limit=IMAGES)
    run_pipeline(run)
    return pq.read_table(run.triplets).to_pylist()


@pytest.fixture
def folder(captioned: Path, tmp_path: Path) -> Path:
    shutil.copytree(captioned, tmp_path / "run")
    return tmp_path / "run"


def test_the_papers_three_templates_say_what_the_paper_says(folder: Path) -> None:
    expected = {
        "spn-instead@1": "{t} instead of {r}",
        "spn-unlike@1": "Unlike {r}, I want {t}",
        "spn-target@1": "{t}",
    }
    rows = triplets(folder, TEMPLATES, "modify.fallback_tokens=null")
    assert {row["prompt"] for row in rows} == set(expected)
    for row in rows:
        assert row["text"] == expected[row["prompt"]].format(r=row["reference_caption"], t=row["target_caption"])
        assert (row["model"], row["backend"]) == ("template", "template")


def test_a_template_over_the_token_limit_falls_back_to_the_target_caption(folder: Path) -> None:
    rows = triplets(folder, "modify.prompts=[spn-unlike]", "modify.fallback_tokens=20")
    fallen = [row for row in rows if row["text"] == row["target_caption"]]
    assert len(fallen) > 0
    assert all(row["text"] == row["target_caption"] or row["text"].startswith("Unlike") for row in rows)
    assert not any(row["text"] == row["target_caption"] for row in triplets(folder, "modify.prompts=[spn-unlike]"))


def test_both_directions_turn_every_pair_around(folder: Path) -> None:
    rows = triplets(folder, "modify.prompts=[spn-target]", "modify.directions=both")
    forward = {(r["reference_id"], r["target_id"]) for r in rows if r["direction"] == "forward"}
    backward = {(r["target_id"], r["reference_id"]) for r in rows if r["direction"] == "backward"}
    assert forward == backward
    for row in rows:
        named = [negative["image_id"] for negative in row["hard_negatives"]]
        assert named[0] == row["reference_id"]
        assert row["target_id"] not in named


def test_rotation_gives_each_pair_one_prompt_and_uses_them_all(folder: Path) -> None:
    rows = triplets(folder, TEMPLATES, "modify.prompts_per_pair=rotate")
    assert len(rows) == len({row["pair_id"] for row in rows})
    assert len({row["prompt"] for row in rows}) == 3


def test_intents_keep_their_shares_and_examples_rotate(folder: Path) -> None:
    rows = triplets(folder, "modify.intents={any: 1, count: 1}", "modify.examples=2", "modify.samples=2")
    plan = pq.read_table(folder / "derived" / "modify_plan.parquet").to_pylist()
    assert {row["change_type"] for row in rows} == {"any", "count"}
    assert len({row["rendered"].partition("Which")[0] for row in plan}) > 5
    assert all(row["rendered"].count(";") == 2 for row in plan)
    assert all(("Change a number." in row["rendered"]) == (row["intent"] == "count") for row in plan)


def test_the_language_model_rewrites_captions_without_images(folder: Path) -> None:
    rows = triplets(folder, "modify.prompts=[rewrite-captions]")
    assert {row["backend"] for row in rows} == {"transformers"}
    plan = pq.read_table(folder / "derived" / "modify_plan.parquet").to_pylist()
    assert all("First image: " in row["rendered"] for row in plan)


def test_an_unknown_intent_names_the_command_that_lists_them(folder: Path) -> None:
    with pytest.raises(UserError, match="cirgen prompts show"):
        triplets(folder, "modify.intents={sideways: 1}")
