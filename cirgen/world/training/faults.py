"""Modification texts with a known fault, for the judge to refuse."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import NamedTuple

from cirgen.world.edits import edits
from cirgen.world.figure import HIDDEN, Figure
from cirgen.world.grammar import caption, change
from cirgen.world.vocabulary import ATTRIBUTES, Level

_VALUES = {attribute.name: attribute for attribute in ATTRIBUTES}
_TRIES = 8


class Faulty(NamedTuple):
    """A text, and the two figures whose change it tells."""

    text: str
    before: Figure
    after: Figure


def told(before: Figure, after: Figure, rng: random.Random) -> Faulty | None:
    """Write the change from `before` to `after`; None where they do not differ."""
    text = change(before, after, rng)
    return Faulty(text, before, after) if text else None


def altered(figure: Figure, name: str, rng: random.Random, level: Level) -> Figure:
    """Return `figure` with another value of attribute `name`; what that uncovers is drawn."""
    hidden = {a.name: rng.choice(a.values(level)) for a in ATTRIBUTES if getattr(figure, a.name) == HIDDEN}
    choices = [value for value in _VALUES[name].values(level) if value != getattr(figure, name)]
    return figure.with_values(**{**hidden, name: rng.choice(choices)}) if choices else figure


def wrong_value(reference: Figure, target: Figure, rng: random.Random, level: Level) -> Faulty | None:
    """Write the change with one value that the target does not have."""
    name = rng.choice(reference.differences(target))
    other = altered(target, name, rng, level)
    wrong = getattr(target, name) != HIDDEN and other != reference and name in reference.differences(other)
    return told(reference, other, rng) if wrong else None


def wrong_attribute(reference: Figure, target: Figure, rng: random.Random, level: Level) -> Faulty | None:
    """Write a change of something that stayed as it was; None where nothing did."""
    same = [a.name for a in ATTRIBUTES if getattr(reference, a.name) == getattr(target, a.name) != HIDDEN]
    if not same:
        return None
    other = altered(reference, rng.choice(same), rng, level)
    stray = set(reference.differences(other)) & _differing(reference, target)
    return None if stray else told(reference, other, rng)


def _differing(reference: Figure, target: Figure) -> set[str]:
    return set(reference.differences(target))


def swapped_direction(reference: Figure, target: Figure, rng: random.Random, level: Level) -> Faulty | None:
    """Write the change from the target back to the reference."""
    del level
    return told(target, reference, rng)


def unchanged(reference: Figure, target: Figure, rng: random.Random, level: Level) -> Faulty | None:
    """Write a change to what the reference already shows."""
    names = [a.name for a in ATTRIBUTES if getattr(reference, a.name) != HIDDEN]
    other = altered(reference, rng.choice(names), rng, level)
    return told(other, reference, rng) if other not in (reference, target) else None


def caption_of_target(reference: Figure, target: Figure, rng: random.Random, level: Level) -> Faulty | None:
    """Describe the target instead of the change."""
    del reference, level
    return Faulty(caption(target, rng), target, target)


def true_but_partial(reference: Figure, target: Figure, rng: random.Random, level: Level) -> Faulty | None:
    """Write the change but for one of its edits; None for a change of one edit."""
    del level
    found = edits(reference, target)
    if len(found) < 2:
        return None
    left_out = rng.choice(found).attributes
    return told(reference, target.with_values(**{name: getattr(reference, name) for name in left_out}), rng)


Fault = Callable[[Figure, Figure, random.Random, Level], Faulty | None]

TRAINED: Mapping[str, Fault] = {
    "wrong value": wrong_value,
    "wrong attribute": wrong_attribute,
    "swapped direction": swapped_direction,
    "unchanged": unchanged,
}
"""Faults that the judge learns to refuse."""

SHARES: Mapping[str, int] = {
    "wrong value": 4,
    "wrong attribute": 1,
    "swapped direction": 3,
    "unchanged": 1,
    "true but partial": 3,
}
"""How often training shows a fault: those that only a look at both images tells come most often."""

UNSEEN: Mapping[str, Fault] = {"caption of the target": caption_of_target, "true but partial": true_but_partial}
"""Faults that the judge never meets in training: its accuracy on them says how it generalises."""


FAULTS_OF_THE_JUDGE: Mapping[str, Fault] = {**TRAINED, "true but partial": true_but_partial}
"""Faults that the judge of its own learns to refuse: it is asked whether a text tells all of the change."""


def faulty_text(
    reference: Figure,
    target: Figure,
    rng: random.Random,
    level: Level,
    faults: Mapping[str, Fault] = TRAINED,
) -> tuple[str, Faulty]:
    """Return (fault, text) of a fault that training shows."""
    shares = [SHARES[name] for name in faults]
    for _ in range(_TRIES):
        (fault,) = rng.choices(list(faults), shares)
        found = faults[fault](reference, target, rng, level)
        if found and found.text != change(reference, target, rng):
            return fault, found
    return "swapped direction", Faulty(change(target, reference, rng) or "", target, reference)
