"""Texts of known flaws and known worth for pairs of figures, to see what filters catch and what that costs."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from cirgen.world.edits import edits
from cirgen.world.figure import Figure
from cirgen.world.gallery import Gallery
from cirgen.world.grammar import caption, change
from cirgen.world.training.faults import (
    caption_of_target,
    swapped_direction,
    true_but_partial,
    unchanged,
    wrong_attribute,
    wrong_value,
)
from cirgen.world.truth import Verdict, fitting_images, judge
from cirgen.world.vocabulary import Level

GOOD = "good"
BROAD = 10
"""A text that more other images fit as well as the target is too broad."""
_TRIES = 8

Writer = Callable[["Pair", random.Random], str | None]


class Pair(NamedTuple):
    """Two images of a gallery and their figures."""

    reference_id: str
    target_id: str
    reference: Figure
    target: Figure
    level: Level


class Flawed(NamedTuple):
    """A triplet whose flaw is known, `GOOD` for none."""

    reference_id: str
    text: str
    target_id: str
    flaw: str
    verdict: Verdict


def _known(fault: Callable[[Figure, Figure, random.Random, Level], object]) -> Writer:
    def write(pair: Pair, rng: random.Random) -> str | None:
        found = fault(pair.reference, pair.target, rng, pair.level)
        return None if found is None else str(getattr(found, "text", None) or "") or None

    return write


def _restated(pair: Pair, rng: random.Random) -> str | None:
    """Describe the reference, then the change: all of the reference is in the text."""
    text = change(pair.reference, pair.target, rng)
    return f"{text} instead of {caption(pair.reference, rng)}" if text else None


def _nonsense(pair: Pair, rng: random.Random) -> str | None:
    """Shuffle the words of a true text."""
    text = change(pair.reference, pair.target, rng)
    words = text.split() if text else []
    return " ".join(rng.sample(words, len(words))) if len(words) > 2 else None


FLAWS: Mapping[str, Writer] = {
    "wrong value": _known(wrong_value),
    "wrong attribute": _known(wrong_attribute),
    "swapped direction": _known(swapped_direction),
    "unchanged": _known(unchanged),
    "caption of the target": _known(caption_of_target),
    "restated reference": _restated,
    "too broad": _known(true_but_partial),
    "true but partial": _known(true_but_partial),
    "nonsense": _nonsense,
}
"""Flaw to what writes it."""


def has_flaw(flaw: str, gallery: Gallery, row: tuple[str, str, str], verdict: Verdict) -> bool:
    """Return whether the truth agrees that a triplet has the flaw that it was written with."""
    if flaw == GOOD:
        return verdict.good
    if flaw in ("restated reference", "caption of the target"):
        return not verdict.good
    if flaw == "nonsense":
        return not verdict.correct
    if flaw in ("too broad", "true but partial"):
        rivals = fitting_images(gallery, *row) - 1
        return verdict.correct and not verdict.exhaustive and (rivals > BROAD) == (flaw == "too broad")
    return not verdict.correct


def flawed_texts(gallery: Gallery, pairs: Sequence[Pair], each: int, seed: int) -> list[Flawed]:
    """Return up to `each` triplets of every flaw, and as many good ones as flawed ones, if need be fewer of both.

    No pair is used twice for one flaw; each triplet has been held against the exact truth.
    """
    found: list[Flawed] = []
    for flaw, write in FLAWS.items():
        found += _some(gallery, pairs, flaw, write, each, random.Random(f"{flaw} {seed}"))
    good = _some(gallery, pairs, GOOD, _true, len(found), random.Random(f"good {seed}"))
    rest = random.Random(f"rest {seed}").sample(range(len(found)), len(good))
    return [found[place] for place in sorted(rest)] + good


def _true(pair: Pair, rng: random.Random) -> str | None:
    return change(pair.reference, pair.target, rng)


def _some(
    gallery: Gallery, pairs: Sequence[Pair], flaw: str, write: Writer, most: int, rng: random.Random
) -> list[Flawed]:
    found: list[Flawed] = []
    for pair in rng.sample(list(pairs), len(pairs)):
        if len(found) == most:
            break
        triplet = _one(gallery, pair, flaw, write, rng)
        if triplet:
            found.append(triplet)
    return found


def _one(gallery: Gallery, pair: Pair, flaw: str, write: Writer, rng: random.Random) -> Flawed | None:
    if not edits(pair.reference, pair.target):
        return None
    for _ in range(_TRIES):
        text = write(pair, rng)
        if text is None:
            return None
        row = (pair.reference_id, text, pair.target_id)
        verdict = judge(gallery, *row)
        if has_flaw(flaw, gallery, row, verdict):
            return Flawed(*row, flaw, verdict)
    return None
