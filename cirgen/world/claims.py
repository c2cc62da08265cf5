"""What a modification text says of a (reference, target) pair, free of words."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, TypeVar

from cirgen.world.figure import Figure
from cirgen.world.vocabulary import NONE

if TYPE_CHECKING:
    from cirgen.world.furniture.item import Item

Described = TypeVar("Described", Figure, "Item")
"""What a picture of one of the worlds shows."""


@dataclass(frozen=True)
class Value:
    """`attribute` is now `value` ("a red hat").

    `named`: the value only names the thing that another claim changes ("a red *ball*"), so it must hold of the target
    but need not be a change.
    """

    attribute: str
    value: str
    named: bool = False


@dataclass(frozen=True)
class Among:
    """`attribute` is now one of `values` and was none of them ("take off the hat": the hair is not told)."""

    attribute: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Copy:
    """`attribute` now has the value that the reference has in `source` ("the shoes in the shirt's colour")."""

    attribute: str
    source: str


@dataclass(frozen=True)
class Swap:
    """The two attributes exchange their values."""

    first: str
    second: str


@dataclass(frozen=True)
class Delta:
    """So many objects more, or fewer if negative."""

    amount: int


@dataclass(frozen=True)
class Trend:
    """More objects (1) or fewer (-1), how many is not told."""

    sign: int


@dataclass(frozen=True)
class Given:
    """Said of the reference in passing: `attribute` is one of `values` ("instead of *the curly hair*")."""

    attribute: str
    values: tuple[str, ...]


Claim = Value | Among | Copy | Swap | Delta | Trend | Given
Claims = tuple[Claim, ...]


def claimed_attributes(claims: Claims) -> frozenset[str]:
    """Return the attributes whose value in the target the claims speak of."""
    return frozenset(name for claim in claims for name in _attributes(claim))


def apply(claims: Claims, reference: Described) -> Described:
    """Return the figure, or item of furniture, that `claims` make of `reference`, changing nothing they leave open.

    Every claim reads the reference, not the outcome of another. A value left open where one is needed (the colour of
    hair that a hat hid) stays hidden, so that the outcome equals no complete figure.
    """
    values: dict[str, str] = {}
    for claim in claims:
        values |= _outcome(claim, reference)
    return reference.with_values(**values)


def _attributes(claim: Claim) -> tuple[str, ...]:
    match claim:
        case Value(name) | Among(name) | Copy(name):
            return (name,)
        case Swap(first, second):
            return (first, second)
        case Delta() | Trend():
            return ("object_count",)
        case Given():
            return ()


def _outcome(claim: Claim, reference: Described) -> dict[str, str]:
    old: dict[str, str] = asdict(reference)
    match claim:
        case Value(name, value):
            return {name: value}
        case Copy(name, source):
            return {name: old[source]}
        case Swap(first, second):
            return {first: old[second], second: old[first]}
        case Delta(amount):
            count = reference.count + amount
            return {"object_count": str(count)} if count > 0 else {"object_kind": NONE}
        case _:
            return {}
