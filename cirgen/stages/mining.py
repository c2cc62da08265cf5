"""The numbers behind pairing: who may meet whom, at which rank, within which window.

n: images of one split that have an embedding; b: references handled at once; "position" is a row of the catalog,
"place" one of the n images of the pool.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cirgen.cosine import Exact
from cirgen.keys import draw
from cirgen.stages.similarities import Mask, Places

BLOCK_BYTES = 64 * 2**20
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
    part: str = ""  # which images of the split these are; empty for all

    @property
    def name(self) -> str:
        """Return the split, and which part of it this is."""
        return f"{self.split}-{self.part}" if self.part else self.split

    def __contains__(self, position: int) -> bool:
        place = int(np.searchsorted(self.members, position))
        return place < len(self.members) and bool(self.members[place] == position)

    def only(self, those: Mask | slice, part: str = "") -> Pool:
        """Return the pool of some members."""
        members, groups, categories = (column[those] for column in (self.members, self.groups, self.categories))
        return Pool(self.split, members, groups, categories, part or self.part)

    def same_group(self, place: int) -> Places:
        """Return who can be no target of an image: those of its group, itself included."""
        group = self.groups[place]
        return self._by_group[slice(*np.searchsorted(self._sorted_groups, [group, group + 1]))]

    @cached_property
    def _by_group(self) -> Places:
        return np.argsort(self.groups, kind="stable")

    @cached_property
    def _sorted_groups(self) -> NDArray[np.int64]:
        return self.groups[self._by_group]

    def same_category(self, place: int) -> Mask:
        """Return who is known to be of an image's category [n]."""
        category = self.categories[place]
        return np.asarray((self.categories == category) & (category >= 0))

    def places(self, positions: NDArray[np.int64]) -> Places:
        """Return the places of positions that are members."""
        return np.searchsorted(self.members, positions)

    def blocks(self, count: int, budget: int = BLOCK_BYTES) -> Iterator[Places]:
        """Cut 0 ... `count` - 1 into blocks of so many rows of similarities as fit the budget (bytes)."""
        rows = max(1, budget // (4 * max(1, len(self.members))))
        for start in range(0, count, rows):
            yield np.arange(start, min(start + rows, count))


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
