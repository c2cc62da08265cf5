"""Which furniture exists for which purpose: families of siblings, and training draws kept apart from them.

A family is all that its few kinds, colours of two parts and views combine to, so that every picture has a dozen
siblings one change away, and a hundred two changes away: neither half of a query finds its target. No combination of
attributes serves two purposes, and no training picture shows a held-out pair of values.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import lru_cache
from hashlib import sha256
from itertools import product
from typing import NamedTuple

from cirgen.errors import UserError
from cirgen.world.furniture.item import Item, visible
from cirgen.world.furniture.vocabulary import PALETTE, Kind, kinds

TRAINING = ("mllm", "filter-encoder", "judge-encoder")
COLLECTIONS = ("corpus", "development", "evaluation")
FAMILY_SIZE = 144
"""Pictures of one family: more than ten others are one change away from any."""

_WARM = ("red", "orange", "yellow", "pink", "white", "black")
_COLD = ("green", "teal", "blue", "purple", "white", "black")
_MIXED = ("red", "yellow", "blue", "green", "white", "purple")


class Family(NamedTuple):
    """Kinds, colours of the larger and of the smaller part, and views, all combined."""

    kinds: tuple[str, ...]
    large: tuple[str, ...]
    small: tuple[str, ...]
    views: tuple[str, ...]

    def items(self) -> list[Item]:
        """Return every combination once."""
        found = []
        for kind, large, small, view in product(*self):
            parts = visible(kind=kind, view=view, **dict.fromkeys(kinds()[kind].parts, large)).parts
            found.append(visible(kind=kind, view=view, **dict(zip(parts, (large, small), strict=True))))
        return found


FAMILIES: dict[str, tuple[Family, ...]] = {
    "corpus": (
        Family(("armchair", "lounge chair", "bistro chair"), ("red", "blue", "yellow", "black"), _MIXED,
               ("front", "behind")),
        Family(("bar stool", "kitchen chair", "camping stool", "piano bench"), _WARM, ("green", "white", "purple"),
               ("front", "side")),
        Family(("chesterfield sofa", "club chair"), _MIXED, _COLD, ("front", "behind")),
        Family(("wooden bed", "low bed", "tufted bed"), ("purple", "teal", "pink", "green"), _WARM,
               ("front", "behind")),
        Family(("desk", "trestle table"), _COLD, _MIXED, ("front", "side")),
        Family(("drawer cabinet", "wardrobe", "refrigerator"), ("yellow", "blue", "red", "white"), _COLD,
               ("front", "above")),
        Family(("table lamp", "wall lamp"), _WARM, _MIXED, ("front", "above")),
    ),
    "development": (
        Family(("armchair", "lounge chair", "bistro chair"), ("red", "green", "orange", "white"), _COLD,
               ("side", "above")),
    ),
    "evaluation": (
        Family(("armchair", "lounge chair", "bistro chair"), ("green", "purple", "pink", "teal"), _WARM,
               ("front", "behind")),
        Family(("wooden bed", "low bed", "tufted bed"), ("red", "yellow", "blue", "white"), _COLD,
               ("front", "above")),
        Family(("drawer cabinet", "wardrobe", "refrigerator"), ("green", "orange", "pink", "black"), _WARM,
               ("front", "above")),
    ),
}  # fmt: skip
"""The families of every collection; family numbers are places in this table."""


class Member(NamedTuple):
    """One picture of a collection."""

    item: Item
    family: int


def collection(purpose: str) -> list[Member]:
    """Return the pictures of a collection, family by family."""
    if purpose not in FAMILIES:
        raise UserError(f"no collection of furniture `{purpose}`: choose one of {', '.join(FAMILIES)}")
    return [Member(item, number) for number, family in enumerate(FAMILIES[purpose]) for item in family.items()]


@lru_cache(maxsize=1)
def reserved() -> frozenset[Item]:
    """Return every item of every collection."""
    return frozenset(member.item for purpose in COLLECTIONS for member in collection(purpose))


def training_bucket(item: Item) -> str:
    """Return the one training purpose that may show `item`, by a hash of its attributes: half go to the MLLM."""
    told = "\0".join((item.kind, item.view, *(getattr(item, part) for part in item.parts)))
    number = int.from_bytes(sha256(told.encode()).digest()[:4], "big") % 4
    return TRAINING[max(0, number - 1)]


def may_train(purpose: str, item: Item) -> bool:
    """Whether models of the training `purpose` may be shown `item`."""
    return training_bucket(item) == purpose and not item.shows_held_out_pair() and item not in reserved()


@lru_cache(maxsize=1)
def everything() -> tuple[Item, ...]:
    """Return every item that can be drawn."""
    return tuple(
        visible(kind=kind.kind, view=view, **dict(zip(kind.parts, colors, strict=True)))
        for kind in kinds().values()
        for view in kind.views
        for colors in product(PALETTE, repeat=len(kind.parts))
    )


@lru_cache(maxsize=3)
def training_items(purpose: str) -> tuple[Item, ...]:
    """Return all that models of `purpose` may be shown."""
    if purpose not in TRAINING:
        raise UserError(f"no models of furniture are trained on `{purpose}`: choose one of {', '.join(TRAINING)}")
    return tuple(item for item in everything() if may_train(purpose, item))


def neighbours(item: Item, rng: random.Random) -> Iterator[Item]:
    """Yield items one to three edits from `item`, without end: other colours, a like kind, another view, a swap."""
    like = like_kinds(item.kind)
    while True:
        found = item
        for _ in range(rng.choice((1, 1, 2, 2, 3))):
            found = _edited(found, like, rng)
        if found != item and found.view in kinds()[found.kind].views:
            yield found


def _edited(item: Item, like: tuple[Kind, ...], rng: random.Random) -> Item:
    large, small = item.parts
    match rng.choice(("large", "small", "large", "small", "kind", "view", "swap", "copy")):
        case "kind":
            return item.with_values(kind=rng.choice(like).kind)
        case "view":
            return item.with_values(view=rng.choice(kinds()[item.kind].views))
        case "swap":
            return item.with_values(**{large: getattr(item, small), small: getattr(item, large)})
        case "copy":
            return item.with_values(**{large: getattr(item, small)})
        case which:
            return item.with_values(**{large if which == "large" else small: rng.choice(list(PALETTE))})


@lru_cache(maxsize=64)
def like_kinds(kind: str) -> tuple[Kind, ...]:
    """Return the kinds that have the same parts, `kind` among them."""
    parts = set(kinds()[kind].parts)
    return tuple(other for other in kinds().values() if set(other.parts) == parts)
