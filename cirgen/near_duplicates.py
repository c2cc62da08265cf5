"""When two pictures are near duplicates: one picture to the eye, resized or compressed again.

Their grey structure differs in at most `MAX_BITS` of 64 bits *and* no cell of their colour layouts differs by more
than `MAX_COLOR` levels.

Both limits are measured on the 1,500 shipped figures (tests/stages/test_grouping.py repeats it): JPEG of quality 30 to
90 and smooth scaling by 0.5 to 2 move at most 4 bits and 6 levels; of the 7,626 pairs of figures that differ in one
attribute 103 are within 4 bits, and none within 4 bits and 8 levels.

What this misses: pHash takes signs against a median, and in flat, symmetric graphics (logos, colour charts) most
coefficients are near that median, so that a copy of one can be 20 bits away; photos and drawn figures are safe.

To find them without comparing all with all: of five bands of the 64 bits, two hashes within four bits share one
(pigeonhole), and there their shares of colour are neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

MAX_BITS = 4  # of 64
MAX_COLOR = 8  # of 255, in the worst cell and channel
BANDS = ((0, 13), (13, 13), (26, 13), (39, 13), (52, 12))  # (first bit, bits): one more than MAX_BITS
MAX_SHARE = MAX_COLOR * 20  # what sums of a fifth of 96 values, at most 20, can differ by in near duplicates


def color_shares(colors: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Return the sums of every fifth colour value, from each of the first five on, int32 [n, 5]."""
    sums = [colors[:, first :: len(BANDS)].sum(axis=1, dtype=np.int32) for first in range(len(BANDS))]
    return np.stack(sums, axis=1)


def bands(structure: NDArray[np.uint64]) -> Iterator[NDArray[np.uint64]]:
    """Yield the value of each band of perceptual hashes [n]."""
    for first, bits in BANDS:
        yield (structure >> np.uint64(first)) & np.uint64((1 << bits) - 1)


def near_duplicates(
    structure: NDArray[np.uint64], colors: NDArray[np.uint8], left: NDArray[np.int64], right: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return which of the pairs are near duplicates."""
    bits = np.bitwise_count(structure[left] ^ structure[right])
    candidates = np.flatnonzero(bits <= MAX_BITS)
    one, other = colors[left[candidates]], colors[right[candidates]]
    apart = np.maximum(one, other) - np.minimum(one, other)  # stays within uint8
    close: NDArray[np.int64] = candidates[apart.max(axis=1, initial=0) <= MAX_COLOR]
    return close
