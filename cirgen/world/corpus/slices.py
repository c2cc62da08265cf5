"""The slices of a query: what kind of change is asked for, and whether its pictures were ever seen in training."""

from __future__ import annotations

from typing import Any

from cirgen.world.claims import Among, Claims, Copy, Delta, Swap, Trend, Value
from cirgen.world.corpus.subject import Subject
from cirgen.world.vocabulary import NONE

BY_CHANGES = ("one_change", "two_changes", "three_changes")
MORE = "more_changes"


def slices(
    subject: Subject, claims: Claims | None, reference: Any, target: Any, *, is_open: bool = False
) -> list[str]:
    """Return the slices that a query is in, in the order of `subject.slices`.

    Args:
        subject: what the corpus shows.
        claims: of the query's text, None where that cannot be read.
        reference: its figure, or piece of furniture.
        target: the one that is wanted.
        is_open: whether different ones answer.
    """
    changes = len(subject.world.edits(reference, target))
    said = claims or ()
    found = {
        BY_CHANGES[changes - 1] if 1 <= changes <= len(BY_CHANGES) else MORE: changes > 0,
        "relation": any(isinstance(claim, Copy | Swap) for claim in said),
        "count": any(_counts(claim) for claim in said),
        "negation": any(_denies(claim) for claim in said),
        "kind": any(isinstance(claim, Value) and claim.attribute == "kind" for claim in said),
        "view": any(isinstance(claim, Value) and claim.attribute == "view" for claim in said),
        "unseen_pair": reference.shows_held_out_pair() or target.shows_held_out_pair(),
        "open": is_open,
        "unreadable": claims is None,
    }
    return [name for name in subject.slices if found.get(name)]


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
