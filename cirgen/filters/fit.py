"""A threshold fitted to labelled triplets: the loosest that is precise enough, or the strictest that keeps enough.

With s a score of which larger is better (the sign is turned for an upper bound), w the weight of a label and y whether
it is good, a threshold t has

    precision(t) = sum of w y over s >= t  /  sum of w   over s >= t
    kept(t)      = sum of w y over s >= t  /  sum of w y

Only scores of labelled triplets are tried as thresholds: between two of them the labels say nothing. A precision is
taken seriously from `LEAST_PASSING` labels on, since the best-scored one alone is either all right or all wrong. With
`estimate: lower` the lower end of a 95 % interval (`cirgen.weighted_share`, labels of one reference are alike) stands
for each share. Scores and labels are all that is read: nothing here knows the truth of a world.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from cirgen.errors import UserError
from cirgen.filters.labels import Labels
from cirgen.settings import Name, Settings
from cirgen.weighted_share import weighted_share

LEAST_LABELS = 30
"""Labelled triplets that must reach a filter before a bound of it is fitted."""
LEAST_PASSING = 10
"""Labels that must pass a threshold for its precision to count, and good ones that a share kept needs."""
_ROUNDING = 1e-9

Floats = NDArray[np.float64]


class Fit(Settings):
    """A bound that is fitted to labelled triplets of the filter's own run or of another one."""

    labels: Name
    """Parquet file that `cirgen review RUN --export` wrote; its content decides, not its path."""
    precision: float | None = Field(None, gt=0, le=1)
    """Of the labelled triplets that pass, so many are good: the loosest bound that holds this."""
    keep: float | None = Field(None, gt=0, le=1)
    """Of the good labelled triplets, so many pass: the strictest bound that holds this."""
    estimate: Literal["point", "lower"] = "point"
    """What must hold it: the share among the labels, or the lower end of its 95 % interval."""

    @model_validator(mode="after")
    def _aim(self) -> Self:
        if (self.precision is None) == (self.keep is None):
            raise ValueError("a fit aims at either precision or keep; give one of the two")
        return self

    @property
    def aim(self) -> str:
        """Return what is asked for, in words."""
        what = f"precision {self.precision:g}" if self.keep is None else f"keep {self.keep:g}"
        return f"{what} by the lower end of the 95 % interval" if self.estimate == "lower" else what


class Labelled(NamedTuple):
    """The labels that reach a filter, with the score that decides."""

    scores: Floats
    """[n] +-inf where a triplet passes whatever the bound is."""
    good: NDArray[np.bool_]
    """[n]"""
    weight: Floats
    """[n]"""
    references: NDArray[np.int64]
    """[n] labels of one reference have one number."""


@dataclass(frozen=True)
class Curve:
    """What each threshold does to the labels, from the loosest to the strictest."""

    fit: Fit
    labels: Labels
    least: bool
    """True where smaller scores are rejected."""
    thresholds: Floats
    """[T]"""
    precision: Floats
    """[T] share of good ones among the labels that pass."""
    kept: Floats
    """[T] share of the good labels that pass."""
    passing: NDArray[np.int64]
    """[T] labels that pass."""
    lower: Floats | None
    """[T] lower end of the interval of what the fit aims at, where it is fitted by that."""
    reached: int
    """Labels that reach the filter."""
    good: int
    """Of those, good ones."""
    chosen: int

    @property
    def threshold(self) -> float:
        """Return the bound that was fitted; a score equal to it passes."""
        return float(self.thresholds[self.chosen])

    def said(self, score: str) -> str:
        """Return what was fitted, in words; `score` is the name of what is bounded."""
        side, held = "at least" if self.least else "at most", (self.precision[self.chosen], self.kept[self.chosen])
        return (
            f"{score} of {side} {self.threshold:.4g} passes; of {self.reached:,} labels that gives a precision of "
            f"{held[0]:.1%} and keeps {held[1]:.1%} of the good ones."
        )


def fit_curve(fit: Fit, labels: Labels, found: Labelled, least: bool, place: str) -> Curve:
    """Fit a bound.

    Args:
        fit: what is asked for.
        labels: the file.
        found: what of it reaches the filter.
        least: True for a lower bound.
        place: what errors call the bound, e.g. `agreement.min_target_fit`.

    Raises:
        UserError: too few labels, labels of one kind alone, or an aim that no threshold reaches.
    """
    _check_labels(fit, labels, found, place)
    scores = found.scores if least else -found.scores
    tried = np.unique(scores[np.isfinite(scores)])
    if not len(tried):
        raise UserError(f"{place}: every labelled triplet passes whatever this bound is; give it as a value.")
    precision, kept, passing = _points(tried, scores, found)
    aimed = precision if fit.keep is None else kept
    lower = np.fromiter(_lower_ends(fit, tried, scores, found), np.float64) if fit.estimate == "lower" else None
    chosen = _chosen(fit, aimed if lower is None else lower, passing)
    if chosen is None:
        raise UserError(f"{place}: {_unreached(fit, aimed if lower is None else lower, passing, len(found.good))}")
    thresholds = tried if least else -tried
    good = int(found.good.sum())
    return Curve(fit, labels, least, thresholds, precision, kept, passing, lower, len(found.good), good, chosen)


def _check_labels(fit: Fit, labels: Labels, found: Labelled, place: str) -> None:
    reached, good = len(found.good), int(found.good.sum())
    total = len(labels.good)
    if reached < LEAST_LABELS:
        raise UserError(
            f"{place}: a fit needs {LEAST_LABELS} labelled triplets that reach the filter, and of the {total:,} in "
            f"{labels.name} {reached:,} are of triplets that this run holds and no earlier filter rejects; label more "
            "with `cirgen review`, or give the bound as a value."
        )
    if good in (0, reached):
        kind = "good" if good else "bad"
        raise UserError(
            f"{place}: all {reached:,} labels of {labels.name} that reach the filter are {kind}, which tells no "
            "threshold from another; label more, of accepted and rejected triplets, or give the bound as a value."
        )
    if fit.keep is not None and good < LEAST_PASSING:
        raise UserError(
            f"{place}: a share to keep needs {LEAST_PASSING} good labels that reach the filter, and {labels.name} has "
            f"{good:,}; label more with `cirgen review`."
        )


def _points(tried: Floats, scores: Floats, found: Labelled) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Return precision, share kept and number of labels that pass, for every threshold tried, loosest first."""
    order = np.argsort(-scores, kind="stable")
    ends = np.searchsorted(-scores[order], -tried, side="right") - 1  # last row that passes
    weights = np.cumsum(found.weight[order])[ends]
    good = np.cumsum((found.weight * found.good)[order])[ends]
    return good / weights, good / (found.weight * found.good).sum(), ends + 1


def _lower_ends(fit: Fit, tried: Floats, scores: Floats, found: Labelled) -> Iterator[float]:
    """Yield the lower end of the interval of what is aimed at, for every threshold tried."""
    for threshold in tried:
        passes = scores >= threshold
        rows, hits = (passes, found.good) if fit.keep is None else (found.good, passes)
        yield weighted_share(hits[rows], found.weight[rows], found.references[rows]).low


def _chosen(fit: Fit, held: Floats, passing: NDArray[np.int64]) -> int | None:
    """Return the loosest threshold that is precise enough, or the strictest that keeps enough; None if there is none.

    Where fewer is asked for, more thresholds will do, so that a stricter aim never accepts another triplet.
    """
    if fit.precision is not None:
        fine = np.flatnonzero((held >= fit.precision - _ROUNDING) & (passing >= LEAST_PASSING))
        return int(fine[0]) if len(fine) else None
    assert fit.keep is not None
    fine = np.flatnonzero(held >= fit.keep - _ROUNDING)
    return int(fine[-1]) if len(fine) else None


def _unreached(fit: Fit, held: Floats, passing: NDArray[np.int64], labels: int) -> str:
    counted = held[passing >= LEAST_PASSING] if fit.keep is None else held
    least = f" of those that at least {LEAST_PASSING} labels pass" if fit.keep is None else ""
    best = f"the best{least} is at {counted.max():.3f}" if len(counted) else f"none lets {LEAST_PASSING} labels pass"
    return f"no threshold reaches {fit.aim} on {labels:,} labels ({best}); ask for less, or label more triplets."
