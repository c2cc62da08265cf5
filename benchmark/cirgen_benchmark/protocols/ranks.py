"""Where the right images stand: similarities in blocks, and a count instead of a sort.

The similarity of a query and an image is their dot product, in float64; where an image has T vectors, the largest of
the T. The rank of a target is the number of candidates that are at least as similar to the query, itself included.

Ties count against the model: a wrong candidate as similar as a right one stands before it, wherever its row is. So a
model that gives all images one vector finds nothing, and an order of the gallery that puts targets first is worth
nothing. Two similarities are tied when they differ by at most `TIE` times the norm of the query and the largest norm
in the gallery. That is more than rounding does to them (products of float32 numbers are exact in float64; sums of
4,096 of them err by less than 5e-13 of those norms), and far less than a step of float32 (6e-8).

Q queries, N images, d dimensions, T vectors an image, P right images a query, B queries of a block.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cirgen_benchmark.protocols.figures import BEYOND, Floats, Ranks

Bools = NDArray[np.bool_]
Rows = NDArray[np.int64]
"""Rows of a gallery; `NONE` stands for no row."""
Vectors = NDArray[np.float32]

NONE = -1
TIE = 1e-12
BLOCK_QUERIES = 512
BLOCK_SIMILARITIES = 1 << 24
"""At most so many similarities at a time: 128 MiB."""
BLOCK_NUMBERS = 1 << 22
"""At most so many numbers of a gallery are turned to float64 at a time: 32 MiB."""


class Block(NamedTuple):
    """Some queries of a search."""

    rows: slice
    """Which queries of the search."""
    similarities: Floats
    """[B, N]; minus infinity for what is no candidate."""
    tolerance: Floats
    """[B]: similarities that differ by no more are tied."""

    def floors(self, targets: Rows) -> Floats:
        """Return the least similarity that stands before, or as high as, each query's target [B]."""
        return np.asarray(self.similarities[np.arange(len(targets)), targets] - self.tolerance)


@dataclass(frozen=True)
class Search:
    """Queries and the gallery that all of them are asked of."""

    queries: Vectors
    """[Q, d]"""
    gallery: Vectors
    """[N, d] or [N, T, d]"""
    present: Bools
    """[N]: which images are candidates."""
    removed: Rows
    """[Q]: the row that is no candidate for a query, or `NONE`."""

    def blocks(self) -> Iterator[Block]:
        """Yield the similarities of a few queries with all images at a time, in order."""
        tolerance = TIE * norms(self.queries) * norms(self.gallery).max(initial=0.0)
        absent = ~self.present
        size = max(1, min(BLOCK_QUERIES, BLOCK_SIMILARITIES // max(1, len(self.gallery))))
        for start in range(0, len(self.queries), size):
            rows = slice(start, start + size)
            found = similarities(self.queries[rows], self.gallery)
            if absent.any():
                found[:, absent] = -np.inf
            removed = self.removed[rows]
            which = np.flatnonzero(removed != NONE)
            found[which, removed[which]] = -np.inf
            yield Block(rows, found, tolerance[rows])


def norms(vectors: Vectors) -> Floats:
    """Return the norm of each row [n, d], or the largest of each row's vectors [n, T, d], in float64 [n]."""
    squares = np.einsum("...d,...d->...", vectors, vectors, dtype=np.float64)
    return np.asarray(np.sqrt(squares if squares.ndim == 1 else squares.max(axis=1)))


def similarities(queries: Vectors, gallery: Vectors) -> Floats:
    """Return the similarities [B, N] of queries [B, d] with images [N, d] or [N, T, d]."""
    exact = queries.astype(np.float64)
    step = max(1, BLOCK_NUMBERS // max(1, gallery[:1].size))
    if len(gallery) <= step:
        return _products(exact, gallery)
    found = np.empty((len(queries), len(gallery)))
    for start in range(0, len(gallery), step):
        found[:, start : start + step] = _products(exact, gallery[start : start + step])
    return found


def _products(exact: Floats, gallery: Vectors) -> Floats:
    part = gallery.astype(np.float64)
    products = exact @ part.reshape(-1, part.shape[-1]).T
    return products if part.ndim == 2 else products.reshape(len(exact), *part.shape[:2]).max(axis=2)


def among_rows(block: Block, rows: Rows) -> Floats:
    """Return the similarities of some images of each query [B, M]; minus infinity for each `NONE` of rows [B, M]."""
    found = np.take_along_axis(block.similarities, np.maximum(rows, 0), axis=1)
    return np.asarray(np.where(rows == NONE, -np.inf, found))


def confined(block: Block, rows: Rows) -> Block:
    """Return the block with no candidates but some images of each query [B, M]; `NONE` is no image."""
    only = np.full_like(block.similarities, -np.inf)
    queries, places = np.nonzero(rows != NONE)
    images = rows[queries, places]
    only[queries, images] = block.similarities[queries, images]
    return block._replace(similarities=only)


def at_least(similarities: Floats, floors: Floats) -> Ranks:
    """Count in each row what is at least as high as its floor [B]."""
    return np.asarray(np.count_nonzero(similarities >= floors[:, None], axis=1), dtype=np.int32)


def right_ranks(block: Block, rights: Rows) -> Ranks:
    """Return the places of the right images of each query, ascending [B, P].

    Args:
        block: of the search.
        rights: [B, P] distinct candidates, `NONE` in the places of a query that has fewer.

    Returns:
        `BEYOND` in the place of each `NONE`, behind all others.
    """
    known = rights != NONE
    own = np.where(known, np.take_along_axis(block.similarities, np.maximum(rights, 0), axis=1), np.nan)
    floors = own - block.tolerance[:, None]
    ahead = np.full(rights.shape, BEYOND, dtype=np.int64)
    for place in range(rights.shape[1]):
        which = np.flatnonzero(known[:, place])
        candidates = block.similarities if len(which) == len(known) else block.similarities[which]
        ahead[which, place] = at_least(candidates, floors[which, place])
    right = (own[:, None, :] >= floors[:, :, None]).sum(axis=2)  # [B, P]: right images at least as high
    wrong = np.sort(np.where(known, ahead - right, BEYOND), axis=1)
    return np.where(wrong < BEYOND, wrong + np.arange(1, rights.shape[1] + 1), BEYOND).astype(np.int32)


def own_gallery_ranks(queries: Vectors, gallery: Vectors, owners: Rows, targets: Rows, candidates: Bools) -> Ranks:
    """Return the rank of each query's target within a gallery of the query's own [Q].

    Args:
        queries: [Q, d].
        gallery: [M, d] or [M, T, d]: the galleries of all queries, one after the other.
        owners: [M] the query whose gallery the row is in.
        targets: [Q] the row of each query's target.
        candidates: [M] which rows compete; targets do.
    """
    found = paired(queries, gallery, owners)
    tolerance = TIE * norms(queries) * norms(gallery).max(initial=0.0)
    ahead = candidates & (found >= (found[targets] - tolerance)[owners])
    return np.bincount(owners[ahead], minlength=len(queries)).astype(np.int32)


def paired(queries: Vectors, gallery: Vectors, owners: Rows) -> Floats:
    """Return the similarity of each row of a gallery [M, d] or [M, T, d] with its own query [M]."""
    found = np.empty(len(gallery))
    step = max(1, BLOCK_NUMBERS // max(1, gallery[:1].size))
    for start in range(0, len(gallery), step):
        part = slice(start, start + step)
        products: Any = np.einsum(
            "m...d,md->m...", gallery[part].astype(np.float64), queries[owners[part]].astype(np.float64)
        )
        found[part] = products if products.ndim == 1 else products.max(axis=1)
    return found


def first(block: Block, k: int, order: Rows) -> list[Rows]:
    """Return the k most similar candidates of each query, best first; tied ones as `order` has them.

    Args:
        block: of the search.
        k: how many; all where there are fewer.
        order: [N] place of each image among tied ones, such as that of its id in the alphabet.
    """
    images = block.similarities.shape[1]
    least = np.partition(block.similarities, max(0, images - k), axis=1)[:, max(0, images - k)] - block.tolerance
    return [
        _ordered(row, np.flatnonzero((row >= floor) & (row > -np.inf)), tolerance, order)[:k]
        for row, floor, tolerance in zip(block.similarities, least, block.tolerance, strict=True)
    ]


def _ordered(similarities: Floats, candidates: Rows, tolerance: float, order: Rows) -> Rows:
    """Sort candidates by similarity; where the next one is tied with the one before, both are of one group."""
    found = similarities[candidates]
    by_similarity = np.lexsort((order[candidates], -found))
    gaps = -np.diff(found[by_similarity]) > tolerance
    groups = np.concatenate([[0], np.cumsum(gaps)])[: len(candidates)]
    sorted_candidates = candidates[by_similarity]
    return np.asarray(sorted_candidates[np.lexsort((order[sorted_candidates], groups))])


def alphabetical(ids: Sequence[str]) -> Rows:
    """Return the place of each id when all are sorted as text [N]."""
    places = np.empty(len(ids), dtype=np.int64)
    places[sorted(range(len(ids)), key=ids.__getitem__)] = np.arange(len(ids))
    return places
