"""Intervals: paired over queries, the same for the same seed, and as wide as they should be."""

from __future__ import annotations

import numpy as np
import pytest

from cirgen.errors import UserError
from cirgen_benchmark.protocols.bootstrap import differences, intervals
from cirgen_benchmark.protocols.figures import Figure


def hits(share: float, queries: int, seed: int = 0) -> np.ndarray:
    return np.where(np.random.default_rng(seed).random(queries) < share, 100.0, 0.0)


def test_an_interval_of_a_share_is_about_that_of_the_normal_distribution() -> None:
    values = hits(0.4, 1_000)
    found = intervals({"recall": Figure({"": values})})["recall"]
    spread = 1.96 * values.std() / np.sqrt(1_000)
    assert found.value == values.mean()
    assert found.low == pytest.approx(values.mean() - spread, abs=0.5)
    assert found.high == pytest.approx(values.mean() + spread, abs=0.5)


def test_parts_are_drawn_each_for_itself_and_count_alike() -> None:
    one, other = hits(0.2, 100), hits(0.8, 100, seed=1)
    found = intervals({"a": Figure({"x": one}), "mean": Figure({"x": one, "y": other})})
    assert found["mean"].value == (one.mean() + other.mean()) / 2
    spread = 1.96 * np.sqrt(one.var() / 100 + other.var() / 100) / 2
    assert found["mean"].high - found["mean"].low == pytest.approx(2 * spread, rel=0.15)


def test_the_interval_of_a_difference_is_paired() -> None:
    """Two models that agree on nearly every query differ surely, though each of them alone is uncertain."""
    ours = hits(0.5, 400)
    theirs = ours.copy()
    theirs[np.flatnonzero(ours)[:12]] = 0
    a, b = {"r": Figure({"": ours})}, {"r": Figure({"": theirs})}
    found = differences(a, b)["r"]
    assert found.value == pytest.approx(3.0)
    assert 1 < found.low < 3 < found.high < 5
    alone = intervals(a)["r"]
    assert alone.high - alone.low > 2 * (found.high - found.low)
    swapped = differences(b, a)["r"]
    assert swapped == tuple(pytest.approx(-x) for x in (found.value, found.high, found.low))


def test_queries_that_a_metric_leaves_out_are_not_drawn() -> None:
    values = np.array([100.0, np.nan, 0.0, 100.0, np.nan])
    found = intervals({"ap": Figure({"": values})})["ap"]
    assert found.value == pytest.approx(200 / 3)
    assert 0 <= found.low <= found.value <= found.high <= 100
    rare = intervals({"ap": Figure({"": np.array([50.0, *[np.nan] * 40])})})["ap"]
    assert rare == (50, 50, 50)


def test_the_same_seed_gives_the_same_interval_and_another_one_nearly() -> None:
    figures = {"r": Figure({"": hits(0.3, 500)})}
    assert intervals(figures, seed=3) == intervals(figures, seed=3)
    assert intervals(figures, seed=3) != intervals(figures, seed=4)
    assert intervals(figures, seed=3)["r"].low == pytest.approx(intervals(figures, seed=4)["r"].low, abs=1)


def test_an_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(200):
        found = intervals({"r": Figure({"": hits(0.3, 200, seed)})}, seed=seed, draws=400)["r"]
        covered += found.low <= 30 <= found.high
    assert 0.90 <= covered / 200 <= 0.99


def test_models_that_answered_other_queries_are_not_compared() -> None:
    ours = np.array([100.0, 0.0, np.nan])
    theirs = np.array([100.0, np.nan, 0.0])
    with pytest.raises(UserError, match="r counts 2 queries for one model alone"):
        differences({"r": Figure({"": ours})}, {"r": Figure({"": theirs})})


def test_what_one_of_two_models_lacks_is_left_out() -> None:
    ours = {"a": Figure({"": hits(0.5, 9)}), "b": Figure({"": hits(0.5, 9)})}
    assert set(differences(ours, {"b": Figure({"": hits(0.4, 9)})})) == {"b"}
