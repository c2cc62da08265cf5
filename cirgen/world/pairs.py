"""Pairs of one family to ask about, as many of each number of edits."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from cirgen.world.edits import edits

MOST_EDITS = 3


class Pair(NamedTuple):
    """A reference and a target by their places among the images, and the number of edits between them."""

    reference: int
    target: int
    edits: int


def draw_pairs(
    figures: Sequence[Any],
    families: Sequence[int],
    each: int,
    seed: int,
    edits: Callable[[Any, Any], Sequence[object]] = edits,
) -> list[Pair]:
    """Return `each` pairs of one edit, of two and so on to `MOST_EDITS`, in turn, from all families.

    `edits` are those of the world that `figures` are of.
    """
    rng = random.Random(f"pairs {seed}")
    members: dict[int, list[int]] = {}
    for index, family in enumerate(families):
        members.setdefault(family, []).append(index)
    found: dict[int, list[Pair]] = {count: [] for count in range(1, MOST_EDITS + 1)}
    while any(len(some) < each for some in found.values()):
        reference = rng.randrange(len(figures))
        target = rng.choice(members[families[reference]])
        count = len(edits(figures[reference], figures[target]))
        if count in found and len(found[count]) < each:
            found[count].append(Pair(reference, target, count))
    return [pair for some in zip(*found.values(), strict=True) for pair in some]
