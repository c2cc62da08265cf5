"""Bounds on a score, as a value or as a percentile of the triplets that are judged together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import model_validator

from cirgen.filters.base import FilterSettings
from cirgen.settings import Percent

Percentile = Percent | None
"""0 to 100; null is no bound."""

SUFFIX = "_percentile"


class Bound(NamedTuple):
    """One bound of a filter."""

    option: str
    """Setting that holds it as a value; with `_percentile` behind it, as a percentile."""
    score: str
    reason: str
    least: bool
    """True where smaller scores are rejected."""


class BoundedSettings(FilterSettings):
    """Settings whose bounds each come as a value or as a percentile, and of which at least one is set."""

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        options = [name for name in type(self).model_fields if f"{name}{SUFFIX}" in type(self).model_fields]
        both = [name for name in options if self.bound(name) == (True, True)]
        if both:
            raise ValueError(f"{both[0]} and {both[0]}{SUFFIX} are two ways to say one thing; keep one")
        if all(self.bound(name) == (False, False) for name in options):
            ways = ", ".join(f"{name} or {name}{SUFFIX}" for name in options)
            raise ValueError(f"without a bound this filter can reject nothing; set {ways}")
        return self

    def bound(self, option: str) -> tuple[bool, bool]:
        """Return whether a bound is set as a value, and as a percentile."""
        return getattr(self, option) is not None, getattr(self, f"{option}{SUFFIX}") is not None

    def cutoff(self, option: str, scores: NDArray[np.float64]) -> float | None:
        """Return the value of a bound for these scores, linear between the scores for a percentile, or None."""
        value: float | None = getattr(self, option)
        percent: float | None = getattr(self, f"{option}{SUFFIX}")
        if percent is None or not len(scores):
            return value
        return float(np.percentile(scores, percent))


def reasons(settings: BoundedSettings, bounds: Sequence[Bound], triplets: pa.Table) -> list[str]:
    """Return the reason of the first bound that each row breaks, '' for none; a score at a bound passes."""
    found = np.full(triplets.num_rows, "", dtype=object)
    for bound in reversed(bounds):
        scores = np.asarray(triplets.column(bound.score), dtype=np.float64)
        cutoff = settings.cutoff(bound.option, scores)
        if cutoff is not None:
            found[scores < cutoff if bound.least else scores > cutoff] = bound.reason
    return [str(reason) for reason in found]
