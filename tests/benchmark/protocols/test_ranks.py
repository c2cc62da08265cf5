"""Ranks agree with a sort by hand, ties count against the model, and the order of rows decides nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_benchmarks import oracle_places, oracle_rank, similarity
from numpy.typing import NDArray

from cirgen_benchmark.protocols import ranks
from cirgen_benchmark.protocols.figures import BEYOND
from cirgen_benchmark.protocols.ranks import (
    NONE,
    Search,
    among,
    confined,
    count,
    first,
    own_gallery_ranks,
    right_ranks,
)


@st.composite
def searches(draw: st.DrawFn) -> Search:
    """Small galleries of whole numbers, so that ties are many and exact; some images absent, some removed."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    queries, images, dimensions = draw(st.integers(1, 6)), draw(st.integers(3, 12)), draw(st.integers(1, 4))
    vectors = draw(st.sampled_from([(), (1,), (3,)]))
    present = np.ones(images, dtype=np.bool_)
    present[list(draw(st.sets(st.integers(0, images - 1), max_size=images - 2)))] = False
    return Search(
        rng.integers(-2, 3, size=(queries, dimensions)).astype(np.float32),
        rng.integers(-2, 3, size=(images, *vectors, dimensions)).astype(np.float32),
        present,
        rng.integers(NONE, images, size=queries),
    )


def candidates(search: Search, query: int) -> dict[str, float]:
    found = {}
    for image in range(len(search.gallery)):
        if search.present[image] and search.removed[query] != image:
            found[str(image)] = similarity(search.queries[query], search.gallery[image])
    return found


def some(search: Search, rng: np.random.Generator, number: int) -> NDArray[np.int64]:
    """Draw up to `number` candidates for each query, at least one where there is one."""
    rows = np.full((len(search.queries), number), NONE, dtype=np.int64)
    for query in range(len(search.queries)):
        known = [int(name) for name in candidates(search, query)]
        chosen = rng.permutation(known)[: rng.integers(1, number + 1)]
        rows[query, : len(chosen)] = chosen
    return rows


@given(searches(), st.integers(0, 2**32))
def test_ranks_are_those_of_a_sort_by_hand_with_wrong_images_before_right_ones(search: Search, seed: int) -> None:
    rights = some(search, np.random.default_rng(seed), 4)
    found = np.concatenate([right_ranks(block, rights[block.rows]) for block in search.blocks()])
    for query, row in enumerate(rights):
        known = [str(image) for image in row if image != NONE]
        places = oracle_places(candidates(search, query), known)
        assert found[query].tolist() == places + [BEYOND] * (4 - len(places))


@given(searches(), st.integers(0, 2**32))
def test_a_target_stands_behind_all_that_it_is_tied_with(search: Search, seed: int) -> None:
    targets = some(search, np.random.default_rng(seed), 1)[:, 0]
    for query in np.flatnonzero(targets != NONE):
        alone = Search(search.queries[[query]], search.gallery, search.present, search.removed[[query]])
        (block,) = alone.blocks()
        expected = oracle_rank(candidates(search, int(query)), str(targets[query]))
        assert block.target_ranks(targets[[query]]).tolist() == [expected]


@given(searches(), st.integers(1, 12), st.integers(0, 2**32))
def test_the_first_images_are_sorted_and_tied_ones_are_in_the_given_order(search: Search, k: int, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(search.gallery))
    found = [rows.tolist() for block in search.blocks() for rows in first(block, k, order)]
    for query, rows in enumerate(found):
        known = candidates(search, query)
        expected = sorted(known, key=lambda name: (-known[name], order[int(name)]))[:k]
        assert [str(row) for row in rows] == expected


@given(searches(), st.integers(0, 2**32))
def test_confined_to_a_few_images_a_search_finds_no_others(search: Search, seed: int) -> None:
    rng = np.random.default_rng(seed)
    few = some(search, rng, 3)
    for block in search.blocks():
        for query, rows in enumerate(first(confined(block, few[block.rows]), 99, np.arange(len(search.gallery)))):
            assert sorted(rows) == sorted(row for row in few[block.rows][query] if row != NONE)


@given(searches(), st.integers(0, 2**32))
def test_an_order_of_rows_decides_nothing(search: Search, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rights = some(search, rng, 3)
    order = rng.permutation(len(search.gallery))
    place = np.append(np.argsort(order), NONE)
    turned = Search(search.queries, search.gallery[order], search.present[order], place[search.removed])
    ranked = [
        np.concatenate([right_ranks(block, rows[block.rows]) for block in one.blocks()])
        for one, rows in ((search, rights), (turned, place[rights]))
    ]
    assert (ranked[0] == ranked[1]).all()


@pytest.mark.parametrize("size", [1e-30, 1.0, 3e18])
@pytest.mark.parametrize("dimensions", [3, 512])
def test_twins_tie_in_every_place_whatever_their_size(size: float, dimensions: int) -> None:
    rng = np.random.default_rng(0)
    gallery = rng.normal(size=(600, dimensions)).astype(np.float32) * np.float32(size)
    gallery[300:] = gallery[:300]
    queries = rng.normal(size=(40, dimensions)).astype(np.float32) * np.float32(size)
    search = Search(queries, gallery, np.ones(600, dtype=np.bool_), np.full(40, NONE))
    (block,) = search.blocks()
    one, other = (block.target_ranks(np.full(40, row)) for row in (7, 307))
    assert (one == other).all()
    assert (one % 2 == 0).all()  # behind its twin, and all others come in twins


def test_one_vector_for_all_images_finds_nothing() -> None:
    search = Search(np.ones((5, 8), np.float32), np.ones((50, 8), np.float32), np.ones(50, np.bool_), np.full(5, NONE))
    (block,) = search.blocks()
    assert block.target_ranks(np.arange(5)).tolist() == [50] * 5


@pytest.mark.parametrize("others", [100, 2_000], ids=["many", "few"])
@pytest.mark.parametrize("dimensions", [8, 512])
def test_what_float32_cannot_tell_is_told_by_float64(dimensions: int, others: int) -> None:
    """Candidates within a few roundings of the target are ordered as exact arithmetic orders them."""
    rng = np.random.default_rng(1)
    query = rng.normal(size=(1, dimensions)).astype(np.float32)
    steps = np.arange(-20, 21, dtype=np.float32)[:, None] * np.float32(2**-23)
    near = rng.normal(size=(1, dimensions)).astype(np.float32) * (1 + steps)
    gallery = np.concatenate([near, rng.normal(size=(others, dimensions)).astype(np.float32)])
    search = Search(query, gallery, np.ones(len(gallery), dtype=np.bool_), np.array([NONE]))
    (block,) = search.blocks()
    exact = gallery.astype(np.float64) @ query[0].astype(np.float64)
    for target in range(41):
        assert block.target_ranks(np.array([target])).tolist() == [int((exact >= exact[target]).sum())]


def test_blocks_of_any_shape_give_the_same_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    search = Search(
        rng.normal(size=(30, 6)).astype(np.float32),
        rng.normal(size=(50, 2, 6)).astype(np.float32),
        rng.random(50) > 0.1,
        rng.integers(NONE, 50, size=30),
    )
    rights = some(search, rng, 3)

    def ranked() -> list[Any]:
        blocks = list(search.blocks())
        places = np.concatenate([right_ranks(block, rights[block.rows]) for block in blocks])
        return [places.tolist(), [rows.tolist() for block in blocks for rows in first(block, 5, np.arange(50))]]

    whole = ranked()
    monkeypatch.setattr(ranks, "BLOCK_QUERIES", 7)
    monkeypatch.setattr(ranks, "BLOCK_NUMBERS", 40)
    monkeypatch.setattr(ranks, "DOUBTFUL_SHARE", -1.0)
    assert ranked() == whole


@given(st.integers(0, 2**32), st.sampled_from([(), (2,)]))
def test_ranks_in_galleries_of_ones_own_are_those_of_a_count_by_hand(seed: int, vectors: tuple[int, ...]) -> None:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 6, size=4)
    owners, targets = np.repeat(np.arange(4), lengths), np.cumsum(lengths) - lengths
    gallery = rng.integers(-1, 2, size=(int(lengths.sum()), *vectors, 2)).astype(np.float32)
    queries = rng.integers(-1, 2, size=(4, 2)).astype(np.float32)
    competing = rng.random(len(gallery)) > 0.2
    competing[targets] = True
    found = own_gallery_ranks(queries, gallery, owners, targets, competing)
    for query in range(4):
        rows = [row for row in np.flatnonzero(owners == query) if competing[row]]
        own = {str(row): similarity(queries[query], gallery[row]) for row in rows}
        assert found[query] == oracle_rank(own, str(targets[query]))


def test_what_is_no_row_is_never_found() -> None:
    found = np.array([[True, False, True]])
    assert count(among(found, np.array([[0, 1, NONE, 2]]))).tolist() == [2]
