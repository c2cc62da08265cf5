"""A preview keeps the shape of the whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from cirgen.cli.preview import NAME_WIDTH, shortened
from cirgen.preview import images_for, shown_rows, small
from cirgen.recipe_file import load_recipe
from runs import make_run


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


def test_rows_are_shown_with_the_names_of_their_files(tmp_path: Path) -> None:
    rows = shown_rows(make_run(tmp_path), 3)
    assert len(rows) == 3
    for row in rows:
        for end in ("reference", "target"):
            assert (tmp_path / "images" / row[f"{end}_file"]).is_file()
    names = {path.name for path in (tmp_path / "images").iterdir()}
    assert {row["reference_file"] for row in rows} <= names


@pytest.mark.parametrize(
    ("name", "shown"),
    [("cat.jpg", "cat.jpg"), ("a/b/cat.jpg", "cat.jpg"), ("0123456789abcdef0123456789.png", "01234567…56789.png")],
)
def test_a_long_file_name_keeps_its_beginning_and_its_end(name: str, shown: str) -> None:
    assert shortened(name) == shown
    assert len(shown) <= NAME_WIDTH
