"""The numbers behind pairing: who may meet whom, at which rank, within which window.

n: images of one split that have an embedding; b: references handled at once; "position" is a row of the catalog,
"place" one of the n images of the pool.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cirgen.cosine import Exact, Vectors, cosines, on_grid
from cirgen.keys import draw

Places = NDArray[np.int64]
Mask = NDArray[np.bool_]

BLOCK_BYTES = 256 * 2**20
"""What one block of similarities [b, n] may take."""
BINS = 2**20
"""Of the histogram of similarities over [-1, 1]: a percentile is exact to one bin, 2e-6."""


@dataclass(frozen=True)
class Pool:
    """The images of one split that can be paired."""

    split: str
    members: NDArray[np.int64]  # [n] positions, ascending
    groups: NDArray[np.int64]  # [n] near-duplicate group
    categories: NDArray[np.int64]  # [n] category, -1 where unknown

    def candidates(self, place: int, same_category: bool = False) -> Mask:
        """Return who may be a target of an image [n]: another group, and on demand the same known category."""
        allowed = self.groups != self.groups[place]
        if same_category:
            allowed &= (self.categories == self.categories[place]) & (self.categories >= 0)
        return np.asarray(allowed)

    def places(self, positions: NDArray[np.int64]) -> Places:
        """Return the places of positions that are members."""
        return np.searchsorted(self.members, positions)

    def blocks(self, count: int, budget: int = BLOCK_BYTES) -> Iterator[Places]:
        """Cut 0 ... `count` - 1 into blocks of so many rows of similarities as fit the budget (bytes)."""
        rows = max(1, budget // (8 * max(1, len(self.members))))
        for start in range(0, count, rows):
            yield np.arange(start, min(start + rows, count))

    def similarities(self, vectors: Vectors, references: Places) -> Exact:
        """Return the cosines of some members with all members [b, n]."""
        return cosines(on_grid(vectors[self.members[references]]), vectors, self.members)


def only(similarities: Exact, allowed: Mask) -> Exact:
    """Return a row of similarities [n] with -inf where a place is not allowed, which no rank ever reaches."""
    return np.where(allowed, similarities, -np.inf)


def at_ranks(similarities: Exact, ranks: NDArray[np.int64]) -> Places:
    """Return where the values of some ranks are: 1 is the largest; of equal values, the one that comes first.

    Args:
        similarities: [n].
        ranks: [k], each within 1 to n.
    """
    if not len(ranks):
        return ranks
    descending = -similarities
    parted = np.partition(descending, np.unique(ranks - 1))
    found = []
    for rank in ranks:
        value = parted[rank - 1]
        tied = np.flatnonzero(descending == value)
        found.append(tied[rank - 1 - np.count_nonzero(descending < value)])
    return np.asarray(found, dtype=np.int64)


def rank_of(similarities: Exact, place: int) -> int:
    """Return the rank of one place, the inverse of `at_ranks`."""
    value = similarities[place]
    nearer = np.count_nonzero(similarities > value) + np.count_nonzero(similarities[:place] == value)
    return int(nearer) + 1


def nearest(similarities: Exact, count: int) -> Places:
    """Return the places of the largest values, largest first, those of -inf left out; fewer where fewer are there."""
    there = int(np.count_nonzero(similarities > -np.inf))
    return at_ranks(similarities, np.arange(1, min(count, there) + 1))


def distinct_draws(size: int, count: int, *key: object) -> Places:
    """Draw `count` distinct numbers below `size`, by key; all of them where there are no more.

    A larger count draws the same numbers and more, so that asking for more pairs keeps those paid for.
    """
    if count >= size:
        return np.arange(size, dtype=np.int64)
    found: dict[int, None] = {}
    attempt = 0
    while len(found) < count:
        found[int(draw(*key, attempt) * size)] = None
        attempt += 1
    return np.asarray(list(found), dtype=np.int64)


class Histogram:
    """Counts similarities in bins, so that a percentile of any number of pairs needs 8 MiB."""

    def __init__(self) -> None:
        self._counts = np.zeros(BINS, dtype=np.int64)

    def add(self, similarities: Exact) -> None:
        """Count similarities of any shape."""
        bins = ((similarities.ravel() + 1.0) * (BINS / 2)).astype(np.int64)
        self._counts += np.bincount(np.clip(bins, 0, BINS - 1), minlength=BINS)

    def percentile(self, percent: float) -> float:
        """Return the similarity that `percent` of all those counted lie below, to the lower edge of its bin.

        0 and 100 return -inf and inf: the whole range, whatever lies at its ends.
        """
        if percent <= 0 or percent >= 100:
            return -np.inf if percent <= 0 else np.inf
        below = np.cumsum(self._counts)
        place = int(np.searchsorted(below, percent / 100 * below[-1]))
        return place * 2.0 / BINS - 1.0
