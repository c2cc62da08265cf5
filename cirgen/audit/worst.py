"""Rows to look at: those that look worst, of each kind of fault."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from cirgen.audit.audit import Findings
from cirgen.audit.corpus import Row
from cirgen.audit.leaks import leaked
from cirgen.audit.ranking import Ranks
from cirgen.audit.shortcuts import TOP
from cirgen.keys import digest

EACH = 6
"""Rows of each kind."""


class Shown(NamedTuple):
    """A row with what is wrong with it."""

    row: Row
    remark: str
    other: str = ""
    """Another image to show: a rival of the target."""


class Kind(NamedTuple):
    """Rows of one kind of fault."""

    title: str
    about: str
    rows: tuple[Shown, ...]
    total: int
    """Rows of the corpus that have it."""


def worst(found: Findings) -> list[Kind]:
    """Return the kinds of faults that there are, with the worst rows of each."""
    return [kind for kind in _kinds(found) if kind.rows]


def _kinds(found: Findings) -> Iterator[Kind]:
    if found.ranks is not None:
        yield _shortcut(found.ranks, 1, "Text alone finds the target", "whatever the reference shows")
        yield _shortcut(found.ranks, 2, "Image alone finds the target", "whatever the text says")
        yield _rivals(found)
    yield _leaks(found)
    yield _judged(found)


def _order(rows: Sequence[Row], badness: Callable[[int], float], places: Sequence[int]) -> list[int]:
    """Return places, worst first; equals by hash, so that the first rows of the file are not the only ones seen."""
    return sorted(places, key=lambda place: (-badness(place), digest("audit-worst", rows[place].row_id)))


def _shortcut(ranks: Ranks, kind: int, title: str, about: str) -> Kind:
    best = ranks.ranks[:, kind].min(axis=0)
    both = ranks.ranks[:, 0].min(axis=0)
    places = np.flatnonzero(best <= TOP).tolist()
    rows = [query.row for query in ranks.queries]
    ordered = _order(rows, lambda place: -float(best[place]), places)
    shown = tuple(
        Shown(rows[place], f"rank {best[place]:,} alone, {both[place]:,} with both") for place in ordered[:EACH]
    )
    return Kind(title, about, shown, len(places))


def _rivals(found: Findings) -> Kind:
    ranks = found.ranks
    assert ranks is not None and found.catalog is not None
    ids = found.catalog.ids
    places = np.flatnonzero(ranks.rivals > 0).tolist()
    rows = [query.row for query in ranks.queries]
    both = ranks.ranks[:, 0].max(axis=0)
    accepted = {one.row for one in found.judged if (one.rival_yes or 0.0) > 0.5}

    def plausible(place: int) -> float:
        """Rate what the judge accepts above the rest, then by how near the target comes: there encoders understand."""
        return float((rows[place] in accepted) - both[place] / (1 + both.max()))

    shown = tuple(
        Shown(rows[place], _rival_remark(ranks, place, rows[place] in accepted), ids[ranks.rival[place]])
        for place in _order(rows, plausible, places)[:EACH]
    )
    return Kind(
        "Possible false negatives",
        "the third picture is not listed as right, and every encoder puts it as near as the target, or nearer",
        shown,
        len(places),
    )


def _rival_remark(ranks: Ranks, place: int, accepted: bool) -> str:
    said = "the judge accepts it; " if accepted else ""
    return f"{said}{ranks.rivals[place]:,} such pictures, target at rank {ranks.ranks[:, 0, place].min():,} with both"


def _leaks(found: Findings) -> Kind:
    values = leaked(found.corpus, "target")
    rows = found.corpus.triplets
    places = np.flatnonzero(np.nan_to_num(values) >= 0.5).tolist()
    ordered = _order(rows, lambda place: float(values[place]), places)
    shown = tuple(
        Shown(rows[place], f"{values[place]:.0%} of the target's caption: {_caption(found, rows[place])}")
        for place in ordered[:EACH]
    )
    return Kind("Texts that leak the target", "half or more of the caption is in the text", shown, len(places))


def _caption(found: Findings, row: Row) -> str:
    facts = found.corpus.facts.get(row.target)
    return facts.caption if facts else ""


def _judged(found: Findings) -> Kind:
    wrong = [one for one in found.judged if one.own is not None and one.own <= 0.5]
    rows = [one.row for one in wrong]
    ordered = _order(rows, lambda place: -(wrong[place].own or 0.0), range(len(wrong)))
    shown = tuple(Shown(rows[place], f"judged {wrong[place].own:.0%} yes") for place in ordered[:EACH])
    return Kind("Judged wrong", "of the sample that was judged", shown, len(wrong))
