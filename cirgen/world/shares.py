"""Shares with 95 % intervals for rows that come in clusters."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cirgen.intervals import wilson

RESAMPLES = 1000


class Share(NamedTuple):
    """A share with its 95 % interval, and the number of rows and of clusters it was taken over."""

    share: float
    low: float
    high: float
    rows: int
    clusters: int


def share(hits: Sequence[bool], clusters: Sequence[Hashable], seed: int = 0) -> Share | None:
    """Return the share of `hits` with a 95 % interval, or None without rows.

    Rows of one reference are alike, so whole clusters are drawn (percentile bootstrap, 1,000 draws). Where every
    cluster agrees, one by itself among them, the bootstrap would give no width: there it is Wilson's interval over the
    number of clusters.
    """
    if not hits:
        return None
    of_row = numbered(clusters)
    sizes = np.bincount(of_row).astype(float)
    found = np.bincount(of_row, weights=np.array(hits, dtype=float)).astype(float)
    mean = float(found.sum() / sizes.sum())
    low, high = _bootstrap(found, sizes, seed)
    if low == high:
        low, high = wilson(mean, len(sizes))
    return Share(mean, low, high, len(hits), len(sizes))


def numbered(clusters: Sequence[Hashable]) -> NDArray[np.int64]:
    """Return the number of each row's cluster, from 0 in order of appearance."""
    labels = {label: number for number, label in enumerate(dict.fromkeys(clusters))}
    return np.array([labels[label] for label in clusters], dtype=np.int64)


def resamples(clusters: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Draw `RESAMPLES` times as many clusters as there are, with replacement."""
    rng = np.random.default_rng(seed)
    return (rng.integers(clusters, size=clusters) for _ in range(RESAMPLES))


def _bootstrap(found: NDArray[np.float64], sizes: NDArray[np.float64], seed: int) -> tuple[float, float]:
    shares = [found[draw].sum() / sizes[draw].sum() for draw in resamples(len(sizes), seed)]
    low, high = np.percentile(shares, (2.5, 97.5))
    return float(low), float(high)
