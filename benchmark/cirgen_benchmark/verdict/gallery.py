"""Queries to look at: what two arms find, where one is right and the other is not."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

from cirgen_benchmark.verdict.examiner import Found
from cirgen_benchmark.verdict.preset import Preset
from cirgen_benchmark.verdict.results import Results
from cirgen_benchmark.verdict.runner import Outcome, Runner

TOP = 5
"""Images shown of each ranking."""
DEPTH = 10
"""A query counts as found when a right image is among the first ten."""
EACH = 4
"""Queries of each kind."""


class Answer(NamedTuple):
    """What one arm finds for a query."""

    arm: str
    rank: int | None
    """Of the first right image; None where the query is left out."""
    top: tuple[str, ...]


class Shown(NamedTuple):
    """A query with the answers of two arms."""

    reference: str
    text: str
    targets: tuple[str, ...]
    answers: tuple[Answer, Answer]


def compared(preset: Preset) -> tuple[str, str] | None:
    """Return the arms that are shown side by side: the last of either side of the verdict's contrast."""
    if preset.verdict is None:
        return None
    contrast = preset.contrasts[preset.verdict]
    return contrast.plus[-1], contrast.minus[-1]


def shown(results: Results, runner: Runner) -> dict[str, list[Shown]]:
    """Return a few queries of each kind that there is, as the first seed answers them at the last step."""
    names = compared(results.preset)
    if names is None:
        return {}
    ours, others = (results.first(name) for name in names)
    found = [runner.tops(one.arm, one.seed, TOP) for one in (ours, others)]
    return {
        kind: [_shown(place, (ours, others), (found[0][place], found[1][place])) for place in places]
        for kind, places in _drawn(names, _ranks(ours), _ranks(others)).items()
        if places
    }


def _shown(place: int, outcomes: tuple[Outcome, Outcome], found: tuple[Found, Found]) -> Shown:
    answers = [
        Answer(outcome.arm.name, _ranks(outcome)[place], one.top) for outcome, one in zip(outcomes, found, strict=True)
    ]
    return Shown(found[0].reference, found[0].text, found[0].targets, (answers[0], answers[1]))


def _ranks(outcome: Outcome) -> list[int | None]:
    ranks: list[int | None] = outcome.queries["rank"].to_pylist()
    return ranks


def _drawn(names: tuple[str, str], ours: Sequence[int | None], others: Sequence[int | None]) -> dict[str, list[int]]:
    """Draw places of queries of each kind."""
    kinds = {
        (True, False): f"found by \u201c{names[0]}\u201d alone",
        (False, True): f"found by \u201c{names[1]}\u201d alone",
        (True, True): "found by both",
        (False, False): "found by neither",
    }
    places: dict[tuple[bool, bool], list[int]] = {hits: [] for hits in kinds}
    for place, (one, other) in enumerate(zip(ours, others, strict=True)):
        if one is not None and other is not None:
            places[one <= DEPTH, other <= DEPTH].append(place)
    rng = random.Random("queries that are shown")
    return {kind: sorted(rng.sample(places[hits], min(EACH, len(places[hits])))) for hits, kind in kinds.items()}
