"""Metrics query by query, so that a mean, an interval and a difference follow from the same numbers.

Q queries of a part (a category, a task, or the whole split), P right images of a query.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ranks = NDArray[np.int32]

UNKNOWN = 0
"""Rank of a query that is left out."""
BEYOND = int(np.iinfo(np.int32).max)
"""Rank of what a list does not reach, and of the places of a query that has fewer right images than others."""


@dataclass(frozen=True)
class Figure:
    """One metric before its mean is taken."""

    values: Mapping[str, Floats]
    """Per cent of each query by part [Q]; NaN where the metric leaves the query out."""

    def mean(self) -> float:
        """Return the mean over parts of each part's mean over its queries, in per cent.

        NaN where a part has no query that counts.
        """
        means = [values[~np.isnan(values)].mean() if counted(values) else np.nan for values in self.values.values()]
        return float(np.mean(means))


def counted(values: Floats) -> int:
    """Return how many queries a metric counts."""
    return int(np.count_nonzero(~np.isnan(values)))


def recall_at(ranks: Ranks, k: int) -> Floats:
    """Return 100 for each query whose target is among the first k, else 0; NaN for unknown ranks [Q]."""
    hits = np.where(ranks <= k, 100.0, 0.0)
    return np.where(ranks == UNKNOWN, np.nan, hits)


def average_precision_at(ranks: Ranks, targets: NDArray[np.int64], k: int) -> Floats:
    """Return the average precision within the first k, in per cent [Q].

    AP@k is the sum over places i <= k of precision@i where place i holds a right image, divided by min(k, number of
    right images) (CIRCO, arXiv 2303.15247, evaluation server).

    Args:
        ranks: [Q, P] places of the right images of each query, ascending, `BEYOND` where there is none; `UNKNOWN` in
            the first column for a query that is left out.
        targets: [Q] how many right images each query has.
        k: places that count.
    """
    precisions = np.arange(1, ranks.shape[1] + 1) / np.maximum(ranks, 1)
    sums = np.where(ranks <= k, precisions, 0.0).sum(axis=1)
    average = 100.0 * sums / np.maximum(np.minimum(k, targets), 1)
    return np.where(ranks[:, 0] == UNKNOWN, np.nan, average)


def average(figures: Iterable[Figure]) -> Figure:
    """Return the metric that is the mean, query by query, of metrics over the same parts."""
    alike = list(figures)
    return Figure({part: np.mean([figure.values[part] for figure in alike], axis=0) for part in alike[0].values})


def together(figures: Iterable[Figure]) -> Figure:
    """Return the metric that is the mean over all parts of some metrics."""
    return Figure({part: values for figure in figures for part, values in figure.values.items()})
