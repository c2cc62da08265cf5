"""Near-duplicate groups: the connected components of near duplicates (`cirgen.near_duplicates`).

No step is quadratic. Inside a band pictures are sorted by a share of their colours, in which near duplicates are
neighbours, and each is compared with the next `WINDOW` at most (sorted neighbourhood method, Hernandez and Stolfo
1995). Smaller bands are searched in full.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from cirgen.components import Components
from cirgen.near_duplicates import MAX_SHARE, bands, color_shares, near_duplicates

WINDOW = 128  # pictures


def near_duplicate_groups(structure: NDArray[np.uint64], colors: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return for each picture the first picture of its group, int64 [n].

    Args:
        structure: perceptual hashes, uint64 [n].
        colors: colour layouts, uint8 [n, 96].
    """
    components = Components(len(structure))
    shares = color_shares(colors)
    for band, share in zip(bands(structure), shares.T, strict=True):
        order = np.lexsort((structure, share, band))  # ties, too, are broken by content: input order changes nothing
        for pairs in _neighbours(order, band[order], share[order]):
            left, right = pairs[:, components.apart(*pairs)]
            close = (np.abs(shares[left] - shares[right]) <= MAX_SHARE).all(axis=1)  # cheap, and exact
            left, right = left[close], right[close]
            near = near_duplicates(structure, colors, left, right)
            components.join(left[near], right[near])
    return components.smallest()


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
