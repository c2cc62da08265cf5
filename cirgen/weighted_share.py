"""How large a share is, and how sure, where rows count differently and come in clusters.

The interval is Korn and Graubard's (Survey Methodology 24, 1998): the exact binomial one (Clopper and Pearson) of as
many independent rows as would leave the same doubt. That number comes from the linearised variance between clusters,
is never above what the weights leave of the number of rows (Kish 1965), and shrinks where there are few clusters
(Student's t). At 0 and 1, rows tell nothing of how alike they are, and only weights and clusters lower it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.05
"""Intervals are 95 %, two-sided."""

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]


class WeightedShare(NamedTuple):
    """A share, 0 to 1, with its 95 % interval."""

    value: float
    low: float
    high: float


def weighted_share(
    hits: NDArray[np.bool_], weights: Floats, clusters: Numbers, strata: Numbers | None = None
) -> WeightedShare:
    """Estimate a share of a population from rows that were drawn from it; of no row at all, anything from 0 to 1.

    Args:
        hits: [n] which rows count.
        weights: [n] how many rows of the population each stands for, above 0.
        clusters: [n] numbers from 0; rows of one cluster, such as texts of one reference, are alike.
        strata: [n] numbers from 0 of what was drawn from separately; one stratum by default.
    """
    from scipy.special import betaincinv

    if not len(hits):
        return WeightedShare(float("nan"), 0.0, 1.0)
    of_stratum = np.zeros(len(hits), dtype=np.int64) if strata is None else strata
    total = weights.sum()
    share = float(np.clip((weights * hits).sum() / total, 0, 1))
    rows = _independent_rows(hits, weights, clusters, of_stratum, share)
    found = share * rows
    low = float(betaincinv(found, rows - found + 1, LEVEL / 2)) if found > 0 else 0.0
    high = float(betaincinv(found + 1, rows - found, 1 - LEVEL / 2)) if rows - found > 0 else 1.0
    return WeightedShare(share, min(low, share), max(high, share))


def _independent_rows(
    hits: NDArray[np.bool_], weights: Floats, clusters: Numbers, strata: Numbers, share: float
) -> float:
    """Return how many independent rows leave as much doubt; 0 where there are too few to say."""
    from scipy.special import stdtrit

    _, numbers = np.unique(clusters, return_inverse=True)
    count, groups = len(hits), int(numbers.max()) + 1
    freedom = groups - len(np.unique(strata))
    if freedom < 1:
        return 0.0
    of_stratum = np.bincount(strata, weights=weights * hits) / np.maximum(np.bincount(strata, weights=weights), 1e-300)
    deviations = np.bincount(numbers, weights=weights * (hits - of_stratum[strata])) / weights.sum()
    variance = float((deviations**2).sum()) * groups / (groups - 1)
    most = float(weights.sum() ** 2 / (weights**2).sum())
    rows = min(share * (1 - share) / variance, most) if variance > 0 else most
    few = (stdtrit(count - 1, 1 - LEVEL / 2) / stdtrit(freedom, 1 - LEVEL / 2)) ** 2
    return float(rows * min(few, 1.0))
