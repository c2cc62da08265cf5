"""Texts are planned by the recipe alone: who writes them, in which direction, with which intent and examples."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from cirgen.backends.loaded_model import LoadedModel
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


def both_ways(rows: list[dict[str, Any]]) -> list[frozenset[str]]:
    return [frozenset((row["reference_id"], row["target_id"])) for row in rows]


@pytest.mark.long
def test_two_pictures_that_chose_each_other_are_one_pair_when_texts_go_both_ways(folder: Path) -> None:
    signals = "pair.signals=[{kind: neighbours, per_image: 2}]"
    forward = triplets(folder, "modify.prompts=[spn-target]", signals)
    assert len(set(both_ways(forward))) < len(forward)  # some did choose each other
    rows = triplets(folder, "modify.prompts=[spn-target]", signals, "modify.directions=both")
    plan, pairs, verdicts = (
        pq.read_table(folder / "derived" / f"{name}.parquet").to_pylist()
        for name in ("modify_plan", "pairs", "verdicts")
    )
    assert len(set(both_ways(pairs))) == len(pairs) == len(set(both_ways(forward)))
    assert len(rows) == len(plan) == len(verdicts) == 2 * len(pairs)
    assert len({row["triplet_id"] for row in rows}) == len(rows)
    assert {row["triplet_id"] for row in forward} <= {row["triplet_id"] for row in rows}
    assert {row["pair_id"] for row in pairs} <= {row["pair_id"] for row in forward}


def test_max_pairs_counts_pairs_of_both_directions_once(folder: Path) -> None:
    few = ["modify.prompts=[spn-target]", "modify.directions=both", "pair.max_pairs=9"]
    assert len(triplets(folder, *few, "pair.signals=[{kind: neighbours, per_image: 3}]")) == 18


@pytest.mark.long
def test_rotation_keeps_the_texts_of_pairs_that_were_mined_both_ways(folder: Path) -> None:
    rotate = [TEMPLATES, "modify.prompts_per_pair=rotate", "pair.signals=[{kind: neighbours, per_image: 3}]"]
    forward = {row["triplet_id"] for row in triplets(folder, *rotate)}
    assert forward <= {row["triplet_id"] for row in triplets(folder, *rotate, "modify.directions=both")}


def test_templates_that_fall_back_to_the_same_words_are_one_text_of_the_first_of_them(folder: Path) -> None:
    prompts = "modify.prompts=[spn-unlike, spn-instead, spn-target]"
    rows = triplets(folder, prompts, "modify.fallback_tokens=1")
    assert len({row["triplet_id"] for row in rows}) == len(rows) == len({row["pair_id"] for row in rows})
    assert {row["prompt"] for row in rows} == {"spn-unlike@1"}
    turned = triplets(folder, "modify.prompts=[spn-target, spn-instead]", "modify.fallback_tokens=1")
    assert {row["prompt"] for row in turned} == {"spn-target@1"}  # whoever wrote those words first
    assert {row["triplet_id"] for row in turned} == {row["triplet_id"] for row in rows}


def test_every_planned_triplet_is_accepted_or_rejected_once(folder: Path) -> None:
    recipe = load_recipe("demo", ["modify.directions=both", TEMPLATES, "modify.fallback_tokens=12"]).recipe
    run = Run(folder, recipe, Store(folder / "store"), limit=IMAGES)
    accepted = run_pipeline(run).accepted
    parts = {
        config: [row for path in run.dataset.glob(f"{config}/*.parquet") for row in pq.read_table(path).to_pylist()]
        for config in ("triplets", "rejected")
    }
    planned = pq.read_table(run.modify_plan).column("triplet_id").to_pylist()
    assert sorted(row["triplet_id"] for rows in parts.values() for row in rows) == sorted(planned)
    assert len(parts["triplets"]) == accepted
    counts = json.loads((run.dataset / "manifest.json").read_text())["counts"]
    assert counts["accepted"] + counts["rejected"] == len(planned) == len(set(planned))
    assert sum(counts["reasons"].values()) == counts["rejected"]


def test_a_recipe_that_no_longer_asks_for_captions_has_none(folder: Path) -> None:
    rows = triplets(folder, "caption.prompts=[]")
    assert {(row["reference_caption"], row["target_caption"]) for row in rows} == {("", "")}


def test_tails_are_taken_off_when_triplets_are_put_together_and_the_store_keeps_what_was_written(folder: Path) -> None:
    plain = {row["triplet_id"]: row for row in triplets(folder, "modify.prompts=[spn-instead, spn-target]")}
    written = Store(folder / "store").statuses("modify")
    rows = triplets(folder, "modify.prompts=[spn-instead, spn-target]", "modify.strip_tails=true")
    assert {row["triplet_id"] for row in rows} == set(plain)
    assert Store(folder / "store").statuses("modify") == written
    assert {row["rewrite"] for row in plain.values()} == {""}
    for row in rows:
        before = plain[row["triplet_id"]]
        if row["rewrite"] == "tail":
            assert before["text"] == f"{row['text']} instead of {row['reference_caption']}"
            assert row["prompt"] == "spn-instead@1"
        else:
            assert row["text"] == before["text"]
    assert 0 < sum(row["rewrite"] == "tail" for row in rows) < len(rows)


def test_a_corpus_says_which_texts_lost_a_tail(folder: Path) -> None:
    triplets(folder, "modify.prompts=[spn-instead]", "modify.strip_tails=true")
    published = [
        row for path in (folder / "dataset" / "triplets").glob("*.parquet") for row in pq.read_table(path).to_pylist()
    ]
    assert "tail" in {row["rewrite"] for row in published}
    assert all("instead of" not in row["text"] for row in published if row["rewrite"] == "tail")
    assert "`rewrite` is `tail`" in (folder / "dataset" / "README.md").read_text()


def again(folder: Path, *overrides: str, words: int = 4) -> list[dict[str, Any]]:
    short = f'filter=[{{"name": "lint", "max_words": {words}}}]'
    nearest = "pair.signals=[{kind: neighbours, per_image: 2}]"
    recipe = load_recipe("demo", [short, nearest, *overrides]).recipe
    run = Run(folder, recipe, Store(folder / "store"), limit=IMAGES)
    run_pipeline(run)
    reasons = {row["triplet_id"]: row["reason"] for row in pq.read_table(run.verdicts).to_pylist()}
    return [{**row, "reason": reasons[row["triplet_id"]]} for row in pq.read_table(run.triplets).to_pylist()]


def by_turn(rows: list[dict[str, Any]]) -> dict[int, set[str]]:
    return {turn: {r["pair_id"] for r in rows if r["regenerated"] == turn} for turn in range(4)}


@pytest.mark.long
def test_what_filters_reject_is_written_anew_and_what_they_accept_is_not(folder: Path) -> None:
    once = again(folder)
    rows = again(folder, "modify.regenerate.tries=2", "modify.regenerate.temperature=1.5")
    pairs = by_turn(rows)
    filtered = [row for row in rows if row["reason"].startswith("lint: ")]  # a text that was cut off is the ladder's
    assert pairs[1] == {row["pair_id"] for row in filtered if row["regenerated"] == 0}
    assert pairs[2] == {row["pair_id"] for row in filtered if row["regenerated"] == 1}
    assert not pairs[3]
    assert [row for row in rows if row["regenerated"] == 0] == once
    first = {row["pair_id"]: row["text"] for row in once}
    assert any(row["text"] != first[row["pair_id"]] for row in rows if row["regenerated"])
    accepted = {row["pair_id"] for row in rows if not row["reason"]}
    assert accepted > {row["pair_id"] for row in once if not row["reason"]}


@pytest.mark.long
def test_writing_anew_repeats_itself_and_asks_for_nothing_twice(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    overrides = ("modify.regenerate.tries=2", "modify.regenerate.temperature=1.5")
    rows = again(folder, *overrides)

    def forbidden(*_: Any, **__: Any) -> Any:
        raise AssertionError("a model was asked")

    monkeypatch.setattr(LoadedModel, "generate", forbidden)
    assert again(folder, *overrides) == rows
    fewer = again(folder, "modify.regenerate.tries=1", "modify.regenerate.temperature=1.5")
    assert fewer == [row for row in rows if row["regenerated"] < 2]


@pytest.mark.long
def test_another_prompt_may_write_anew(folder: Path) -> None:
    rows = again(
        folder, "modify.prompts=[spn-target]", "modify.regenerate.tries=1", "modify.regenerate.prompt=change-images"
    )
    assert {row["prompt"] for row in rows if row["regenerated"]} == {"change-images@1"}
    assert {row["prompt"] for row in rows if not row["regenerated"]} == {"spn-target@1"}


def test_a_template_is_not_asked_to_say_the_same_again(folder: Path) -> None:
    rows = again(folder, "modify.prompts=[spn-target]", "modify.regenerate.tries=2", words=8)
    assert {row["regenerated"] for row in rows} == {0}
    assert any(row["reason"] for row in rows)


def test_images_that_do_not_fit_are_no_reason_to_write_anew(folder: Path) -> None:
    overrides = ["modify.regenerate.tries=1", 'filter=[{"name": "similarity", "lower_percentile": 50}]']
    recipe = load_recipe("demo", overrides).recipe
    run = Run(folder, recipe, Store(folder / "store"), limit=IMAGES)
    run_pipeline(run)
    assert {row["regenerated"] for row in pq.read_table(run.triplets).to_pylist()} == {0}
