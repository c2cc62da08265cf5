"""How sure a difference of recalls is: a bootstrap over seeds and reference clusters, and Holm's correction.

Every seed answers the same queries, so seeds and clusters are crossed: one draw takes seeds with replacement and,
with replacement too, clusters of queries that share a reference, the same clusters for all its seeds. (Clusters drawn
anew within each seed would average the difficulty of the queries away and call the result too sure.) Where a metric is
the mean over parts, such as the categories of FashionIQ, clusters are drawn within each part: how many queries a part
has is no matter of chance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from cirgen.intervals import resamples

DRAWS = 10_000
LEVEL = 0.05
"""Of a two-sided test; intervals are 95 %."""
Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]


class Estimate(NamedTuple):
    """A mean over seeds and queries, its 95 % interval, and how often the bootstrap fell beyond 0."""

    value: float
    low: float
    high: float
    p: float
    """Two-sided, against 0; meaningful for differences alone."""


def estimate(
    values: Floats, clusters: Numbers, parts: Numbers | None = None, seed: int = 0, draws: int = DRAWS
) -> Estimate:
    """Estimate the mean over seeds and parts of each part's mean over its queries.

    The deviations of the S seeds' means are widened by sqrt(S / (S - 1)) t / z, the 97.5 % quantiles of Student's t
    with S - 1 degrees of freedom and of the normal distribution: an interval of few resampled seeds is too narrow by
    that factor (narrowness bias: Hesterberg 2014, arXiv 1411.5279); where seeds are all the doubt, 76 % of the
    intervals of three seeds would hold instead of 95 %. With one seed the interval tells of the queries alone.

    Args:
        values: [S, Q], such as hits in per cent, or differences of hits of two arms.
        clusters: [Q]: queries of one reference have one number; a cluster lies in one part.
        parts: [Q] the number of each query's part, from 0; one part by default.
        seed: of the bootstrap.
        draws: of the bootstrap.
    """
    of_query = np.zeros(values.shape[1], dtype=np.int64) if parts is None else parts
    each = [np.flatnonzero(of_query == part) for part in range(of_query.max() + 1)]
    means = np.mean([values[:, queries].mean(axis=1) for queries in each], axis=0)
    widened = values + _widening(means)[:, None]
    rng = np.random.default_rng(seed)
    of_seeds = rng.multinomial(len(means), np.full(len(means), 1 / len(means)), size=draws)
    drawn = np.mean([_part_means(widened[:, queries], clusters[queries], of_seeds, rng) for queries in each], axis=0)
    low, high = np.percentile(drawn, (50 * LEVEL, 100 - 50 * LEVEL))
    beyond = min(float((drawn <= 0).mean()), float((drawn >= 0).mean()))
    return Estimate(float(means.mean()), float(low), float(high), min(1.0, max(2 * beyond, 2 / draws)))


def _widening(means: Floats) -> Floats:
    """Return how far each seed's mean is moved away from the mean of all [S]."""
    seeds = len(means)
    if seeds == 1:
        return np.zeros(1)
    upper = 1 - LEVEL / 2
    factor = np.sqrt(seeds / (seeds - 1)) * stdtrit(seeds - 1, upper) / ndtri(upper)
    return np.asarray((factor - 1) * (means - means.mean()))


def _part_means(values: Floats, clusters: Numbers, of_seeds: Numbers, rng: np.random.Generator) -> Floats:
    """Return the mean of one part's values [S, Q] on each draw of its seeds [draws, S] and clusters [draws]."""
    _, numbers = np.unique(clusters, return_inverse=True)
    sums = np.stack([np.bincount(numbers, weights=row) for row in values], axis=1)
    sizes = np.bincount(numbers)
    drawn = [(counts @ sums, counts @ sizes) for counts in resamples(len(sizes), rng, len(of_seeds))]
    totals, queries = (np.concatenate(chunks) for chunks in zip(*drawn, strict=True))
    return np.asarray((of_seeds * totals).sum(axis=1) / (len(values) * queries))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return p-values corrected for one another (Holm 1979: step-down Bonferroni)."""
    ordered = sorted(p_values.items(), key=lambda item: item[1])
    corrected: dict[str, float] = {}
    largest = 0.0
    for place, (name, p) in enumerate(ordered):
        largest = max(largest, min(1.0, (len(ordered) - place) * p))
        corrected[name] = largest
    return {name: corrected[name] for name in p_values}


def contrast_weights(plus: Sequence[str], minus: Sequence[str], interaction: bool = False) -> dict[str, float]:
    """Return the weight of each arm in a contrast: a difference of means, or of two differences."""
    if interaction:
        terms = [(plus[0], 1.0), (minus[0], -1.0), (plus[1], -1.0), (minus[1], 1.0)]
    else:
        terms = [*((name, 1 / len(plus)) for name in plus), *((name, -1 / len(minus)) for name in minus)]
    weights = dict.fromkeys((name for name, _ in terms), 0.0)
    for name, weight in terms:
        weights[name] += weight
    return weights
