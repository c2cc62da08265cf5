from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cirgen.cosine import COLUMN_BLOCK, cosines, has_vector, on_grid, paired_cosines
from cirgen.stages.mining import Histogram, at_ranks, distinct_draws, nearest, only, rank_of

seeds = st.integers(0, 2**32 - 1)
similarities = st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.25, 0.5, 1.0]), min_size=1, max_size=30).map(np.asarray)


def unit_vectors(seed: int, count: int, size: int = 24) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, size)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@given(seeds, st.integers(1, 40), st.integers(0, 39))
@settings(max_examples=30, deadline=None)
def test_a_cosine_has_the_same_bits_in_every_block(seed: int, count: int, cut: int) -> None:
    vectors = unit_vectors(seed, count)
    rows = np.arange(count)
    whole = cosines(on_grid(vectors), vectors, rows)
    split = [cosines(on_grid(part), vectors, rows) for part in (vectors[:cut], vectors[cut:])]
    assert np.array_equal(whole, np.concatenate(split))
    assert np.array_equal(whole, whole.T)
    assert np.array_equal(np.diag(whole), paired_cosines(vectors, vectors))


def test_a_cosine_is_the_integer_dot_product_of_the_rounded_vectors() -> None:
    vectors = unit_vectors(0, 6, size=512)
    whole = [[int(x) for x in row] for row in on_grid(vectors)]
    expected = [[sum(a * b for a, b in zip(p, q, strict=True)) / 2**48 for q in whole] for p in whole]
    assert cosines(on_grid(vectors), vectors, np.arange(6)).tolist() == expected
    assert np.allclose(expected, vectors @ vectors.T, atol=1e-6)


def test_more_vectors_than_a_block_holds_give_the_same_cosines() -> None:
    vectors = unit_vectors(1, COLUMN_BLOCK + 5, size=4)
    blocked = cosines(on_grid(vectors[:3]), vectors, np.arange(len(vectors)))
    assert np.array_equal(blocked[:, -5:], cosines(on_grid(vectors[:3]), vectors[-5:], np.arange(5)))


def test_rows_without_an_embedding_are_known() -> None:
    assert has_vector(np.asarray([[0, 1], [0, 0], [np.nan, 1]], dtype=np.float32)).tolist() == [True, False, False]


@given(similarities)
def test_ranks_are_those_of_a_stable_sort(values: np.ndarray) -> None:
    order = np.argsort(-values, kind="stable")
    assert at_ranks(values, np.arange(1, len(values) + 1)).tolist() == order.tolist()
    assert [rank_of(values, int(place)) for place in order] == list(range(1, len(values) + 1))


@given(similarities, st.integers(0, 40), seeds)
def test_the_nearest_are_the_first_allowed_ones_of_a_stable_sort(values: np.ndarray, count: int, seed: int) -> None:
    allowed = np.random.default_rng(seed).random(len(values)) < 0.5
    expected = [place for place in np.argsort(-values, kind="stable") if allowed[place]][:count]
    assert nearest(only(values, allowed), count).tolist() == expected


@given(st.integers(0, 50), st.integers(0, 10), st.text(max_size=5))
def test_draws_are_distinct_and_asking_for_more_keeps_them(size: int, count: int, key: str) -> None:
    drawn = distinct_draws(size, count, key).tolist()
    assert len(set(drawn)) == len(drawn) == min(size, count)
    assert all(0 <= number < size for number in drawn)
    if count + 1 < size:
        assert distinct_draws(size, count + 1, key).tolist()[:count] == drawn


def test_draws_are_uniform() -> None:
    counts = np.bincount([distinct_draws(10, 1, key)[0] for key in range(5_000)], minlength=10)
    assert 400 < counts.min() <= counts.max() < 600


def test_a_percentile_is_exact_to_one_bin_and_does_not_depend_on_how_values_arrive() -> None:
    values = np.random.default_rng(3).uniform(-1, 1, 10_000)
    whole, parts = Histogram(), Histogram()
    whole.add(values)
    for part in np.array_split(values[::-1], 7):
        parts.add(part)
    for percent in (1, 25, 50, 99.5):
        assert abs(whole.percentile(percent) - np.percentile(values, percent, method="lower")) <= 2e-3
        assert np.mean(values < whole.percentile(percent)) * 100 <= percent
        assert whole.percentile(percent) == parts.percentile(percent)
    assert (whole.percentile(0), whole.percentile(100)) == (-np.inf, np.inf)
