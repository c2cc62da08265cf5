"""Shares with 95 % intervals for rows that come in clusters."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from math import sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_RESAMPLES = 1000
_Z = 1.959964  # 97.5 % quantile of the normal distribution


class Share(NamedTuple):
    """A share with its 95 % interval, and the number of rows and of clusters it was taken over."""

    share: float
    low: float
    high: float
    rows: int
    clusters: int


def share(hits: Sequence[bool], clusters: Sequence[Hashable], seed: int = 0) -> Share | None:
    """Return the share of `hits` with a 95 % interval, or None without rows.

    Rows of one reference are alike, so whole clusters are drawn (percentile bootstrap, 1,000 draws). Where every row
    agrees the bootstrap would give no width: there it is Wilson's interval over the number of clusters.
    """
    if not hits:
        return None
    labels = {label: row for row, label in enumerate(dict.fromkeys(clusters))}
    of_row = np.array([labels[label] for label in clusters])
    sizes = np.bincount(of_row, minlength=len(labels)).astype(float)
    found = np.bincount(of_row, weights=np.array(hits, dtype=float), minlength=len(labels)).astype(float)
    mean = float(found.sum() / sizes.sum())
    if mean in (0.0, 1.0):
        low, high = _wilson(mean, len(labels))
    else:
        low, high = _bootstrap(found, sizes, seed)
    return Share(mean, low, high, len(hits), len(labels))


def _bootstrap(found: NDArray[np.float64], sizes: NDArray[np.float64], seed: int) -> tuple[float, float]:
    rng = np.random.default_rng(seed)
    draws = (rng.integers(len(sizes), size=len(sizes)) for _ in range(_RESAMPLES))
    shares = [found[draw].sum() / sizes[draw].sum() for draw in draws]
    low, high = np.percentile(shares, (2.5, 97.5))
    return float(low), float(high)


def _wilson(mean: float, number: int) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson 1927, eq. for the two roots)."""
    spread = _Z * sqrt(mean * (1 - mean) / number + _Z**2 / (4 * number**2))
    middle, scale = mean + _Z**2 / (2 * number), 1 + _Z**2 / number
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)
