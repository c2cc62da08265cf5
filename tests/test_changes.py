"""A run folder remembers its recipe, and a changed one says what will run again."""

from __future__ import annotations

from pathlib import Path

import pytest

from cirgen.changes import CONSEQUENCES, changes, enter, save_recipe
from cirgen.errors import UserError
from cirgen.recipe import Recipe
from cirgen.recipe_file import load_recipe
from cirgen.run_folder import Run
from cirgen.store import Store


def run_of(folder: Path, *overrides: str) -> Run:
    return Run(folder, load_recipe("demo", overrides).recipe, Store(folder / "store"))


def begun(folder: Path, *overrides: str) -> None:
    save_recipe(folder, run_of(folder, *overrides).recipe)


def test_an_unchanged_recipe_says_nothing(tmp_path: Path) -> None:
    assert enter(run_of(tmp_path)) == []
    begun(tmp_path)
    assert enter(run_of(tmp_path)) == []


def test_a_changed_recipe_names_each_field_with_both_values(tmp_path: Path) -> None:
    begun(tmp_path)
    changed = enter(run_of(tmp_path, "filter.0.min_words=3", "caption.words=5", "llm.model=x"))
    assert [str(change) for change in changed][1:] == ["caption.words: 10 -> 5", "filter.0.min_words: 2 -> 3"]
    assert str(changed[0]).startswith("llm: null -> {'model': 'x'")


def test_a_list_that_grew_or_shrank_is_told_item_by_item() -> None:
    assert [str(change) for change in changes({"a": [1, 2]}, {"a": [1]})] == ["a.1: 2 -> (absent)"]
    assert [str(change) for change in changes({"a": [1]}, {"a": [1, 2]})] == ["a.1: (absent) -> 2"]


def test_a_filter_that_comes_or_goes_is_told_by_its_name_and_the_others_are_compared_with_themselves() -> None:
    lint, judge = {"name": "lint", "min_words": 2}, {"name": "judge", "model": {"model": "x"}}
    assert [str(one) for one in changes({"filter": [lint, judge]}, {"filter": [judge]})] == [
        "filter.0: lint -> (absent)"
    ]
    changed = {"filter": [{"name": "people"}, {**lint, "min_words": 3}, judge]}
    assert [str(one) for one in changes({"filter": [lint, judge]}, changed)] == [
        "filter.0: (absent) -> people",
        "filter.1.min_words: 2 -> 3",
    ]


@pytest.mark.parametrize(
    ("override", "again"),
    [
        ("filter.0.min_words=3", "the decision"),
        ("caption.words=5", "captions"),
        ("mllm.model=other", "captions and texts"),
        ("mllm.batch_size=3", "nothing"),
        ("encoder.device=cpu", "nothing"),
        ("encoder.model=other", "embeddings"),
        ("pair.max_pairs=9", "pairs"),
        ("modify.samples=2", "texts"),
        ("modify.directions=both", "pairs"),
        ("export.test=0", "the dataset"),
    ],
)
def test_a_change_says_what_runs_again(tmp_path: Path, override: str, again: str) -> None:
    begun(tmp_path)
    (change,) = enter(run_of(tmp_path, override))
    assert again in change.consequence


def test_every_section_of_a_recipe_has_its_consequence() -> None:
    assert {place for place in CONSEQUENCES if "." not in place} == set(Recipe.model_fields) - {"name"}


def test_the_folder_of_another_recipe_is_refused_with_both_ways_out(tmp_path: Path) -> None:
    begun(tmp_path)
    with pytest.raises(UserError, match=r"holds the run 'demo'.*'other'.*--output.*or give the recipe that name"):
        enter(run_of(tmp_path, "name=other"))


def test_a_prompt_that_changed_under_its_version_since_the_run_began_is_refused(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    run.note_facts(prompt_lock={"caption-brief@1": "0" * 64})
    with pytest.raises(UserError, match="either restore the text, or raise its version to 2"):
        enter(run)


@pytest.mark.parametrize("text", ["name: [", "- a"])
def test_a_damaged_recipe_of_a_run_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "recipe.yaml").write_text(text)
    with pytest.raises(UserError, match="restore it or delete it"):
        enter(run_of(tmp_path))
