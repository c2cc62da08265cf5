"""Where the right images stand: similarities in blocks, and a count instead of a sort.

The similarity of a query and an image is their dot product; where an image has T vectors, the largest of the T. The
rank of a target is the number of candidates that are at least as similar to the query, itself included.

Ties count against the model: a wrong candidate as similar as a right one stands before it, wherever its row is. So a
model that gives all images one vector finds nothing, and an order of the gallery that puts targets first is worth
nothing. Two similarities are tied when they differ by at most `TIE` times the norm of the query and the largest norm
in the gallery. That is more than rounding does to them in float64 (products of float32 numbers are exact there; sums
of 4,096 of them err by less than 5e-13 of those norms), and far less than a step of float32 (6e-8).

All that is decided in float64. Most comparisons are clear in float32 already, within its error bound, and a matrix
product in float32 takes half the time: only the others are computed again.

Q queries, N images, d dimensions, T vectors an image, P right images a query, B queries of a block.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cirgen_benchmark.protocols.figures import BEYOND, Floats, Ranks

Bools = NDArray[np.bool_]
Rows = NDArray[np.int64]
"""Rows of a gallery; `NONE` stands for no row."""
Vectors = NDArray[np.float32]

NONE = -1
TIE = 1e-12
STEP = 2.0**-24
"""Largest relative error of one rounding to float32."""
BLOCK_QUERIES = 512
BLOCK_SIMILARITIES = 1 << 24
"""At most so many similarities at a time: 64 MiB."""
BLOCK_NUMBERS = 1 << 22
"""At most so many numbers are turned to float64 at a time: 32 MiB."""
DOUBTFUL_SHARE = 1 / 16
"""From this share of a block on, all of it is computed in float64: picking pairs would take longer."""


@dataclass(frozen=True)
class Block:
    """Some queries of a search."""

    rows: slice
    """Which queries of the search."""
    rough: Vectors
    """[B, N] similarities in float32, no further than `error` from the exact ones; minus infinity for what is no
    candidate."""
    error: Floats
    """[B]"""
    tolerance: Floats
    """[B]: similarities that differ by no more are tied."""
    queries: Vectors
    """[B, d]"""
    gallery: Vectors
    """[N, d] or [N, T, d]"""

    def exact(self, queries: Rows, images: Rows) -> Floats:
        """Return the similarities of some queries of the block with one image each, in float64 [m]."""
        return paired(self.queries, queries, self.gallery, images)

    def ahead(self, queries: Rows, images: Rows) -> Bools:
        """Return which candidates are at least as similar to a query as one image is, itself included [m, N].

        Args:
            queries: [m] of the block, ascending.
            images: [m] a candidate of each of these queries.
        """
        rough = self.rough if len(queries) == len(self.rough) else self.rough[queries]
        least, error = self.exact(queries, images) - self.tolerance[queries], self.error[queries]
        found = rough >= _column(least - error)
        doubtful = found ^ (rough >= _column(least + error))
        if np.count_nonzero(doubtful) > DOUBTFUL_SHARE * doubtful.size:
            exact = similarities(self.queries[queries].astype(np.float64), self.gallery)
            return np.asarray((rough > -np.inf) & (exact >= least[:, None]))
        row, image = np.divmod(np.flatnonzero(doubtful), doubtful.shape[1])  # np.nonzero is 5 times slower
        found[row, image] = self.exact(queries[row], image) >= least[row]
        return found

    def target_ranks(self, targets: Rows) -> Ranks:
        """Return the rank of each query's target, a candidate [B]."""
        return count(self.ahead(np.arange(len(targets)), targets))


def _column(values: Floats) -> Vectors:
    return values.astype(np.float32)[:, None]


def count(found: Bools) -> Ranks:
    """Count what is true in each row [B]."""
    return np.asarray(np.count_nonzero(found, axis=1), dtype=np.int32)


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
        queries = scaled(self.queries, norms(self.queries))
        gallery = scaled(self.gallery, norms(self.gallery).max(initial=0.0))
        reach = norms(queries) * norms(gallery).max(initial=0.0)
        error = (queries.shape[1] + 8) * STEP * reach  # d roundings of a sum, and of the inputs and the thresholds
        absent = np.flatnonzero(~self.present)
        size = max(1, min(BLOCK_QUERIES, BLOCK_SIMILARITIES // max(1, len(gallery))))
        for start in range(0, len(queries), size):
            rows = slice(start, start + size)
            rough = similarities(queries[rows].astype(np.float32), gallery)
            rough[:, absent] = -np.inf
            removed = self.removed[rows]
            which = np.flatnonzero(removed != NONE)
            rough[which, removed[which]] = -np.inf
            yield Block(rows, rough, error[rows], TIE * reach[rows], queries[rows], gallery)


def norms(vectors: Vectors) -> Floats:
    """Return the norm of each row [n, d], or the largest of each row's vectors [n, T, d], in float64 [n]."""
    squares = np.einsum("...d,...d->...", vectors, vectors, dtype=np.float64)
    return np.asarray(np.sqrt(squares if squares.ndim == 1 else squares.max(axis=1)))


def scaled(vectors: Vectors, sizes: Floats | float) -> Vectors:
    """Return vectors divided by the power of two that is nearest to their size, which rounds nothing.

    Scaling a query, or a whole gallery, changes no rank, and keeps float32 from overflow.

    Args:
        vectors: [n, ...].
        sizes: [n], or one for all; 0 counts as 1.
    """
    powers = np.round(np.log2(np.where(np.asarray(sizes) > 0, sizes, 1.0)))
    if not powers.any():
        return vectors
    shape = (-1,) + (1,) * (vectors.ndim - 1) if powers.ndim else ()
    return np.asarray(np.ldexp(vectors, -powers.astype(np.int32).reshape(shape)))


def similarities(queries: NDArray[Any], gallery: Vectors) -> NDArray[Any]:
    """Return the similarities [B, N] of queries [B, d] with images [N, d] or [N, T, d], in the queries' precision."""
    step = max(1, BLOCK_NUMBERS // max(1, gallery[:1].size))
    if len(gallery) <= step:
        return _products(queries, gallery)
    found = np.empty((len(queries), len(gallery)), dtype=queries.dtype)
    for start in range(0, len(gallery), step):
        found[:, start : start + step] = _products(queries, gallery[start : start + step])
    return found


def _products(queries: NDArray[Any], gallery: Vectors) -> NDArray[Any]:
    part = gallery.astype(queries.dtype, copy=False)
    products: NDArray[Any] = queries @ part.reshape(-1, part.shape[-1]).T
    return products if part.ndim == 2 else products.reshape(len(queries), *part.shape[:2]).max(axis=2)


def paired(queries: Vectors, of_query: Rows, images: Vectors, of_image: Rows) -> Floats:
    """Return the similarity of pairs of a query and an image, in float64 [m].

    Args:
        queries: [Q, d].
        of_query: [m] the query of each pair.
        images: [N, d] or [N, T, d].
        of_image: [m] the image of each pair.
    """
    found = np.empty(len(of_query))
    step = max(1, BLOCK_NUMBERS // max(1, images[:1].size))
    for start in range(0, len(found), step):
        part = slice(start, start + step)
        one, other = images[of_image[part]].astype(np.float64), queries[of_query[part]].astype(np.float64)
        products: Any = np.einsum("m...d,md->m...", one, other)
        found[part] = products if products.ndim == 1 else products.max(axis=1)
    return found


def right_ranks(block: Block, rights: Rows) -> Ranks:
    """Return the places of the right images of each query, ascending [B, P].

    Args:
        block: of the search.
        rights: [B, P] distinct candidates, `NONE` in the places of a query that has fewer.

    Returns:
        `BEYOND` in the place of each `NONE`, behind all others.
    """
    wrong = np.full(rights.shape, BEYOND, dtype=np.int64)
    for place in range(rights.shape[1]):
        which = np.flatnonzero(rights[:, place] != NONE)
        ahead = block.ahead(which, rights[which, place])
        wrong[which, place] = count(ahead) - count(among(ahead, rights[which]))
    wrong.sort(axis=1)
    return np.where(wrong < BEYOND, wrong + np.arange(1, rights.shape[1] + 1), BEYOND).astype(np.int32)


def among(found: Bools, rows: Rows) -> Bools:
    """Return what is found of some images of each query [B, M]; `NONE` is never found."""
    return np.asarray(np.take_along_axis(found, np.maximum(rows, 0), axis=1) & (rows != NONE))


def own_gallery_ranks(queries: Vectors, gallery: Vectors, owners: Rows, targets: Rows, candidates: Bools) -> Ranks:
    """Return the rank of each query's target within a gallery of the query's own [Q].

    Args:
        queries: [Q, d].
        gallery: [M, d] or [M, T, d]: the galleries of all queries, one after the other.
        owners: [M] the query whose gallery the row is in.
        targets: [Q] the row of each query's target.
        candidates: [M] which rows compete; targets do.
    """
    found = paired(queries, owners, gallery, np.arange(len(gallery)))
    tolerance = TIE * norms(queries) * norms(gallery).max(initial=0.0)
    ahead = candidates & (found >= (found[targets] - tolerance)[owners])
    return np.bincount(owners[ahead], minlength=len(queries)).astype(np.int32)


def first(block: Block, k: int, order: Rows) -> list[Rows]:
    """Return the k most similar candidates of each query, best first; tied ones as `order` has them.

    Args:
        block: of the search.
        k: how many; all where there are fewer.
        order: [N] place of each image among tied ones, such as that of its id in the alphabet.
    """
    kth = max(0, block.rough.shape[1] - k)
    least = np.partition(block.rough, kth, axis=1)[:, kth] - 2 * block.error - block.tolerance
    found = []
    for query, row in enumerate(block.rough):
        candidates = np.flatnonzero((row >= np.float32(least[query])) & (row > -np.inf))
        exact = block.exact(np.full(len(candidates), query), candidates)
        found.append(candidates[_sorted(exact, order[candidates], float(block.tolerance[query]))][:k])
    return found


def _sorted(similarities: Floats, order: Rows, tolerance: float) -> Rows:
    """Sort by similarity, highest first; where one is tied with the next, both are of one group, sorted by `order`."""
    by_similarity = np.argsort(-similarities, kind="stable")
    gaps = -np.diff(similarities[by_similarity], prepend=similarities[by_similarity][:1]) > tolerance
    groups = np.empty(len(similarities), dtype=np.int64)
    groups[by_similarity] = np.cumsum(gaps)
    return np.lexsort((order, groups))


def confined(block: Block, rows: Rows) -> Block:
    """Return the block with no candidates but some images of each query [B, M]; `NONE` is no image."""
    only = np.full_like(block.rough, -np.inf)
    queries, places = np.nonzero(rows != NONE)
    images = rows[queries, places]
    only[queries, images] = block.rough[queries, images]
    return replace(block, rough=only)


def alphabetical(ids: Sequence[str]) -> Rows:
    """Return the place of each id when all are sorted as text [N]."""
    places = np.empty(len(ids), dtype=np.int64)
    places[sorted(range(len(ids)), key=ids.__getitem__)] = np.arange(len(ids))
    return places
