"""What the verdicts of a review say of a run: counts, shares with intervals, agreement."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from cirgen.review.agreement import Agreement, agreement
from cirgen.review.journal import Given
from cirgen.review.sample import STRATA, Row, Sample, drawn_from
from cirgen.review.verdicts import GOOD, VERDICTS, majority
from cirgen.weighted_share import WeightedShare, weighted_share


@dataclass(frozen=True)
class Judged:
    """One triplet that somebody judged."""

    row: Row
    verdict: str
    """Of the majority; a tie is unclear."""
    reviewers: int
    weight: float
    """Triplets of the run that it stands for."""


@dataclass(frozen=True)
class Share:
    """How many triplets got a verdict, and the share of the run that they stand for, 0 to 1, with its interval."""

    count: int
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class ReviewFigures:
    """The figures of a review."""

    rows: int
    """Of the sample."""
    origin: str
    seed: int
    population: dict[str, int]
    """Triplets of the run with a text, by stratum, when the sample was drawn."""
    drawn: dict[str, int]
    judged: int
    """Triplets with a verdict of at least one reviewer."""
    reviewers: dict[str, int]
    """Triplets of the sample that each judged."""
    shares: dict[str, dict[str, Share]]
    """`all` (once both kinds are judged), `accepted`, `rejected`: verdict to its share there."""
    good_accepted: Share | None
    """Of the good triplets of the run, those that the filters accepted; None until both kinds are judged."""
    agreement: Agreement | None
    unreadable: int
    """Lines of the journal that hold no verdict."""

    def record(self) -> dict[str, Any]:
        """Return plain data."""
        return {**asdict(self), "agreement": self.agreement._asdict() if self.agreement else None}


def judged_rows(sample: Sample, given: Given) -> list[Judged]:
    """Return the triplets of a sample that somebody judged, in its order."""
    weights = sample.weights(given.verdicts)
    return [
        Judged(row, majority(found.values()), len(found), weights[row.triplet_id])
        for row in sample.rows
        if (found := given.verdicts.get(row.triplet_id))
    ]


def review_figures(sample: Sample, given: Given) -> ReviewFigures:
    """Count a review.

    Shares are of the run's triplets (each judged one stands for its weight), and their intervals take texts of one
    reference as alike (`cirgen.weighted_share`).
    """
    judged = judged_rows(sample, given)
    of_sample = {row.triplet_id for row in sample.rows}
    parts = {stratum: [one for one in judged if one.row.stratum == stratum] for stratum in sample.design.population}
    whole = len(parts) > 1 and all(parts[stratum] or not size for stratum, size in sample.design.population.items())
    if whole:
        parts = {"all": judged, **parts}
    good = [one for one in judged if one.verdict == GOOD]
    return ReviewFigures(
        rows=len(sample.rows),
        origin=sample.design.origin,
        seed=sample.design.seed,
        population=dict(sample.design.population),
        drawn=drawn_from(sample.rows),
        judged=len(judged),
        reviewers={name: len(of_sample & given.of(name).keys()) for name in given.reviewers},
        shares={name: _shares(rows) for name, rows in parts.items() if rows},
        good_accepted=_share(good, [one.row.stratum == STRATA[0] for one in good]) if whole and good else None,
        agreement=agreement(found for triplet, found in given.verdicts.items() if triplet in of_sample),
        unreadable=given.unreadable,
    )


def _shares(rows: list[Judged]) -> dict[str, Share]:
    return {verdict: _share(rows, [one.verdict == verdict for one in rows]) for verdict in VERDICTS}


def _share(rows: list[Judged], hits: list[bool]) -> Share:
    found: WeightedShare = weighted_share(
        np.asarray(hits),
        np.asarray([one.weight for one in rows]),
        _numbers([one.row.reference_id for one in rows]),
        _numbers([one.row.stratum for one in rows]),
    )
    return Share(sum(hits), *found)


def _numbers(names: list[str]) -> Any:
    return np.unique(np.asarray(names, dtype=np.str_), return_inverse=True)[1].astype(np.int64)
