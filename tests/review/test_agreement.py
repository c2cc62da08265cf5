"""Agreement beyond chance, against worked examples from the literature."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cirgen.review.agreement import ALPHA, KAPPA, agreement, cohen_kappa, krippendorff_alpha
from cirgen.review.verdicts import VERDICTS

_ = None
KRIPPENDORFF = [  # Krippendorff 2011, section D: four observers, twelve units, missing data
    [1, 2, 3, 3, 2, 1, 4, 1, 2, _, _, _],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, _, 3],
    [_, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, _],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, _],
]
UNITS = st.lists(st.lists(st.sampled_from(VERDICTS), min_size=2, max_size=2), min_size=1, max_size=40)


def test_kappa_of_a_worked_example() -> None:
    """Cohen's kappa of the table yes/yes 20, yes/no 5, no/yes 10, no/no 15 is 0.4."""
    units = [["y", "y"]] * 20 + [["y", "n"]] * 5 + [["n", "y"]] * 10 + [["n", "n"]] * 15
    assert cohen_kappa(units) == pytest.approx(0.4)


def test_alpha_of_krippendorffs_own_example_with_missing_values() -> None:
    units = [[str(value) for value in unit if value is not None] for unit in zip(*KRIPPENDORFF, strict=True)]
    assert krippendorff_alpha([unit for unit in units if len(unit) > 1]) == pytest.approx(0.743, abs=5e-4)


@given(UNITS)
def test_full_agreement_is_one_and_nothing_is_above(units: list[list[str]]) -> None:
    same = [[one, one] for one, _ in units]
    for measure in (cohen_kappa, krippendorff_alpha):
        assert measure(same) in (None, pytest.approx(1.0))
        found = measure(units)
        assert found is None or found <= 1 + 1e-9


@given(UNITS)
def test_alpha_knows_no_order_of_reviewers_or_triplets(units: list[list[str]]) -> None:
    turned = [list(reversed(unit)) for unit in reversed(units)]
    assert krippendorff_alpha(turned) == pytest.approx(krippendorff_alpha(units), nan_ok=True) or not units


def test_independent_reviewers_agree_by_chance_alone() -> None:
    units = [list(pair) for pair in itertools.product(VERDICTS, repeat=2)]
    assert cohen_kappa(units) == pytest.approx(0)
    assert krippendorff_alpha(units) == pytest.approx(0, abs=0.05)


def test_two_reviewers_get_kappa_and_more_get_alpha_on_what_they_share() -> None:
    two = [{"Anna": "good", "Bo": "good"}, {"Anna": "unclear", "Bo": "good"}, {"Anna": "good"}]
    found = agreement(two)
    assert found is not None
    assert (found.statistic, found.reviewers, found.rows, found.same) == (KAPPA, 2, 2, 0.5)
    more = agreement([*two, {"Bo": "unclear", "Cy": "unclear"}])
    assert more is not None
    assert (more.statistic, more.reviewers, more.rows) == (ALPHA, 3, 3)


def test_the_order_in_which_two_reviewers_came_changes_nothing() -> None:
    rows = [{"Anna": "good", "Bo": "unclear"}, {"Bo": "good", "Anna": "good"}, {"Bo": "wrong text", "Anna": "good"}]
    turned = [dict(reversed(row.items())) for row in rows]
    assert agreement(rows) == agreement(turned)


def test_agreement_on_good_is_told_beside_agreement_on_every_verdict() -> None:
    found = agreement([{"A": "wrong text", "B": "unclear"}, {"A": "good", "B": "good"}])
    assert found is not None
    assert found.good == pytest.approx(1)
    assert found.value is not None and found.value < 1


def test_no_triplet_of_two_reviewers_and_one_verdict_for_everything_are_undefined() -> None:
    assert agreement([{"Anna": "good"}, {"Bo": "good"}]) is None
    always = agreement([{"Anna": "good", "Bo": "good"}] * 3)
    assert always is not None
    assert (always.value, always.good, always.same) == (None, None, 1.0)
