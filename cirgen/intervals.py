"""How sure a figure is: 95 % intervals by a bootstrap over clusters of rows, such as queries that share a reference.

Rows of one reference are alike, so whole clusters are drawn with replacement, as many as there are, `DRAWS` times; an
interval is from the 2.5th to the 97.5th percentile of the figure over the draws. It tells of the rows alone: another
encoder, or another way to draw the corpus, is doubt beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from math import hypot, isfinite, nan, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DRAWS = 2_000
LEVELS = (2.5, 97.5)
_CHUNK = 250
"""Draws made at once, 8 MB for 4,181 rows; fewer of more rows than `_AT_ONCE` / 250."""
_AT_ONCE = 2**25
_Z = 1.959964  # 97.5 % quantile of the normal distribution


class Interval(NamedTuple):
    """A figure with its 95 % interval; NaN for limits that the rows cannot tell."""

    value: float
    low: float
    high: float

    @property
    def known(self) -> bool:
        """Return whether the rows could tell the limits."""
        return isfinite(self.low) and isfinite(self.high)


def resamples(size: int, rng: np.random.Generator, draws: int) -> Iterator[Floats]:
    """Yield how often each of some rows is drawn [up to _CHUNK, size], with replacement."""
    chunk = max(1, min(_CHUNK, _AT_ONCE // size))
    for start in range(0, draws, chunk):
        number = min(chunk, draws - start)
        drawn = rng.integers(size, size=(number, size)) + size * np.arange(number)[:, None]
        yield np.bincount(drawn.ravel(), minlength=number * size).reshape(number, size).astype(np.float64)


def share(hits: Sequence[bool] | NDArray[np.bool_], clusters: Sequence[Hashable], seed: int = 0) -> Interval:
    """Return the share of `hits`, 0 to 1, with its interval.

    Where every cluster agrees, one by itself among them, a bootstrap has no width: there it is Wilson's interval over
    the number of clusters.

    Raises:
        ValueError: there are no rows.
    """
    values = np.asarray(hits, dtype=np.float64)
    if not len(values):
        raise ValueError("a share of no rows")
    found = of_means(values[:, None], clusters, lambda means: means[..., 0], seed)
    if found.known:
        return found
    low, high = wilson(found.value, len(set(clusters)))
    return Interval(found.value, min(low, found.value), max(high, found.value))


def of_means(
    values: Floats, clusters: Sequence[Hashable], figure: Callable[[Floats], Floats], seed: int = 0
) -> Interval:
    """Return a figure that is made of the means of columns, with its interval.

    Its limits are unknown where nothing varies, as with a single cluster, and where draws have no figure, such as a
    quotient by a mean that is rarely above 0.

    Args:
        values: [rows, M].
        clusters: [rows] what a row is drawn together with.
        figure: of means [..., M], returns [...]; the same draws serve every column, so what they share cancels.
        seed: of the draws.
    """
    labels = {label: number for number, label in enumerate(dict.fromkeys(clusters))}
    of_row = np.array([labels[label] for label in clusters], dtype=np.int64)
    sizes = np.bincount(of_row).astype(np.float64)
    sums = np.stack([np.bincount(of_row, weights=column) for column in values.T], axis=1)
    rng = np.random.default_rng(seed)
    value = float(figure(values.mean(axis=0)))
    if len(sizes) < 2:
        return Interval(value, nan, nan)
    drawn = [figure((counts @ sums) / (counts @ sizes)[:, None]) for counts in resamples(len(sizes), rng, DRAWS)]
    found = np.concatenate(drawn)
    if not np.isfinite(found).all() or found.min() == found.max():
        return Interval(value, nan, nan)
    low, high = np.percentile(found, LEVELS)
    return Interval(value, float(low), float(high))


def difference(one: Interval, other: Interval) -> Interval:
    """Return one minus other of two figures of independent rows, with its interval.

    The distances to the limits add as squares (MOVER: Zou and Donner 2008, eq. 4).
    """
    value = one.value - other.value
    low = value - hypot(one.value - one.low, other.high - other.value)
    high = value + hypot(one.high - one.value, other.value - other.low)
    return Interval(value, low, high)


def wilson(mean: float, number: int) -> tuple[float, float]:
    """Return Wilson's score interval of a proportion (Wilson 1927, eq. for the two roots)."""
    spread = _Z * sqrt(mean * (1 - mean) / number + _Z**2 / (4 * number**2))
    middle, scale = mean + _Z**2 / (2 * number), 1 + _Z**2 / number
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)
