"""What each filter catches of each flaw, and what that costs in good triplets and in questions to a model.

Twice: on triplets of which half are good and the others have one known flaw each (`flawed.py`), and on what the
generator of the run wrote (natural prevalence), sorted by what the truth says is wrong with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from cirgen.keys import digest
from cirgen.world.filter_trial import Row, Trial, Trials
from cirgen.world.flawed import GOOD, Flawed, Pair, flawed_texts
from cirgen.world.gallery import Gallery
from cirgen.world.shares import Share, share
from cirgen.world.truth import Verdict, judge
from cirgen.world.vocabulary import Level

WHOLE = "whole stack"
ACCEPT_ALL = "accept all"
RANDOM = "random drop of equal size"
MEASURES = ("correct", "unique", "exhaustive", "composed", "good")


class Known(NamedTuple):
    """A triplet, what is wrong with it, and what the truth says of it."""

    row: Row
    flaw: str
    verdict: Verdict


@dataclass(frozen=True)
class Line:
    """What one stack did."""

    name: str
    caught: Mapping[str, Share]
    """Flaw to the share of its triplets that were rejected."""
    lost: Share | None
    """Of the good triplets, those that were rejected."""
    accepted: Mapping[str, Share]
    """What is true of the accepted ones, by measure."""
    passed: int
    questions: float
    """To a model, per triplet; 0 where all scores were measured before."""

    def record(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "name": self.name,
            "caught": {flaw: value._asdict() for flaw, value in self.caught.items()},
            "lost": self.lost._asdict() if self.lost else None,
            "accepted": {name: value._asdict() for name, value in self.accepted.items()},
            "passed": self.passed,
            "questions": self.questions,
        }


@dataclass(frozen=True)
class Matrix:
    """Lines for every filter alone, the whole stack, and what it is compared with."""

    name: str
    triplets: int
    flaws: Mapping[str, int]
    """Flaw to how many triplets have it; `good` for none."""
    lines: tuple[Line, ...]

    def record(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "name": self.name,
            "triplets": self.triplets,
            "flaws": dict(self.flaws),
            "lines": [line.record() for line in self.lines],
        }


def diagnosis(verdict: Verdict) -> str:
    """Return the first thing that is wrong with a triplet."""
    if not verdict.parsed:
        return "unparsable"
    for name in ("correct", "exhaustive", "unique", "composed"):
        if not getattr(verdict, name):
            return f"not {name}"
    return GOOD


def natural(trials: Trials, gallery: Gallery) -> list[Known]:
    """Return what the run's generator wrote, with what is wrong with it."""
    found = []
    for row in trials.rows():
        if row["regenerated"]:
            continue  # written for what was rejected: harder pairs would count twice
        verdict = judge(gallery, row["reference_id"], row["text"], row["target_id"])
        found.append(Known(row, diagnosis(verdict), verdict))
    return found


def balanced(trials: Trials, gallery: Gallery, level: Level, each: int, seed: int = 0) -> list[Known]:
    """Return good triplets and as many flawed ones, up to `each` of a flaw, on the pairs of the run."""
    rows = {row["pair_id"]: row for row in trials.rows() if row["direction"] == "forward"}
    pairs = [
        Pair(
            row["reference_id"],
            row["target_id"],
            gallery.figure(row["reference_id"]),
            gallery.figure(row["target_id"]),
            level,
        )
        for row in rows.values()
    ]
    by_ends = {(row["reference_id"], row["target_id"]): row for row in rows.values()}
    return [
        Known(_with_text(by_ends[one.reference_id, one.target_id], one), one.flaw, one.verdict)
        for one in flawed_texts(gallery, pairs, each, seed)
    ]


def _with_text(row: Row, one: Flawed) -> Row:
    return {**row, "text": one.text, "triplet_id": digest("flawed", one.flaw, row["pair_id"], one.text)}


def matrix(
    name: str, trials: Trials, filters: Sequence[Mapping[str, Any]], triplets: Sequence[Known], seed: int = 0
) -> Matrix:
    """Try every filter alone, then the whole stack.

    A bound in percent is one of the triplets at hand: where half of them are flawed, a filter that drops the lowest
    tenth can catch a fifth of the flawed ones at most.

    Args:
        name: of the triplets.
        trials: runs the filters.
        filters: settings of the stack, as in a recipe.
        triplets: with their flaws.
        seed: of intervals and of the random drop.
    """
    rows = [known.row for known in triplets]
    alone = [(str(one["name"]), trials.run([one], rows)) for one in filters]
    whole = trials.run(filters, rows)
    nothing = Trial(dict.fromkeys(whole.reasons, ""), 0, {})
    per_triplet = {name: trial.questions / max(len(rows), 1) for name, trial in alone}
    asked = sum(per_triplet[name] * seen for name, seen in whole.seen.items()) / max(len(rows), 1)
    return Matrix(
        name,
        len(rows),
        _counted(known.flaw for known in triplets),
        (
            _line(ACCEPT_ALL, nothing.reasons, triplets, 0.0, seed),
            *(_line(f"{name} alone", trial.reasons, triplets, per_triplet[name], seed) for name, trial in alone),
            _line(WHOLE, whole.reasons, triplets, asked, seed),
            _line(RANDOM, _random_drop(whole.reasons, seed), triplets, 0.0, seed),
        ),
    )


def _counted(names: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name in names:
        found[name] = found.get(name, 0) + 1
    return dict(sorted(found.items()))


def _random_drop(reasons: Mapping[str, str], seed: int) -> dict[str, str]:
    """Reject as many triplets as `reasons` does, drawn at random."""
    ids, rejected = sorted(reasons), sum(bool(reason) for reason in reasons.values())
    drawn = set(np.random.default_rng(seed).permutation(len(ids))[:rejected].tolist())
    return {triplet_id: "drawn" if place in drawn else "" for place, triplet_id in enumerate(ids)}


def _line(name: str, reasons: Mapping[str, str], triplets: Sequence[Known], questions: float, seed: int) -> Line:
    rejected = [bool(reasons[known.row["triplet_id"]]) for known in triplets]
    flaws = [flaw for flaw in _counted(known.flaw for known in triplets) if flaw != GOOD]
    accepted = [known for known, out in zip(triplets, rejected, strict=True) if not out]
    caught = {flaw: _rejected(triplets, rejected, flaw, seed) for flaw in flaws}
    measures = {
        measure: share(
            [bool(getattr(known.verdict, measure)) for known in accepted],
            [known.row["reference_id"] for known in accepted],
            seed,
        )
        for measure in MEASURES
    }
    return Line(
        name,
        {flaw: value for flaw, value in caught.items() if value},
        _rejected(triplets, rejected, GOOD, seed),
        {measure: value for measure, value in measures.items() if value},
        len(accepted),
        questions,
    )


def _rejected(triplets: Sequence[Known], rejected: Sequence[bool], flaw: str, seed: int) -> Share | None:
    chosen = [
        (out, known.row["reference_id"]) for known, out in zip(triplets, rejected, strict=True) if known.flaw == flaw
    ]
    return share([out for out, _ in chosen], [reference for _, reference in chosen], seed)
