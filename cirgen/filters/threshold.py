"""Bounds on a score: a value, a percentile of the triplets that are judged together, or a fit to labelled ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import model_validator

from cirgen.filters.base import Filter, FilterSettings
from cirgen.filters.fit import Curve, Fit, Labelled, fit_curve
from cirgen.filters.labels import IDENTITY, Labels, read_labels
from cirgen.settings import Percent

Percentile = Percent | None
"""0 to 100; null is no bound."""
Fitted = Fit | None
"""Fitted to the labels of people; null is no bound."""

SUFFIX = "_percentile"
FIT_SUFFIX = "_fit"
WAYS = ("", SUFFIX, FIT_SUFFIX)
"""What follows the name of a bound, for each way to give it."""
_NUMBERS = {2: "two", 3: "three"}


class Bound(NamedTuple):
    """One bound of a filter."""

    option: str
    """Setting that holds it as a value; with `_percentile` behind it, as a percentile; with `_fit`, as a fit."""
    score: str
    reason: str
    least: bool
    """True where smaller scores are rejected."""


class BoundedSettings(FilterSettings):
    """Settings whose bounds each come as a value, as a percentile or as a fit, and of which at least one is set."""

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        options = self.options()
        for ways in map(self._given, options):
            if len(ways) > 1:
                said = f"{', '.join(ways[:-1])} and {ways[-1]}"
                raise ValueError(f"{said} are {_NUMBERS[len(ways)]} ways to say one thing; keep one")
        for least, most in _opposed(options):
            low, high = getattr(self, least), getattr(self, most)
            if low is not None and high is not None and low > high:
                raise ValueError(f"{least} {low:g} is above {most} {high:g}, so nothing would pass; swap them")
        if not self.is_bounded():
            known = ", ".join(" or ".join(_names(option)) for option in options)
            raise ValueError(f"without a bound this filter can reject nothing; set {known}")
        return self

    @classmethod
    def options(cls) -> list[str]:
        """Return the names of the bounds."""
        return [name for name in cls.model_fields if f"{name}{SUFFIX}" in cls.model_fields]

    def is_bounded(self) -> bool:
        """Return whether any bound is set."""
        return any(map(self._given, self.options()))

    def _given(self, option: str) -> list[str]:
        return [way for way in _names(option) if getattr(self, way) is not None]

    def fits(self) -> dict[str, Fit]:
        """Return the bounds that are fitted, by the name of the bound."""
        found = {option: getattr(self, f"{option}{FIT_SUFFIX}") for option in self.options()}
        return {option: fit for option, fit in found.items() if fit is not None}


def _opposed(options: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the settings that bound one score from both sides, value with value and percentile with percentile."""
    for option in options:
        other = option.replace("min_", "max_", 1)
        if option.startswith("min_") and other in options:
            yield from ((f"{option}{ending}", f"{other}{ending}") for ending in ("", SUFFIX))


def _names(option: str) -> list[str]:
    return [f"{option}{ending}" for ending in WAYS]


class BoundedFilter(Filter):
    """A filter that decides by bounds on its scores."""

    bounds: ClassVar[tuple[Bound, ...]]
    settings: BoundedSettings
    decides_on: tuple[str, ...] = ()

    def __init__(self, settings: BoundedSettings) -> None:
        self.settings = settings
        if settings.fits():
            self.decides_on = IDENTITY

    def spared(self, triplets: pa.Table) -> NDArray[np.bool_]:
        """Return which rows [N] pass whatever the bounds are."""
        return np.zeros(triplets.num_rows, dtype=np.bool_)

    def scores(self, bound: Bound, triplets: pa.Table) -> NDArray[np.float64]:
        """Return what a bound is held to [N]: its score, where a filter has nothing to say about it."""
        return np.asarray(triplets.column(bound.score), dtype=np.float64)

    def decide(self, triplets: pa.Table) -> list[str]:
        """Return the reason of the first bound that each row breaks, '' for none; a score at a bound passes."""
        found = np.full(triplets.num_rows, "", dtype=object)
        cutoffs = self.cutoffs(triplets)
        for bound in reversed(self.bounds):
            cutoff = cutoffs[bound.option]
            if cutoff is not None:
                scores = self.scores(bound, triplets)
                found[scores < cutoff if bound.least else scores > cutoff] = bound.reason
        found[self.spared(triplets)] = ""
        return [str(reason) for reason in found]

    def remarks(self, triplets: pa.Table) -> list[str]:
        """Tell what every fitted bound came to."""
        scores = {bound.option: bound.score for bound in self.bounds}
        return [
            f"{option}{FIT_SUFFIX}: {curve.said(scores[option])}" for option, curve in self.curves(triplets).items()
        ]

    def cutoffs(self, triplets: pa.Table) -> dict[str, float | None]:
        """Return the value of every bound for these triplets, linear between scores for a percentile, None for none.

        Raises:
            UserError: a bound cannot be fitted.
        """
        curves = self.curves(triplets)
        found: dict[str, float | None] = {}
        for bound in self.bounds:
            percent: float | None = getattr(self.settings, f"{bound.option}{SUFFIX}")
            if bound.option in curves:
                found[bound.option] = curves[bound.option].threshold
            elif percent is not None and triplets.num_rows:
                found[bound.option] = float(np.percentile(self.scores(bound, triplets), percent))
            else:
                found[bound.option] = getattr(self.settings, bound.option)
        return found

    def curves(self, triplets: pa.Table) -> dict[str, Curve]:
        """Return what every fitted bound was chosen from, by its option; each is fitted by itself.

        Raises:
            UserError: the labels cannot be read or do not do.
        """
        fits, name = self.settings.fits(), getattr(self.settings, "name", "filter")
        bounds = [bound for bound in self.bounds if bound.option in fits]
        if not bounds:
            return {}
        spared = self.spared(triplets)
        found = {}
        for bound in bounds:
            labels = read_labels(fits[bound.option].labels)
            labelled = _labelled(labels, triplets, np.where(spared, _passing(bound), self.scores(bound, triplets)))
            place = f"{name}.{bound.option}{FIT_SUFFIX}"
            found[bound.option] = fit_curve(fits[bound.option], labels, labelled, bound.least, place)
        return found


def _passing(bound: Bound) -> float:
    """Return a score that passes every bound."""
    return np.inf if bound.least else -np.inf


def _labelled(labels: Labels, triplets: pa.Table, scores: NDArray[np.float64]) -> Labelled:
    """Return the labels of rows that are there; the twins of a triplet (same images, same text) are one."""
    known = pa.array(sorted({reference for reference, _, _ in labels.triplets}), pa.string())
    rows = np.flatnonzero(np.asarray(pc.is_in(triplets.column(IDENTITY[0]), value_set=known)))
    named = zip(*(triplets.column(column).take(rows).to_pylist() for column in IDENTITY), strict=True)
    score_of: dict[tuple[str, ...], float] = {}
    for identity, score in zip(named, scores[rows].tolist(), strict=True):
        score_of[identity] = min(score, score_of.get(identity, score))
    there = [place for place, identity in enumerate(labels.triplets) if identity in score_of]
    references = [labels.triplets[place][0] for place in there]
    return Labelled(
        np.asarray([score_of[labels.triplets[place]] for place in there], dtype=np.float64),
        labels.good[there],
        labels.weight[there],
        np.unique(np.asarray(references, dtype=np.str_), return_inverse=True)[1].astype(np.int64),
    )
