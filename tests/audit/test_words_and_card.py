"""Figures read as people write them, whatever a corpus or a model is called."""

from __future__ import annotations

import re

import pytest

from cirgen.audit.card import card_section
from cirgen.audit.figures import Audit, Figure, Histogram, Section
from cirgen.audit.plots import labels, plots
from cirgen.audit.words import NOTHING, compared, plain, shown

HOSTILE = "a|b `c` <script>$x_y$</script>\n# d"


@pytest.mark.parametrize(
    ("figure", "words"),
    [
        (Figure("n", "n", 12_345, "count"), "12,345"),
        (Figure("n", "n", 69.66, "percent", 67.9, 71.44), "69.7 % [67.9, 71.4]"),
        (Figure("n", "n", 0.02, "percent", 0, 0.04), "0.02 % [0.0, 0.04]"),
        (Figure("n", "n", 0.0, "percent", 0, 0.26), "0.0 % [0.0, 0.3]"),
        (Figure("n", "n", -6.96, "points", -9.22, -0.01), "-7.0 points [-9.2, +0.0]"),
        (Figure("n", "n", 0.0488, "ratio", 0.04, 0.06), "0.05 [0.04, 0.06]"),
        (Figure("n", "n", 0.04426, "number"), "0.0443"),
        (Figure("n", "n", 1234.5, "number"), "1,234.5"),
        (Figure("n", "n", absent="no pictures"), NOTHING),
    ],
)
def test_a_figure_has_its_unit_and_its_interval(figure: Figure, words: str) -> None:
    assert shown(figure) == words
    assert words.startswith(plain(figure))


def test_a_difference_has_an_interval_where_both_figures_have_one() -> None:
    one = Figure("n", "n", 60.0, "percent", 50.0, 70.0)
    other = Figure("n", "n", 40.0, "percent", 30.0, 50.0)
    assert compared(one, other) == "-20.0 [-34.1, -5.9]"
    assert compared(one, Figure("n", "n", 40.0, "percent")) == "-20.0"
    assert compared(Figure("n", "n", 5), Figure("n", "n", 2_005)) == "+2,000"
    assert compared(one, Figure("n", "n", absent="x")) == compared(None, one) == ""


def hostile() -> Audit:
    section = Section(
        "shortcuts",
        "Shortcuts",
        (Figure("gap_1", f"Composition Gap, {HOSTILE}", 1.0, "points"), Figure("rate", "rate", absent=HOSTILE)),
        histograms=(Histogram(f"rank, {HOSTILE}", (1.0, 2.0, 5.0), {"text alone": (1.0, 2.0)}),),
    )
    return Audit(HOSTILE, "made", "0", (HOSTILE,), {"encoders": [{"model": HOSTILE, "content": "x"}]}, (section,))


def test_names_that_look_like_markup_stay_words_in_the_card() -> None:
    section = card_section(hostile())
    assert not re.search(
        r"(?<!\\)<", re.sub(r"(?<!`)``(?!`).*?(?<!`)``(?!`)", "", section)
    )  # no tag outside spans of code
    lines = section.splitlines()
    assert [line for line in lines if line.startswith("#")] == ["## Audit"]
    (row,) = (line for line in lines if line.startswith("| Composition"))
    assert row.replace("\\|", "").count("|") == 3


def test_names_that_look_like_formulas_are_drawn_as_they_are() -> None:
    ((_, drawn),) = plots(hostile())
    assert "<script>" not in drawn and "$x_y$" in drawn


def test_bars_are_called_by_the_whole_numbers_in_them() -> None:
    assert labels((1, 2, 3, 6, 1001)) == ["1", "2", "3\u20135", "6\u20131,000"]


def test_a_path_to_a_model_is_not_published() -> None:
    audit = Audit("a", "made", "0", settings={"encoders": [{"model": "/home/me/models/clip", "content": "x"}]})
    section = card_section(audit)
    assert "`clip`" in section and "/home" not in section
