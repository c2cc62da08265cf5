"""Similarities of references with a pool: fast figures in float32, and exact ones (`cirgen.cosine`) where they decide.

A product in float32 comes within `error_bound` of the exact cosine, whatever order the additions come in (Higham 2002,
section 3.1: the error of a dot product of d terms is at most d u / (1 - d u) times the product of the lengths, u =
2**-24). So a rank or a threshold is settled by the fast figures but for the few images that lie within that bound of
it, whose exact cosines are computed: what comes out is what exact cosines of all images would give, on every machine,
device and for every block shape, at the price of one product in float32.

n: images of the pool; b: references handled at once; "place" is one of the n.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cirgen.cosine import COLUMN_BLOCK, GRID, Exact, Vectors, on_grid

if TYPE_CHECKING:
    import torch

Places = NDArray[np.int64]
Mask = NDArray[np.bool_]
Fast = NDArray[np.float32]

UNIT = 2.0**-24
"""Rounding error of float32, relative."""
FEW = 64
"""Images whose exact cosines cost no more than another look at the whole row."""


def error_bound(width: int, query: float, vector: float) -> float:
    """Return how far a product in float32 may be from the exact cosine, for vectors of these lengths.

    Args:
        width: d of the embeddings.
        query: greatest length of a query, which may be a sum of two embeddings.
        vector: greatest length of an embedding of the pool.
    """
    additions = 1.01 * (width + 8) * UNIT * query * vector
    to_grid = np.sqrt(width) * GRID * (query + vector)
    return float(additions + to_grid)


def longest(vectors: Vectors, rows: NDArray[np.int64]) -> float:
    """Return the greatest length among some rows of a matrix, but for those without an embedding."""
    parts = (vectors[rows[start : start + COLUMN_BLOCK]] for start in range(0, len(rows), COLUMN_BLOCK))
    return max(map(_longest, parts), default=0.0)


def _longest(vectors: Vectors) -> float:
    lengths = np.linalg.norm(vectors, axis=1)
    return float(lengths.max(where=np.isfinite(lengths), initial=0.0))


@dataclass(frozen=True)
class Row:
    """How near every image of a pool is to one reference."""

    fast: Fast
    """[n] within `bound` of the cosine; -inf where an image is no candidate, which no rank ever reaches."""
    bound: float
    exact: Callable[[Places], Exact]
    """Returns the exact cosines of some places."""

    @cached_property
    def candidates(self) -> int:
        """Return how many images are candidates."""
        return int(np.count_nonzero(self.fast > -np.inf))

    def only(self, allowed: Mask) -> Row:
        """Return the row with nobody but those of the candidates that are allowed."""
        return replace(self, fast=np.where(allowed, self.fast, np.float32(-np.inf)))

    def within(self, lower: float, upper: float) -> Mask:
        """Return which candidates have a cosine from `lower` to `upper` [n]."""
        if lower == -np.inf and upper == np.inf:
            return np.asarray(self.fast > -np.inf)
        inside: Mask = (self.fast >= _down(lower - self.bound)) & (self.fast <= _up(upper + self.bound))
        inside &= self.fast > -np.inf
        sure = (self.fast > _up(lower + self.bound)) & (self.fast < _down(upper - self.bound))
        unsure = np.flatnonzero(inside & ~sure)
        cosines = self.exact(unsure)
        inside[unsure] = (cosines >= lower) & (cosines <= upper)
        return inside

    def at_ranks(self, ranks: NDArray[np.int64]) -> Places:
        """Return the places of some ranks: 1 is the nearest; of equal cosines, the one that comes first.

        Args:
            ranks: [k], each from 1 to the number of candidates.
        """
        if not len(ranks):
            return ranks
        indices = len(self.fast) - ranks
        values = np.partition(self.fast, np.unique(indices))[indices]
        found = np.empty(len(ranks), dtype=np.int64)
        parts = [np.argsort(ranks, kind="stable")]
        while parts:
            part = parts.pop()
            # the exact cosine of a rank is as near to the fast one of that rank as any cosine is to its own
            low, high = float(values[part[-1]]) - 2 * self.bound, float(values[part[0]]) + 2 * self.bound
            places = self._between(low, high)
            if len(places) > FEW + 4 * len(part) and len(part) > 1:
                parts += [part[: len(part) // 2], part[len(part) // 2 :]]
                continue
            nearer = np.count_nonzero(self.fast > _up(high))
            found[part] = self._nearest_first(places)[ranks[part] - 1 - nearer]
        return found

    def first(self, count: int) -> Mask:
        """Return who has one of the ranks 1 to `count` [n]."""
        if count >= self.candidates:
            return np.asarray(self.fast > -np.inf)
        value = float(np.partition(self.fast, -count)[-count]) if count else np.inf
        low, high = value - 2 * self.bound, value + 2 * self.bound
        among = np.asarray(self.fast > _up(high))
        unsure = self._nearest_first(self._between(low, high))
        among[unsure[: count - np.count_nonzero(among)]] = True
        return among

    def _between(self, low: float, high: float) -> Places:
        return np.flatnonzero((self.fast >= _down(low)) & (self.fast <= _up(high)))

    def _nearest_first(self, places: Places) -> Places:
        """Sort places by cosine; exact ones are computed where fast ones are too close to tell."""
        order = places[np.argsort(-self.fast[places], kind="stable")]
        fast = self.fast[order].astype(np.float64)
        close = fast[:-1] - fast[1:] <= 2 * self.bound
        if close.any():
            tied = np.zeros(len(order), dtype=np.bool_)
            tied[1:] |= close
            tied[:-1] |= close
            run = np.concatenate(([0], np.cumsum(~close)))[tied]
            unsure = order[tied]
            order[tied] = unsure[np.lexsort((unsure, -self.exact(unsure), run))]
        return order

    def rank_of(self, place: int) -> int:
        """Return the rank of one place, the inverse of `at_ranks`."""
        return self.rank_at(float(self.exact(np.asarray([place]))[0]), place)

    def rank_at(self, cosine: float, place: int) -> int:
        """Return the rank of an image of this cosine that comes before the equally near ones from `place` on."""
        low, high = cosine - self.bound, cosine + self.bound
        places = self._between(low, high)
        cosines = self.exact(places)
        nearer = np.count_nonzero(self.fast > _up(high)) + np.count_nonzero(cosines > cosine)
        return int(nearer + np.count_nonzero(cosines[places < place] == cosine)) + 1

    def nearest(self, count: int) -> Places:
        """Return the places of the nearest, nearest first; fewer where fewer are candidates."""
        count = min(count, self.candidates)
        if not count:
            return np.empty(0, dtype=np.int64)
        low = float(np.partition(self.fast, -count)[-count]) - 2 * self.bound
        return self._nearest_first(np.flatnonzero(self.fast >= _down(low)))[:count]


def _down(value: float) -> np.float32:
    """Return a float32 that is not above a value."""
    return np.float32(np.nextafter(np.float32(value), np.float32(-np.inf)))


def _up(value: float) -> np.float32:
    """Return a float32 that is not below a value."""
    return np.float32(np.nextafter(np.float32(value), np.float32(np.inf)))


class Gallery:
    """Some rows of a matrix of embeddings, with which references are compared.

    Args:
        vectors: [N, d], L2-normalised; read a block at a time.
        rows: [n] rows of it.
        device: computes the products; changes speed alone. None is the processor.
    """

    def __init__(self, vectors: Vectors, rows: NDArray[np.int64], device: torch.device | None = None) -> None:
        self._vectors = np.asarray(vectors)  # indexing a memory map makes a memory map, which costs more than the rows
        self._rows: NDArray[np.int64] | None = rows
        if len(rows) and rows[-1] - rows[0] == len(rows) - 1 and (np.diff(rows) == 1).all():
            self._vectors, self._rows = self._vectors[rows[0] : rows[-1] + 1], None  # read without a copy
        self._count = len(rows)
        self._length = longest(vectors, rows)
        self._block = np.empty(0, dtype=np.float32)
        self._device = None if device is None or device.type == "cpu" else device

    def __len__(self) -> int:
        return self._count

    def compare(self, fast: Fast, exact: Exact) -> Compared:
        """Compare queries with the gallery; what is returned holds until the next call.

        Args:
            fast: [b, d] embeddings, or sums of two.
            exact: [b, d] the same, as `on_grid` returns them.
        """
        bound = error_bound(fast.shape[1], _longest(fast), self._length)
        found = products(fast, self._vectors, self._rows, self._device, self._room(len(fast)))
        return Compared(found, bound, exact, self._exactly)

    def _room(self, queries: int) -> Fast:
        """Return where a block of products goes: one place for all, since the system clears new memory first."""
        if self._block.size < queries * self._count:
            self._block = np.empty(queries * self._count, dtype=np.float32)
        return self._block[: queries * self._count].reshape(queries, self._count)

    def _exactly(self, query: Exact, places: Places) -> Exact:
        rows = places if self._rows is None else self._rows[places]
        return np.asarray(on_grid(self._vectors[rows]) @ query * (GRID * GRID))


@dataclass(frozen=True)
class Compared:
    """Queries and how near a gallery is to each."""

    fast: Fast
    """[b, n]; who is no candidate may be set to -inf."""
    bound: float
    queries: Exact
    exactly: Callable[[Exact, Places], Exact]

    def row(self, number: int) -> Row:
        """Return the row of one query."""
        query = self.queries[number]
        return Row(self.fast[number], self.bound, lambda places: self.exactly(query, places))


def products(
    queries: Fast,
    vectors: Vectors,
    rows: NDArray[np.int64] | None = None,
    device: torch.device | None = None,
    out: Fast | None = None,
) -> Fast:
    """Return dot products in float32 of queries with some rows of a matrix, or all [b, n], a block at a time."""
    count = len(vectors) if rows is None else len(rows)
    found = np.empty((len(queries), count), dtype=np.float32) if out is None else out
    multiply = _on_processor(queries) if device is None else _on_device(queries, device)
    for start in range(0, count, COLUMN_BLOCK):
        part = slice(start, start + COLUMN_BLOCK)
        multiply(vectors[part if rows is None else rows[part]], found[:, part])
    return found


def _on_processor(queries: Fast) -> Callable[[Vectors, Fast], None]:
    def multiply(vectors: Vectors, out: Fast) -> None:
        np.matmul(queries, vectors.T, out=out)

    return multiply


def _on_device(queries: Fast, device: torch.device) -> Callable[[Vectors, Fast], None]:
    """Return a function that multiplies with torch, in full float32: TF32 keeps 10 bits of 23, too few."""
    import torch

    there = torch.from_numpy(np.ascontiguousarray(queries)).to(device)

    def multiply(vectors: Vectors, out: Fast) -> None:
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")
        try:
            out[:] = (there @ torch.tensor(vectors, device=device).T).cpu().numpy()
        finally:
            torch.set_float32_matmul_precision(before)

    return multiply
