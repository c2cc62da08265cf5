from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cirgen.cosine import COLUMN_BLOCK, cosines, has_vector, on_grid, paired_cosines
from cirgen.stages.mining import Histogram, Pool, distinct_draws

seeds = st.integers(0, 2**32 - 1)


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


@given(st.lists(st.integers(0, 4), min_size=1, max_size=20))
def test_a_group_is_everybody_in_it(groups: list[int]) -> None:
    numbers = np.asarray(groups)
    pool = Pool("train", np.arange(len(groups)), numbers, np.zeros(len(groups), dtype=np.int64))
    for place, group in enumerate(groups):
        assert pool.same_group(place).tolist() == np.flatnonzero(numbers == group).tolist()


def test_an_unknown_category_is_nobodys() -> None:
    pool = Pool("train", np.arange(4), np.arange(4), np.asarray([0, -1, 0, -1]))
    assert pool.same_category(0).tolist() == [True, False, True, False]
    assert not pool.same_category(1).any()


@given(st.integers(0, 5_000), st.integers(1, 10**6), st.integers(1, 3_000))
def test_blocks_hold_each_reference_once_and_keep_to_their_budget(count: int, budget: int, members: int) -> None:
    nobody = np.zeros(members, dtype=np.int64)
    blocks = list(Pool("train", nobody, nobody, nobody).blocks(count, budget))
    assert [place for block in blocks for place in block] == list(range(count))
    assert all(len(block) == 1 or len(block) * members * 4 <= budget for block in blocks)


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
