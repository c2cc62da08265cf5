"""Of a labels file the content decides: it enters the recipe's hash, the path to it does not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cirgen.filters.fitted import label_contents, with_label_contents, without_fits
from cirgen.keys import recipe_hash
from cirgen.preview import small
from cirgen.recipe import Recipe
from cirgen.recipe_checks import check_recipe
from cirgen.recipe_errors import RecipeErrors
from cirgen.recipe_file import load_recipe


def labels(path: Path, good: bool = True) -> Path:
    path.parent.mkdir(exist_ok=True)
    rows = [{"reference_id": "r", "text": "t", "target_id": "t", "good": good}]
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


STACK = (
    "filter=[{name: lint, min_words: 2, max_words: 30}, {name: duplicate}, "
    "{name: similarity, lower_percentile: 2, upper_percentile: 98}, {name: reference_leak, max_share: 0.5}, "
    "{name: agreement, min_target_percentile: 5, min_margin_percentile: 2}, {name: diversity}]"
)


def recipe(path: Path, *overrides: str) -> Recipe:
    fit = f"{{labels: '{path}', precision: 0.95}}"
    overrides = (STACK, "filter.4.min_target_percentile=null", f"filter.4.min_target_fit={fit}", *overrides)
    return load_recipe("demo", overrides).recipe


def hash_of(of: Recipe) -> str:
    return recipe_hash(with_label_contents(of.resolved(), label_contents(of.filter)), {}, {})


def test_the_same_labels_at_another_path_are_the_same_recipe_and_other_labels_are_not(tmp_path: Path) -> None:
    here = labels(tmp_path / "here" / "labels.parquet")
    there = tmp_path / "there.parquet"
    shutil.copy(here, there)
    before = hash_of(recipe(here))
    assert hash_of(recipe(there)) == before
    assert hash_of(recipe(here, "filter.4.min_target_fit.precision=0.9")) != before
    labels(here, good=False)
    assert hash_of(recipe(here)) != before


def test_the_resolved_recipe_itself_keeps_the_path(tmp_path: Path) -> None:
    path = labels(tmp_path / "labels.parquet")
    resolved = recipe(path).resolved()
    with_label_contents(resolved, label_contents(recipe(path).filter))
    assert resolved["filter"][4]["min_target_fit"]["labels"] == str(path)


def test_validate_looks_at_the_labels_and_names_their_line(tmp_path: Path) -> None:
    text = "name: demo\nimages: {kind: folder, path: 'cirgen:images'}\nmllm: {model: 'cirgen:mllm'}\n"
    text += "encoder: {model: 'cirgen:filter-encoder'}\nfilter:\n  - name: agreement\n    min_target_fit:\n"
    text += f"      labels: {tmp_path / 'none.parquet'}\n      precision: 0.9\n"
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf8")
    with pytest.raises(RecipeErrors, match=r"mine.yaml:8: filter.0.min_target_fit.labels: There is no labels file"):
        check_recipe(load_recipe(path))
    check_recipe(load_recipe(path), files=False)


def test_a_preview_leaves_out_what_its_few_rows_cannot_be_fitted_to(tmp_path: Path) -> None:
    path = labels(tmp_path / "labels.parquet")
    whole = recipe(path)
    previewed = small(whole, 4)
    assert [getattr(settings, "name", "") for settings in previewed.filter] == [
        getattr(settings, "name", "") for settings in whole.filter
    ]  # agreement has another bound
    assert label_contents(previewed.filter) == {}
    Recipe.model_validate(previewed.model_dump())
    alone = recipe(path, "filter.4.min_margin_percentile=null")
    assert len(without_fits(alone.filter)) == len(alone.filter) - 1
