"""The slices of a query: what kind of change is asked for, and whether its figures were ever seen in training."""

from __future__ import annotations

from collections.abc import Mapping

from cirgen.world.claims import Among, Claims, Copy, Delta, Swap, Trend, Value
from cirgen.world.edits import edits
from cirgen.world.figure import Figure
from cirgen.world.vocabulary import NONE

BY_CHANGES = ("one_change", "two_changes", "three_changes")
MORE = "more_changes"

MEANINGS: Mapping[str, str] = {
    "one_change": "the two figures differ in one part; a part is the head with its hair or hat, the top, the pants, "
    "the shoes, the glasses, the beard, the background, the objects, or the number of objects",
    "two_changes": "they differ in two parts",
    "three_changes": "they differ in three parts",
    MORE: "they differ in more parts; mined rows alone",
    "relation": 'the text names a value by another part ("the shoes in the shirt\'s colour") or swaps two colours',
    "count": "the text says how many objects there are, or that there are more or fewer",
    "negation": "the text says that something is not there any more",
    "unseen_pair": "one of the two figures shows two values together, such as a green hoodie, that no training of the "
    "embedded models showed together, and neither does any other split",
    "open": "different figures answer: the text leaves a value to choose; text-first queries alone",
    "unreadable": "the text is outside the grammars of the figures; mined rows alone, without slices by text",
}
"""Slice to what it means."""


def slices(claims: Claims | None, reference: Figure, target: Figure, *, is_open: bool = False) -> list[str]:
    """Return the slices that a query is in, in the order of `MEANINGS`.

    Args:
        claims: of its text, None where that cannot be read.
        reference: its figure.
        target: the figure that is wanted.
        is_open: whether different figures answer.
    """
    changes = len(edits(reference, target))
    said = claims or ()
    found = {
        BY_CHANGES[changes - 1] if 1 <= changes <= len(BY_CHANGES) else MORE: changes > 0,
        "relation": any(isinstance(claim, Copy | Swap) for claim in said),
        "count": any(_counts(claim) for claim in said),
        "negation": any(_denies(claim) for claim in said),
        "unseen_pair": reference.shows_held_out_pair() or target.shows_held_out_pair(),
        "open": is_open,
        "unreadable": claims is None,
    }
    return [name for name in MEANINGS if found.get(name)]


def _counts(claim: object) -> bool:
    match claim:
        case Delta() | Trend():
            return True
        case Value("object_count", _, named):
            return not named
    return False


def _denies(claim: object) -> bool:
    """Whether the claim is that a thing is gone; a hat is, where the text says that hair is seen."""
    match claim:
        case Value(_, value):
            return value == NONE
        case Among("head"):
            return True
    return False
