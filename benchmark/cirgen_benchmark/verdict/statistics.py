"""How sure a difference of recalls is: a bootstrap over seeds and reference clusters, and Holm's correction.

Every seed answers the same queries, so seeds and clusters are crossed: one draw takes seeds with replacement and,
with replacement too, clusters of queries that share a reference, the same clusters for all its seeds. (Clusters drawn
anew within each seed would average the difficulty of the queries away and call the result too sure.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

DRAWS = 10_000
LEVEL = 0.05
"""Of a two-sided test; intervals are 95 %."""
_CHUNK = 500
"""Draws made at once: with 1,000 clusters 4 MB."""

Floats = NDArray[np.float64]


class Estimate(NamedTuple):
    """A mean over seeds and queries, its 95 % interval, and how often the bootstrap fell beyond 0."""

    value: float
    low: float
    high: float
    p: float
    """Two-sided, against 0; meaningful for differences alone."""


def estimate(
    values: Floats,
    clusters: NDArray[np.int64],
    weights: Floats | None = None,
    seed: int = 0,
    draws: int = DRAWS,
) -> Estimate:
    """Estimate the mean of per-query values over seeds and queries.

    The deviations of the seeds' means are widened by sqrt(S / (S - 1)): resampling S seeds alone would understate
    their variance by that factor squared. With one seed the interval tells of the queries alone.

    Args:
        values: [S, Q], such as hits in per cent, or differences of hits of two arms.
        clusters: [Q] numbers from 0: queries of one reference have one number.
        weights: [Q], where queries do not count alike, such as those of categories of unequal size.
        seed: of the bootstrap.
        draws: of the bootstrap.
    """
    each = np.ones(values.shape[1]) if weights is None else weights
    means = values @ each / each.sum()
    sizes = np.bincount(clusters, weights=each).astype(np.float64)
    widened = values + _widening(means)[:, None]
    sums = np.stack([np.bincount(clusters, weights=row * each) for row in widened]).astype(np.float64)
    rng = np.random.default_rng(seed)
    chunks = [min(_CHUNK, draws - start) for start in range(0, draws, _CHUNK)]
    drawn = np.concatenate([_drawn(sums, sizes, rng, chunk) for chunk in chunks])
    low, high = np.percentile(drawn, (2.5, 97.5))
    beyond = min(float((drawn <= 0).mean()), float((drawn >= 0).mean()))
    return Estimate(float(means.mean()), float(low), float(high), min(1.0, max(2 * beyond, 2 / draws)))


def _widening(means: Floats) -> Floats:
    """Return how far each seed's mean is moved away from the mean of all [S]."""
    seeds = len(means)
    if seeds == 1:
        return np.zeros(1)
    return np.asarray((np.sqrt(seeds / (seeds - 1)) - 1) * (means - means.mean()))


def _drawn(sums: Floats, sizes: Floats, rng: np.random.Generator, draws: int) -> Floats:
    """Return the means [draws] of `draws` resamples of the cluster sums [S, C]."""
    seeds, clusters = sums.shape
    of_seeds = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=draws)
    of_clusters = rng.multinomial(clusters, np.full(clusters, 1 / clusters), size=draws)
    totals = ((of_seeds @ sums) * of_clusters).sum(axis=1)
    return np.asarray(totals / (seeds * (of_clusters @ sizes)))


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
        return {plus[0]: 1.0, minus[0]: -1.0, plus[1]: -1.0, minus[1]: 1.0}
    weights = dict.fromkeys(plus, 1 / len(plus))
    for name in minus:
        weights[name] = weights.get(name, 0.0) - 1 / len(minus)
    return weights
