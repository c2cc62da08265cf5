from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cirgen.cosine import COLUMN_BLOCK, Exact, cosines, on_grid
from cirgen.stages.similarities import FEW, Gallery, Row, error_bound, products

seeds = st.integers(0, 2**32 - 1)
BOUND = 0.01


def blurred(exact: Exact, seed: int, bound: float = BOUND) -> Row:
    """A row whose fast figures are as wrong as they may be."""
    errors = np.random.default_rng(seed).choice([-1.0, -0.5, 0.0, 0.5, 1.0], size=len(exact)) * bound
    return Row((exact + errors * (1 - 1e-5)).astype(np.float32), bound, lambda places: exact[places])


close_values = st.lists(st.integers(-40, 40), min_size=1, max_size=60).map(lambda n: np.asarray(n) * 0.002)
far_values = st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.25, 0.5, 1.0]), min_size=1, max_size=30).map(np.asarray)
cosine_rows = close_values | far_values


def stable_order(exact: Exact) -> list[int]:
    """Places by cosine, largest first; of equal ones, the first place first."""
    return [int(place) for place in np.argsort(-exact, kind="stable")]


@given(cosine_rows, seeds)
def test_ranks_are_those_of_a_stable_sort_of_exact_cosines_however_wrong_the_fast_ones(
    exact: Exact, seed: int
) -> None:
    row, order = blurred(exact, seed), stable_order(exact)
    ranks = np.random.default_rng(seed).permutation(len(exact)) + 1
    assert row.at_ranks(ranks).tolist() == [order[rank - 1] for rank in ranks]
    assert [row.rank_of(place) for place in order] == list(range(1, len(exact) + 1))


@given(seeds, st.integers(1, 20))
@settings(max_examples=20, deadline=None)
def test_ranks_far_apart_in_a_long_row_are_found_one_by_one(seed: int, count: int) -> None:
    draws = np.random.default_rng(seed)
    exact = np.round(draws.uniform(-1, 1, 20 * FEW), 3)
    ranks = draws.choice(len(exact), size=count, replace=False) + 1
    order = stable_order(exact)
    assert blurred(exact, seed, 1e-3).at_ranks(ranks).tolist() == [order[rank - 1] for rank in ranks]


@given(cosine_rows, st.integers(0, 40), seeds)
def test_the_nearest_are_the_first_allowed_ones_of_a_stable_sort(exact: Exact, count: int, seed: int) -> None:
    allowed = np.random.default_rng(seed).random(len(exact)) < 0.5
    expected = [place for place in stable_order(exact) if allowed[place]][:count]
    assert blurred(exact, seed).only(allowed).nearest(count).tolist() == expected


@given(cosine_rows, st.integers(-40, 40), st.integers(-40, 40), seeds)
def test_a_window_holds_exactly_those_within_it_ends_included(exact: Exact, low: int, high: int, seed: int) -> None:
    lower, upper = low * 0.002, high * 0.002
    row = blurred(exact, seed)
    assert row.within(lower, upper).tolist() == ((exact >= lower) & (exact <= upper)).tolist()
    assert row.within(-np.inf, upper).tolist() == (exact <= upper).tolist()
    assert row.within(-np.inf, np.inf).all()
    nobody = row.only(np.zeros(len(exact), dtype=bool))
    assert not nobody.within(-np.inf, np.inf).any()
    assert not nobody.within(-np.inf, upper).any()


@given(
    seed=seeds,
    width=st.sampled_from([1, 3, 64, 768]),
    length=st.sampled_from([1e-3, 1.0, 2.0]),
    device=st.sampled_from([None, torch.device("cpu")]),
)
@settings(max_examples=40, deadline=None)
def test_fast_products_are_within_the_bound_on_every_device(
    seed: int, width: int, length: float, device: torch.device | None
) -> None:
    draws = np.random.default_rng(seed)
    vectors = draws.uniform(0.5, 1, size=(40, width)).astype(np.float32)  # one sign: rounding errors add up
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    queries = vectors[:7] * np.float32(length)
    rows = draws.permutation(40)
    exact = cosines(on_grid(queries), vectors, rows)
    fast = products(queries, vectors, rows, device)
    assert np.abs(fast - exact).max() <= error_bound(width, length * (1 + 1e-6), 1 + 1e-6)


@given(seed=seeds, width=st.sampled_from([4, 96]))
@settings(max_examples=15, deadline=None)
def test_a_gallery_ranks_as_a_plain_argsort_of_exact_cosines_twins_by_their_place(seed: int, width: int) -> None:
    draws = np.random.default_rng(seed)
    vectors = draws.normal(size=(120, width)).astype(np.float32)
    vectors[40:80] = vectors[:40]  # equal cosines
    vectors[80:100] = np.nextafter(vectors[:20], np.float32(2))  # nearly equal ones
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = np.sort(draws.choice(120, size=90, replace=False))
    sums = vectors[:10] + vectors[10:20]
    compared = Gallery(vectors, rows).compare(sums, on_grid(vectors[:10]) + on_grid(vectors[10:20]))
    exact = cosines(on_grid(vectors[:10]) + on_grid(vectors[10:20]), vectors, rows)
    for number in range(10):
        order = stable_order(exact[number])
        assert compared.row(number).nearest(90).tolist() == order
        window = np.arange(30, 61)
        assert compared.row(number).at_ranks(window).tolist() == order[29:60]


def test_a_gallery_of_more_than_one_block_is_compared_in_full() -> None:
    vectors = np.random.default_rng(0).normal(size=(COLUMN_BLOCK + 5, 4)).astype(np.float32)
    rows = np.arange(len(vectors))
    assert np.allclose(products(vectors[:3], vectors, rows), vectors[:3] @ vectors.T, atol=1e-5)


def test_vectors_that_are_missing_do_not_blur_the_others() -> None:
    vectors = np.asarray([[1, 0], [np.nan, np.nan], [0, 1]], dtype=np.float32)
    compared = Gallery(vectors, np.arange(3)).compare(vectors, on_grid(np.nan_to_num(vectors)))
    assert compared.bound < 1e-5


@pytest.mark.gpu
def test_a_gpu_finds_what_the_processor_finds() -> None:
    vectors = np.random.default_rng(1).normal(size=(3_000, 768)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = np.arange(len(vectors))
    found = [
        Gallery(vectors, rows, device).compare(vectors[:50], on_grid(vectors[:50]))
        for device in (None, torch.device("cuda"))
    ]
    for number in range(50):
        here, there = (compared.row(number).at_ranks(np.arange(1_000, 1_500)).tolist() for compared in found)
        assert here == there
