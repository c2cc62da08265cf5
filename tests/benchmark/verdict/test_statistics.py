"""How sure a difference is: intervals that cover what they claim, p-values that are not too small."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from cirgen_benchmark.verdict.statistics import LEVEL, Estimate, contrast_weights, estimate, holm

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]


def drawn(rng: np.random.Generator, seeds: int, clusters: int, of_seeds: float = 1.0) -> tuple[Floats, Numbers]:
    """Per-query differences around 0: an effect of each seed, of each cluster, and noise; two queries a cluster."""
    of_seed = rng.normal(0, of_seeds, (seeds, 1))
    of_cluster = np.repeat(rng.normal(0, 3.0, clusters), 2)
    noise = rng.normal(0, 3.0, (seeds, 2 * clusters))
    return of_seed + of_cluster + noise, np.repeat(np.arange(clusters), 2)


def covered(found: list[Estimate]) -> float:
    """Return the share of intervals that hold the truth, which is 0."""
    return float(np.mean([one.low <= 0 <= one.high for one in found]))


@pytest.mark.parametrize("seeds", [3, 10])
@pytest.mark.parametrize("of_seeds", [0.3, 1.0, 5.0])
def test_intervals_cover_the_truth_as_often_as_they_say(seeds: int, of_seeds: float) -> None:
    """Whether the doubt is about the queries or about the seeds, and however few seeds there are."""
    rng = np.random.default_rng(0)
    found = [estimate(*drawn(rng, seeds, 60, of_seeds), seed=trial, draws=400) for trial in range(300)]
    assert 0.92 <= covered(found) <= 0.99


def test_nothing_is_called_significant_about_as_rarely_as_the_level_says() -> None:
    rng = np.random.default_rng(3)
    found = [estimate(*drawn(rng, 5, 60), seed=trial, draws=400) for trial in range(300)]
    assert np.mean([one.p < LEVEL for one in found]) <= 0.075


def in_parts(rng: np.random.Generator, levels: Sequence[float]) -> tuple[Floats, Numbers, Numbers]:
    """Three parts of 20, 60 and 180 clusters of one to four queries, at different levels, for five seeds."""
    clusters = np.repeat(np.arange(260), rng.integers(1, 5, 260))
    parts = np.digitize(clusters, [20, 80])
    of_cluster = rng.normal(0, 8, 260)[clusters] + np.asarray(levels)[parts]
    return of_cluster + rng.normal(0, 1.5, (5, 1)) + rng.normal(0, 10, (5, len(clusters))), clusters, parts


def test_parts_of_unequal_size_count_alike_and_are_no_matter_of_chance() -> None:
    """FashionIQ's figure is the mean of three categories: that they differ makes it no less certain."""
    alike, apart = ([estimate(*in_parts(np.random.default_rng(trial), levels), seed=trial, draws=400)
                     for trial in range(150)] for levels in ((0, 0, 0), (-20, 0, 20)))  # fmt: skip
    assert 0.91 <= covered(apart) <= 0.99
    for one, other in zip(alike, apart, strict=True):
        assert one.value == pytest.approx(other.value)
        assert one.high - one.low == pytest.approx(other.high - other.low)


def test_the_value_is_the_mean_of_the_means_of_parts() -> None:
    values = np.array([[100.0, 0.0, 0.0, 0.0], [100.0, 100.0, 0.0, 0.0]])
    found = estimate(values, np.array([0, 1, 1, 2]), np.array([0, 1, 1, 1]), draws=200)
    assert found.value == pytest.approx((100 + (0 + 100 / 3) / 2) / 2)


def test_a_query_of_a_large_cluster_counts_as_much_as_one_of_a_small_cluster() -> None:
    found = estimate(np.array([[0.0, 100.0, 100.0, 100.0]] * 2), np.array([0, 1, 1, 1]), draws=200)
    assert found.value == pytest.approx(75.0)


def test_clusters_drawn_within_each_seed_would_be_too_sure() -> None:
    """The queries are the same for every seed: more seeds do not make the queries more."""
    rng = np.random.default_rng(1)
    values, clusters = drawn(rng, 50, 40)
    found = estimate(values, clusters, draws=2_000)
    from_clusters = 1.96 * 3.0 / np.sqrt(40)
    assert (found.high - found.low) / 2 > 0.8 * from_clusters


def test_the_value_is_the_mean_over_seeds_and_queries() -> None:
    values = np.array([[0.0, 100.0, 100.0], [100.0, 100.0, 0.0]])
    found = estimate(values, np.array([0, 1, 1]), draws=500)
    assert found.value == pytest.approx(values.mean())
    assert found.low <= found.value <= found.high


def test_one_seed_still_has_an_interval_over_its_queries() -> None:
    found = estimate(np.array([[0.0, 100.0] * 20]), np.arange(40), draws=500)
    assert found.low < 50 < found.high


def test_a_certain_difference_is_not_more_certain_than_the_draws_can_tell() -> None:
    found = estimate(np.full((3, 20), 5.0), np.arange(20), draws=1_000)
    assert (found.low, found.high) == pytest.approx((5.0, 5.0))
    assert found.p == pytest.approx(2 / 1_000)


def test_nothing_at_all_is_no_difference() -> None:
    assert estimate(np.zeros((3, 20)), np.arange(20), draws=500).p == 1.0


def test_the_same_seed_gives_the_same_interval() -> None:
    values, clusters = drawn(np.random.default_rng(2), 3, 30)
    assert estimate(values, clusters, seed=7) == estimate(values, clusters, seed=7)


def test_holm_corrects_step_by_step() -> None:
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06})


@given(st.dictionaries(st.text(max_size=3), st.floats(0, 1), min_size=1, max_size=6))
def test_a_corrected_p_is_never_smaller_and_never_above_one(p_values: dict[str, float]) -> None:
    corrected = holm(p_values)
    assert list(corrected) == list(p_values)
    assert all(p_values[name] <= corrected[name] <= 1 for name in p_values)


@given(st.lists(st.floats(0, 0.2), min_size=1, max_size=5))
def test_holm_rejects_what_closed_testing_by_bonferroni_rejects(p_values: list[float]) -> None:
    """The definition: a hypothesis falls when every set of hypotheses with it falls by Bonferroni."""
    named = {str(number): p for number, p in enumerate(p_values)}
    for name, corrected in holm(named).items():
        sets = [one for size in range(1, len(named) + 1) for one in combinations(named, size) if name in one]
        expected = max(min(1.0, len(one) * min(named[other] for other in one)) for one in sets)
        assert corrected == pytest.approx(expected)


def test_weights_of_a_contrast_sum_to_nothing() -> None:
    assert contrast_weights(["a", "b"], ["c"]) == {"a": 0.5, "b": 0.5, "c": -1.0}
    interaction = contrast_weights(["a", "b"], ["c", "d"], interaction=True)
    assert interaction == {"a": 1.0, "c": -1.0, "b": -1.0, "d": 1.0}


def test_an_arm_that_a_contrast_names_twice_counts_twice() -> None:
    """(a - b) - (b - c), and a mean over an arm that stands on both sides."""
    assert contrast_weights(["a", "b"], ["b", "c"], interaction=True) == {"a": 1.0, "b": -2.0, "c": 1.0}
    assert contrast_weights(["a", "b", "b"], ["b"]) == pytest.approx({"a": 1 / 3, "b": -1 / 3})
