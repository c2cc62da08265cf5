"""What the language model's states at a question's words must tell in training, besides the answer.

A verdict or a letter is one token for a whole question: too little to learn from which word meets which part of which
image. So temporary classifiers (`classifiers.py`) read from those states what each claim of the text is worth.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import torch

from cirgen.world.figure import HIDDEN, Figure
from cirgen.world.training.classifiers import DIFFERENCES, UNASKED, VALUES
from cirgen.world.training.pool import attribute_codes

if TYPE_CHECKING:
    from cirgen.world.training.tasks import Lesson

Kind = Literal["claims", "shown", "fits", "captions"]

UNSAID, TRUE, FALSE, AS_BEFORE = range(4)
"""What a text says of an attribute: nothing, what the target shows, what neither image shows, what was so already."""

CANDIDATES = 4

_NAMES = tuple(field.name for field in fields(Figure))

CLASSES: Mapping[Kind, tuple[int, ...]] = {
    "claims": (4,) * len(VALUES),
    "shown": VALUES + VALUES,
    "fits": (2,) * CANDIDATES,
    "captions": DIFFERENCES + VALUES,
}
"""Number of classes of every classifier of a probe."""


class Probe(NamedTuple):
    """The right classes at one question."""

    kind: Kind
    codes: tuple[int, ...]


def claims_probe(reference: Any, target: Any, before: Any, after: Any) -> Probe:
    """Say of every attribute what a text that tells the change `before` to `after` claims of the pair.

    All four are figures, or what another world has instead: dataclasses whose fields are its attributes.
    """
    names = (field.name for field in fields(reference))
    return Probe("claims", tuple(_claim(name, reference, target, before, after) for name in names))


def _claim(name: str, reference: Any, target: Any, before: Any, after: Any) -> int:
    value = getattr(after, name)
    if value in (getattr(before, name), HIDDEN):
        return UNSAID
    if value == getattr(reference, name):
        return AS_BEFORE
    return TRUE if value == getattr(target, name) else FALSE


def shown_probe(reference: Figure, target: Figure, before: Figure, after: Figure) -> Probe:
    """Say what both figures show of every attribute that a text about the change `before` to `after` speaks of."""
    told = {
        name for name, claim in zip(_NAMES, claims_probe(reference, target, before, after).codes, strict=True) if claim
    }
    return Probe(
        "shown",
        tuple(
            int(code) if name in told else UNASKED
            for codes in attribute_codes([reference, target])
            for name, code in zip(_NAMES, codes, strict=True)
        ),
    )


def fits_probe(candidates: Sequence[Figure], target: Figure) -> Probe:
    """Say of every candidate whether it shows the target."""
    return Probe("fits", tuple(int(candidate == target) for candidate in candidates))


def captions_probe(reference: Figure, target: Figure) -> Probe:
    """Say which attributes two captions tell apart, and what the second tells."""
    first, second = attribute_codes([reference, target])
    return Probe("captions", (*(int(a != b) for a, b in zip(first, second, strict=True)), *map(int, second)))


class Probed(NamedTuple):
    """The probes of one kind in a batch of packed rows."""

    rows: torch.Tensor
    """int64 [probes, 1]."""
    places: torch.Tensor
    """int64 [probes, words] within the row; 0 where a question is shorter."""
    words: torch.Tensor
    """bool [probes, words]: which places count."""
    codes: torch.Tensor
    """int64 [probes, classifiers]."""

    @classmethod
    def collect(cls, questions: Iterable[tuple[int, Lesson, int, int]]) -> dict[Kind, Probed]:
        """Group questions (row, lesson, first place, place after the last) by the kind of their probe."""
        found: dict[Kind, list[tuple[int, int, int, Probe]]] = {}
        for row, lesson, start, stop in questions:
            for probe in lesson.probes:
                found.setdefault(probe.kind, []).append((row, start, stop, probe))
        return {kind: cls._padded(probes) for kind, probes in found.items()}

    @classmethod
    def _padded(cls, probes: Sequence[tuple[int, int, int, Probe]]) -> Probed:
        rows, starts, stops = (torch.tensor(column)[:, None] for column in list(zip(*probes, strict=True))[:3])
        places = starts + torch.arange(int((stops - starts).max()))
        words = places < stops
        return cls(rows, places * words, words, torch.tensor([probe.codes for *_, probe in probes]))
