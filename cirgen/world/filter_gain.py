"""What the filters of a run achieved: how much more often an accepted triplet is good, by the exact truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cirgen.world.shares import Share, numbered, resamples, share
from cirgen.world.truth_report import Judged

LITTLE = 0.05
"""A smaller rise of the share of good triplets, all to accepted, is called little: twenty triplets for one."""

Counts = NDArray[np.float64]


class Difference(NamedTuple):
    """A difference of shares with its 95 % interval."""

    value: float
    low: float
    high: float


class Gain(NamedTuple):
    """The share of good triplets in three parts, and how far that of the accepted is above the others."""

    all: float
    accepted: float
    rejected: float
    over_all: Difference
    over_rejected: Difference
    kept: Share | None
    """Of the good triplets, those that are accepted; None where no triplet is good."""

    def record(self) -> dict[str, Any]:
        """Return plain data."""
        parts = {"over_all": self.over_all, "over_rejected": self.over_rejected, "kept": self.kept}
        return {**self._asdict(), **{name: part and part._asdict() for name, part in parts.items()}}


def gain(judged: Sequence[Judged], seed: int = 0) -> Gain | None:
    """Return what the filters achieved, None where there are only accepted triplets or only rejected ones.

    Whole references are drawn (percentile bootstrap, 1,000 draws), so that both shares of a difference come from the
    same references.
    """
    accepted = np.array([not row.reason for row in judged])
    if accepted.all() or not accepted.any():
        return None
    clusters = numbered([row.reference_id for row in judged])
    good = np.array([row.verdict.good for row in judged])
    parts = [np.stack([_per(clusters, good & part), _per(clusters, part)]) for part in (accepted, ~accepted)]
    kept, lost = parts
    draws = list(resamples(int(clusters.max()) + 1, seed))
    both = kept + lost
    return Gain(
        _share(both),
        _share(kept),
        _share(lost),
        _difference(kept, both, draws),
        _difference(kept, lost, draws),
        _kept(judged, seed),
    )


def _kept(judged: Sequence[Judged], seed: int) -> Share | None:
    good = [row for row in judged if row.verdict.good]
    return share([not row.reason for row in good], [row.reference_id for row in good], seed)


def _per(clusters: NDArray[np.int64], rows: NDArray[np.bool_]) -> Counts:
    return np.bincount(clusters, weights=rows, minlength=int(clusters.max()) + 1).astype(np.float64)


def _difference(one: Counts, other: Counts, draws: Sequence[NDArray[np.int64]]) -> Difference:
    """Compare two parts; each holds the good triplets and all triplets of every reference [2, references]."""
    found = [_share(one[:, draw]) - _share(other[:, draw]) for draw in draws]
    low, high = np.nanpercentile(found, (2.5, 97.5))  # a draw may hold no triplet of a small part
    return Difference(_share(one) - _share(other), float(low), float(high))


def _share(part: Counts) -> float:
    good, rows = part.sum(axis=1)
    return float(good / rows) if rows else float("nan")


def sentence(found: Gain | None) -> str:
    """Say in plain words what the filters achieved."""
    if found is None:
        return "The dataset holds accepted triplets alone, or rejected ones: what filtering achieved cannot be told."
    rise = found.over_all
    text = (
        f"Filtering took the share of good triplets from {100 * found.all:.1f} to {100 * found.accepted:.1f} %: "
        f"{_points(rise)}. Of the rejected {100 * found.rejected:.1f} % are good, which makes "
        f"{_points(found.over_rejected)} for accepted against rejected."
    )
    if found.kept:
        one = found.kept
        text += f" Of the good ones {100 * one.share:.1f} % [{100 * one.low:.1f}, {100 * one.high:.1f}] are kept."
    if rise.high < 0:
        return f"{text} The filters of this run did harm."
    if rise.low <= 0:
        return f"{text} The filters of this run changed little: it may be chance."
    return f"{text} The filters of this run changed little." if rise.value < LITTLE else text


def _points(difference: Difference) -> str:
    value, low, high = (100 * part for part in difference)
    return f"{value:+.1f} points [{low:.1f}, {high:.1f}]"
