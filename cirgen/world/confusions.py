"""What a captioner sees and what it mixes up, attribute by attribute."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from cirgen.world.figure import HIDDEN, Figure
from cirgen.world.gallery import NAMES
from cirgen.world.parser import parse_caption
from cirgen.world.vocabulary import NONE

UNSAID = "(unsaid)"
"""What a caption tells of an attribute it leaves out."""

_MOST = 3


class Confusion(NamedTuple):
    """How captions tell one attribute: `accuracy` over the `seen` figures that show it, and the most common mistakes.

    A mistake is (true value, value told, how often); a caption that cannot be read tells nothing.
    """

    attribute: str
    accuracy: float
    seen: int
    mistakes: list[tuple[str, str, int]]


class Captions(NamedTuple):
    """How well captions tell figures: shares of all captions, then one row for each attribute that was seen."""

    captions: int
    unreadable: float
    exact: float
    """Share of captions that tell every visible attribute and nothing false."""
    attributes: list[Confusion]


def confusions(captions: Iterable[tuple[Figure, str]]) -> Captions:
    """Compare generated captions with their figures; `ValueError` without captions.

    Where a figure lacks a thing (glasses "none"), leaving it unsaid is right.
    """
    pairs: dict[str, Counter[tuple[str, str]]] = {name: Counter() for name in NAMES}
    outcomes = [_compare(figure, text, pairs) for figure, text in captions]
    if not outcomes:
        raise ValueError("no captions to compare")
    rows = [_confusion(name, counts) for name, counts in pairs.items() if counts]
    return Captions(len(outcomes), outcomes.count(None) / len(outcomes), outcomes.count(True) / len(outcomes), rows)


def _compare(figure: Figure, text: str, pairs: dict[str, Counter[tuple[str, str]]]) -> bool | None:
    """Count (true, told) of every attribute; return whether the caption is exact, None if it cannot be read."""
    told = parse_caption(text)
    if told is None:
        pairs_of = {name: (str(getattr(figure, name)), UNSAID) for name in NAMES}
    else:
        pairs_of = {name: _told(str(getattr(figure, name)), told.get(name)) for name in NAMES}
    for name, (true, said) in pairs_of.items():
        if true != HIDDEN:
            pairs[name][true, said] += 1
    if told is None:
        return None
    return all(true == said or (true == HIDDEN and said == UNSAID) for true, said in pairs_of.values())


def _told(true: str, said: str | None) -> tuple[str, str]:
    """Return (true, told) where a caption was read; saying nothing of what is absent tells that it is absent."""
    return true, said or (NONE if true == NONE else UNSAID)


def _confusion(name: str, counts: Counter[tuple[str, str]]) -> Confusion:
    seen = counts.total()
    right = sum(number for (true, said), number in counts.items() if true == said)
    wrong = sorted(
        ((true, said, number) for (true, said), number in counts.items() if true != said),
        key=lambda mistake: (-mistake[2], mistake),
    )
    return Confusion(name, right / seen, seen, wrong[:_MOST])
