"""A share and its interval, where rows count differently and come in clusters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from cirgen.weighted_share import WeightedShare, weighted_share

ROW = st.tuples(st.booleans(), st.floats(0.01, 100), st.integers(0, 6), st.integers(0, 1))


def estimate(rows: list[tuple[bool, float, int, int]]) -> WeightedShare:
    hits, weights, clusters, strata = (np.asarray(column) for column in zip(*rows, strict=True))
    return weighted_share(hits, weights, clusters, strata)


@pytest.mark.parametrize("good", [0, 1, 17, 39, 40])
def test_independent_rows_of_one_weight_get_the_exact_binomial_interval(good: int) -> None:
    found = weighted_share(np.arange(40) < good, np.full(40, 2.5), np.arange(40))
    exact = binomtest(good, 40).proportion_ci()
    assert found.value == pytest.approx(good / 40)
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=0.01)


def test_a_row_that_stands_for_many_counts_as_many() -> None:
    assert weighted_share(np.array([True, False]), np.array([3.0, 1.0]), np.arange(2)).value == 0.75


def test_rows_of_one_cluster_leave_more_doubt_than_as_many_independent_ones() -> None:
    hits, weights = np.repeat(np.arange(20) < 12, 5), np.ones(100)
    alike = weighted_share(hits, weights, np.repeat(np.arange(20), 5))
    apart = weighted_share(hits, weights, np.arange(100))
    assert alike.low < apart.low < apart.value < apart.high < alike.high


def test_drawing_from_strata_that_differ_leaves_less_doubt() -> None:
    hits, clusters = np.repeat(np.arange(20) < 12, 5), np.repeat(np.arange(20), 5)
    one = weighted_share(hits, np.ones(100), clusters)
    two = weighted_share(hits, np.ones(100), clusters, strata=hits.astype(np.int64))
    assert one.low < two.low < two.high < one.high


@given(st.lists(ROW, min_size=1, max_size=60))
def test_a_share_lies_within_its_interval_and_the_opposite_share_within_the_opposite_one(
    rows: list[tuple[bool, float, int, int]],
) -> None:
    found = estimate(rows)
    assert 0 <= found.low <= found.value <= found.high <= 1
    opposite = estimate([(not hit, *rest) for hit, *rest in rows])
    assert opposite == pytest.approx((1 - found.value, 1 - found.high, 1 - found.low), abs=1e-6)


@given(st.lists(ROW, min_size=1, max_size=40), st.floats(0.01, 100))
def test_a_common_factor_of_all_weights_changes_nothing(
    rows: list[tuple[bool, float, int, int]], factor: float
) -> None:
    scaled = [(hit, weight * factor, *rest) for hit, weight, *rest in rows]
    assert estimate(scaled) == pytest.approx(estimate(rows), abs=1e-6)


def test_no_row_and_one_cluster_say_nothing() -> None:
    assert weighted_share(np.array([], bool), np.array([]), np.array([], np.int64))[1:] == (0.0, 1.0)
    assert weighted_share(np.ones(9, bool), np.ones(9), np.zeros(9, np.int64))[1:] == (0.0, 1.0)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.97])
def test_the_interval_holds_as_often_as_it_says_in_a_stratified_sample_of_clusters(share: float) -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        of_cluster = rng.beta(6 * share, 6 * (1 - share), size=60)
        clusters = np.repeat(np.arange(60), 3)
        hits = rng.random(180) < of_cluster[clusters]
        weights = np.where(np.arange(180) % 3 == 0, 5.0, 1.0)
        found = weighted_share(hits, weights, clusters)
        held += found.low <= share <= found.high
    assert held / 400 >= 0.93
