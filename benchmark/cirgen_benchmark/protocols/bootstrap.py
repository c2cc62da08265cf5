"""How sure a figure is: intervals by a bootstrap over queries, paired where two models are compared.

One draw takes as many queries of each part as the part has, with replacement, and computes every metric of every model
on the queries drawn: what two models share, such as hard queries, cancels in their difference. Intervals are the 2.5
and 97.5 percentiles of `DRAWS` draws. They tell of the queries alone: another seed of training, or queries that share
a reference, add to the doubt. Where all queries agree (0 or 100 %) an interval has no width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from cirgen.errors import UserError
from cirgen.intervals import resamples
from cirgen_benchmark.protocols.figures import Figure, Floats

DRAWS = 2_000
LEVELS = (2.5, 97.5)


class Interval(NamedTuple):
    """A figure, or a difference of two, with its 95 % interval; in per cent or points."""

    value: float
    low: float
    high: float


def intervals(figures: Mapping[str, Figure], seed: int = 0, draws: int = DRAWS) -> dict[str, Interval]:
    """Return the 95 % interval of every metric."""
    (drawn,) = _drawn([figures], seed, draws)
    return {key: _interval(figures[key].mean(), drawn[key]) for key in figures}


def differences(
    ours: Mapping[str, Figure], others: Mapping[str, Figure], seed: int = 0, draws: int = DRAWS
) -> dict[str, Interval]:
    """Return ours minus theirs with a paired 95 % interval, for every metric that both have.

    Raises:
        UserError: they have no metric in common, or one counts other queries in one than in the other.
    """
    keys = [key for key in ours if key in others]
    if not keys:
        raise UserError(
            f"The two models have no metric in common ({next(iter(ours))}, {next(iter(others))}); compare what was "
            "scored in one way and lacks the same images."
        )
    for key in keys:
        _check_same_queries(key, ours[key], others[key])
    one, other = _drawn([{key: figures[key] for key in keys} for figures in (ours, others)], seed, draws)
    return {key: _interval(ours[key].mean() - others[key].mean(), one[key] - other[key]) for key in keys}


def _check_same_queries(key: str, one: Figure, other: Figure) -> None:
    for part, values in one.values.items():
        differing = np.count_nonzero(np.isnan(values) != np.isnan(other.values[part]))
        if differing:
            raise UserError(
                f"{key} counts {differing:,} queries for one model alone; compare features that lack the same images "
                "and queries."
            )


def _interval(value: float, drawn: Floats) -> Interval:
    low, high = np.nanpercentile(drawn, LEVELS)  # a draw may hold no query of a rare kind
    return Interval(value, float(low), float(high))


def _drawn(models: Sequence[Mapping[str, Figure]], seed: int, draws: int) -> list[dict[str, Floats]]:
    """Return each metric of each model on the same draws [draws]."""
    rng = np.random.default_rng(seed)
    named = [(model, key, figure) for model, figures in enumerate(models) for key, figure in figures.items()]
    means: list[dict[str, list[Floats]]] = [{key: [] for key in figures} for figures in models]
    for part in dict.fromkeys(part for _, _, figure in named for part in figure.values):
        columns = [(model, key, figure.values[part]) for model, key, figure in named if part in figure.values]
        found = _part_means(np.stack([values for _, _, values in columns], axis=1), rng, draws)
        for place, (model, key, _) in enumerate(columns):
            means[model][key].append(found[:, place])
    return [{key: np.mean(parts, axis=0) for key, parts in of_model.items()} for of_model in means]


def _part_means(values: Floats, rng: np.random.Generator, draws: int) -> Floats:
    """Return the mean of each column [Q, M] on each draw of its rows [draws, M]; NaN counts as not there."""
    counts = ~np.isnan(values)
    sums = np.where(counts, values, 0.0)
    found = [(drawn @ sums, drawn @ counts) for drawn in resamples(len(values), rng, draws)]
    totals, numbers = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return np.asarray(np.divide(totals, numbers, out=np.full_like(totals, np.nan), where=numbers > 0))
