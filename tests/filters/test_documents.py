"""What documents and recipes say of filters is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cirgen.filters.registry import FILTERS
from cirgen.recipe import Recipe
from cirgen.resources import data_folder
from cirgen.yaml_text import read_yaml

DOCUMENT = Path(__file__).parents[2] / "docs" / "filters.md"
LEFT_OUT = {"name", "model"}
"""Settings that the table need not name: every filter has a name, and filters that ask a model may bring one."""


def table() -> dict[str, list[str]]:
    """Return the cells of each filter's row."""
    first, *_ = DOCUMENT.read_text(encoding="utf8").split("\n## ")
    rows = [line.strip("|").split("|") for line in first.splitlines() if "|" in line]
    return {row[0].strip(" `"): row for row in rows if row[0].strip().startswith("`")}


def quoted(cell: str) -> set[str]:
    return set(re.findall("`([^`]+)`", cell))


def test_the_table_has_every_filter() -> None:
    assert set(table()) == set(FILTERS.names)


@pytest.mark.parametrize("name", FILTERS.names)
def test_the_table_names_the_scores_and_settings_of_a_filter(name: str) -> None:
    *_, scores, settings = table()[name]
    part = FILTERS._parts[name]
    fields = {option for option in part.Settings.model_fields if not option.endswith(("_percentile", "_fit"))}
    assert quoted(settings) == fields - LEFT_OUT
    notes = {score for score in part.score_notes if not score.startswith("picked_")}
    assert quoted(scores) - {"picked_"} == notes if name != "people" else scores.strip() == "one count for each kind"


@pytest.mark.parametrize("path", sorted(data_folder("recipes").glob("*.yaml")), ids=lambda path: path.name)
def test_what_is_commented_out_in_a_recipe_can_be_taken_in(path: Path) -> None:
    text = path.read_text(encoding="utf8")
    whole = re.sub(r"^( *)# (?=- name: |  \w+: )", r"\1", text, flags=re.MULTILINE)
    whole = re.sub(r"^  # (?=strip_tails: )", "  ", whole, flags=re.MULTILINE)
    recipe = Recipe.model_validate(read_yaml(whole).data)
    assert len(recipe.filter) >= len(Recipe.model_validate(read_yaml(text).data).filter)
