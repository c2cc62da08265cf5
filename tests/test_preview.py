"""A preview keeps the shape of the whole."""

from __future__ import annotations

import pytest

from cirgen.preview import images_for, small
from cirgen.recipe_file import load_recipe


def test_a_preview_makes_so_many_pairs_and_holds_none_back() -> None:
    recipe = small(load_recipe("demo").recipe, 5)
    assert recipe.pair.max_pairs == 5
    assert (recipe.export.validation, recipe.export.test) == (0, 0)


@pytest.mark.parametrize("rows", [1, 8, 100])
def test_a_rank_window_beyond_the_few_images_is_scaled_to_them(rows: int) -> None:
    (signal,) = small(load_recipe("spn4cir/fashioniq-clip").recipe, rows).pair.signals
    assert signal.upper == images_for(rows) - 1
    assert signal.lower == round(signal.upper * 10_000 / 19_999)


def test_other_windows_stay_as_they_are() -> None:
    whole = load_recipe("demo").recipe
    assert small(whole, 8).pair.signals == whole.pair.signals
