"""Near-duplicate groups: pictures that are one picture to the eye, resized or compressed again.

Two pictures are near duplicates when their grey structure differs in at most `MAX_BITS` of 64 bits *and* no cell of
their colour layouts differs by more than `MAX_COLOR` levels. Groups are the connected components of that relation.

Both limits are measured on the 1,500 shipped figures (tests/stages/test_grouping.py repeats it): JPEG of quality 30 to
90 and smooth scaling by 0.5 to 2 move at most 4 bits and 6 levels; of the 7,626 pairs of figures that differ in one
attribute 103 are within 4 bits, and none within 4 bits and 8 levels.

What this misses: pHash takes signs against a median, and in flat, symmetric graphics (logos, colour charts) most
coefficients are near that median, so that a copy of one can be 20 bits away; photos and drawn figures are safe.

No step is quadratic. Of five bands of the 64 bits, two hashes within four bits share one (pigeonhole); inside a band
pictures are sorted by a share of their colours, in which near duplicates are neighbours, and each is compared with the
next `WINDOW` at most (sorted neighbourhood method, Hernandez and Stolfo 1995). Smaller bands are searched in full.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

MAX_BITS = 4  # of 64
MAX_COLOR = 8  # of 255, in the worst cell and channel
BANDS = ((0, 13), (13, 13), (26, 13), (39, 13), (52, 12))  # (first bit, bits): one more than MAX_BITS
WINDOW = 128  # pictures
MAX_SHARE = MAX_COLOR * 20  # what sums of a fifth of 96 values, at most 20, can differ by in near duplicates

_MERGE_EDGES = 1_000_000  # pairs held before they are folded into the components


class Components:
    """Connected components of nodes 0..n-1 under edges that arrive in any order."""

    def __init__(self, count: int) -> None:
        self._labels: NDArray[np.int64] = np.arange(count)
        self._waiting: list[NDArray[np.int64]] = []
        self._edges = 0

    def apart(self, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which pairs are not yet known to be in one component, bool [len(left)]."""
        return np.not_equal(self._labels[left], self._labels[right])

    def join(self, left: NDArray[np.int64], right: NDArray[np.int64]) -> None:
        """Add edges between left[i] and right[i]."""
        self._waiting.append(np.stack((left, right)))
        self._edges += len(left)
        if self._edges >= _MERGE_EDGES:
            self._fold()

    def smallest(self) -> NDArray[np.int64]:
        """Return for each node the smallest node of its component, int64 [n]."""
        self._fold()
        return self._labels

    def _fold(self) -> None:
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        count = len(self._labels)
        nodes = np.arange(count)
        left, right = np.concatenate((np.stack((nodes, self._labels)), *self._waiting), axis=1)
        graph = coo_array((np.ones(len(left), dtype=bool), (left, right)), shape=(count, count))
        _, component = connected_components(graph, directed=False)
        first = np.full(count, count)
        np.minimum.at(first, component, nodes)
        self._labels = first[component]
        self._waiting, self._edges = [], 0


def near_duplicate_groups(structure: NDArray[np.uint64], colors: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return for each picture the first picture of its group, int64 [n].

    Args:
        structure: perceptual hashes, uint64 [n].
        colors: colour layouts, uint8 [n, 96].
    """
    components = Components(len(structure))
    shares = _shares(colors)
    for band, share in zip(_bands(structure), shares.T, strict=True):
        order = np.lexsort((structure, share, band))  # ties, too, are broken by content: input order changes nothing
        for pairs in _neighbours(order, band[order], share[order]):
            left, right = pairs[:, components.apart(*pairs)]
            close = (np.abs(shares[left] - shares[right]) <= MAX_SHARE).all(axis=1)  # cheap, and exact
            left, right = left[close], right[close]
            near = _near(structure, colors, left, right)
            components.join(left[near], right[near])
    return components.smallest()


def _shares(colors: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Return the sums of every fifth colour value, from each of the first five on, int32 [n, 5]."""
    sums = [colors[:, first :: len(BANDS)].sum(axis=1, dtype=np.int32) for first in range(len(BANDS))]
    return np.stack(sums, axis=1)


def _bands(structure: NDArray[np.uint64]) -> Iterator[NDArray[np.uint64]]:
    for first, bits in BANDS:
        yield (structure >> np.uint64(first)) & np.uint64((1 << bits) - 1)


def _neighbours(
    order: NDArray[np.int64], band: NDArray[np.uint64], share: NDArray[np.int32]
) -> Iterator[NDArray[np.int64]]:
    """Yield pairs of one band, int64 [2, m], at most `WINDOW` apart in `order`, one distance at a time.

    `band` and `share` are in that order; shares further apart than `MAX_SHARE` rule a pair out.
    """
    starts = np.arange(len(order))
    for distance in range(1, WINDOW + 1):
        starts = starts[starts + distance < len(order)]
        ends = starts + distance
        starts = starts[(band[starts] == band[ends]) & (share[ends] - share[starts] <= MAX_SHARE)]
        if not len(starts):
            return
        yield np.stack((order[starts], order[starts + distance]))


def _near(
    structure: NDArray[np.uint64], colors: NDArray[np.uint8], left: NDArray[np.int64], right: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return which of the pairs are near duplicates."""
    bits = np.bitwise_count(structure[left] ^ structure[right])
    candidates = np.flatnonzero(bits <= MAX_BITS)
    one, other = colors[left[candidates]], colors[right[candidates]]
    apart = np.maximum(one, other) - np.minimum(one, other)  # stays within uint8
    close: NDArray[np.int64] = candidates[apart.max(axis=1, initial=0) <= MAX_COLOR]
    return close
