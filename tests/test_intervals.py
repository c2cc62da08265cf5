"""Intervals hold what they should as often as they should, and widen where rows are alike."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cirgen.intervals import Interval, difference, of_means, resamples, share, wilson

hits = st.lists(st.booleans(), min_size=1, max_size=40)


@given(hits)
def test_an_interval_of_a_share_holds_the_share_and_stays_within_0_and_1(found: list[bool]) -> None:
    interval = share(found, range(len(found)))
    assert 0 <= interval.low <= interval.value <= interval.high <= 1
    assert interval.value == pytest.approx(sum(found) / len(found))


def test_rows_of_one_reference_count_as_one_draw() -> None:
    found = [True, False] * 50
    alone = share(found, range(100))
    together = share(np.repeat(found, 10), np.repeat(range(100), 10).tolist())
    ignored = share(np.repeat(found, 10), range(1000))
    assert together == alone
    assert ignored.high - ignored.low < 0.5 * (together.high - together.low)


def test_where_all_rows_agree_the_interval_still_has_a_width() -> None:
    nothing = share([False] * 30, range(30))
    assert (nothing.value, nothing.low) == (0, 0)
    assert nothing.high == pytest.approx(0.1135, abs=1e-4)  # Wilson's upper limit of 0 in 30
    assert wilson(1.0, 30) == pytest.approx((1 - 0.1135, 1.0), abs=1e-4)


def test_95_of_100_intervals_hold_the_true_share() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        interval = share(rng.random(60) < 0.3, range(60))
        held += interval.low <= 0.3 <= interval.high
    assert 180 <= held <= 199


def test_what_two_columns_share_cancels_in_a_figure_of_both() -> None:
    rng = np.random.default_rng(1)
    base = (rng.random(400) < 0.5).astype(float)
    columns = np.stack([base, base], axis=1)
    gap = of_means(columns, range(400), lambda means: means[..., 0] - means[..., 1])
    assert (gap.value, gap.known) == (0, False)


def test_limits_of_a_difference_of_independent_shares_add_as_squares() -> None:
    found = difference(Interval(0.6, 0.5, 0.7), Interval(0.4, 0.3, 0.5))
    assert found.value == pytest.approx(0.2)
    assert found.low == pytest.approx(0.2 - 0.02**0.5)
    assert found.high == pytest.approx(0.2 + 0.02**0.5)


@given(st.integers(1, 50), st.integers(1, 600))
def test_every_draw_takes_as_many_rows_as_there_are(size: int, draws: int) -> None:
    drawn = np.concatenate(list(resamples(size, np.random.default_rng(0), draws)))
    assert drawn.shape == (draws, size)
    assert (drawn.sum(axis=1) == size).all()


def test_one_reference_gives_a_share_all_the_doubt_of_a_single_draw() -> None:
    found = share([True] * 15 + [False] * 5, ["the only one"] * 20)
    assert found.value == 0.75
    assert found.low < 0.25
    assert found.high > 0.9


def test_a_figure_whose_limits_rows_cannot_tell_has_none() -> None:
    one = of_means(np.array([[1.0], [3.0]]), ["a", "a"], lambda means: means[..., 0])
    assert (one.value, one.known) == (2.0, False)
    alike = of_means(np.ones((5, 1)), range(5), lambda means: means[..., 0])
    assert (alike.value, alike.known) == (1.0, False)
    rare = np.array([[1.0, 1.0], *[[0.0, 1.0]] * 49])
    with np.errstate(divide="ignore", invalid="ignore"):
        quotient = of_means(rare, range(50), lambda means: means[..., 1] / means[..., 0])
    assert (quotient.value, quotient.known) == (50.0, False)
