"""Whether a triplet is right, decided by the exact attributes of its figures.

A triplet is
- correct if its text claims at least one change and every claim is true of the pair;
- exhaustive if the text applied to the reference yields the attributes of the target;
- unique if no other image of the gallery fits as well as the target does. An image fits if every claim is true of it
  with this reference and it has no more unclaimed differences from the reference than the target has. Images with the
  target's attributes are further positives, no rivals;
- composed if more than ten images of the gallery satisfy the text alone, and more than ten, the reference left out,
  are at least as near to the reference as the target is (Hamming distance over attributes): neither half of the query
  finds the target by itself;
- good if all four hold. A text that cannot be parsed is none of them.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cirgen.world.claims import (
    Among,
    Claim,
    Claims,
    Copy,
    Delta,
    Described,
    Given,
    Swap,
    Trend,
    Value,
    apply,
    claimed_attributes,
)
from cirgen.world.figure import HIDDEN
from cirgen.world.gallery import CODES, Gallery
from cirgen.world.shares import Share, share
from cirgen.world.vocabulary import MAX_COUNT
from cirgen.world.worlds import FIGURES, World

RIVALS = 10
"""A half of the query that leaves at most so many candidates solves it (recall at ten)."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Verdict:
    """What the truth says of one triplet; the module says what the words mean."""

    parsed: bool
    correct: bool
    exhaustive: bool
    unique: bool
    composed: bool

    @property
    def good(self) -> bool:
        """Whether all four hold."""
        return self.correct and self.exhaustive and self.unique and self.composed


_UNPARSED = Verdict(parsed=False, correct=False, exhaustive=False, unique=False, composed=False)


def judge(gallery: Gallery, reference_id: str, text: str, target_id: str) -> Verdict:
    """Judge one triplet; `UserError` if the gallery lacks an image of it."""
    reference, target = gallery.row(reference_id), gallery.row(target_id)
    claims = gallery.world.parse(text)
    if claims is None:
        return _UNPARSED
    fitting = _fitting(gallery, claims, reference, target)
    rivals = fitting & (gallery.codes != gallery.codes[target]).any(axis=1)
    by_text = _satisfying(gallery, claims)
    distance = (gallery.codes != gallery.codes[reference]).sum(axis=1)
    near = int((distance <= distance[target]).sum()) - 1  # the reference itself is at distance 0
    changes = any(not isinstance(claim, Given) for claim in claims)
    return Verdict(
        parsed=True,
        correct=changes and bool(fitting[target]),
        exhaustive=apply(claims, gallery.figures[reference]) == gallery.figures[target],
        unique=bool(fitting[target]) and not rivals.any(),
        composed=int(by_text.sum()) > RIVALS and near > RIVALS,
    )


def fitting_images(gallery: Gallery, reference_id: str, text: str, target_id: str) -> int:
    """Return how many images fit a text that can be read as well as the target does, the target included."""
    claims = gallery.world.parse(text)
    return (
        0
        if claims is None
        else int(_fitting(gallery, claims, gallery.row(reference_id), gallery.row(target_id)).sum())
    )


def answers(gallery: Gallery, reference_id: str, text: str, target_id: str) -> list[str]:
    """Return the images that fit as well as the target does, in the gallery's order; none if the target does not.

    The reference is left out: who asks for a change does not want it back.
    """
    claims = gallery.world.parse(text)
    reference, target = gallery.row(reference_id), gallery.row(target_id)
    if claims is None:
        return []
    fitting = _fitting(gallery, claims, reference, target)
    rows = np.flatnonzero(fitting) if fitting[target] else ()
    return [gallery.image_ids[row] for row in rows if row != reference]


def alone(gallery: Gallery, text: str) -> Mask:
    """Return [N] whether each image satisfies the text alone, with whatever reference; none if it cannot be read."""
    claims = gallery.world.parse(text)
    return np.zeros(len(gallery), dtype=bool) if claims is None else _satisfying(gallery, claims)


def judge_all(gallery: Gallery, rows: Iterable[tuple[str, str, str]]) -> list[Verdict]:
    """Judge (reference id, text, target id) rows, in order."""
    return [judge(gallery, *row) for row in rows]


def hold(claims: Claims, reference: Described, target: Described, world: World = FIGURES) -> bool:
    """Return whether every claim is true of a pair of figures, whatever else changes between them."""
    gallery = Gallery(("reference", "target"), (reference, target), world)
    return all(bool(np.broadcast_to(_true(claim, claims, gallery, 0), 2)[1]) for claim in claims)


def _fitting(gallery: Gallery, claims: Claims, reference: int, target: int) -> Mask:
    """Return [N] whether each image fits the text with this reference, as well as the target does."""
    old = gallery.codes[reference]
    mask = np.ones(len(gallery), dtype=bool)
    for claim in claims:
        mask &= _true(claim, claims, gallery, reference)
    claimed = claimed_attributes(claims)
    unclaimed = [column for name, column in gallery.columns.items() if name not in claimed]
    differences = (gallery.codes[:, unclaimed] != old[unclaimed]).sum(axis=1)
    return np.asarray(mask & (differences <= differences[target]))


def _true(claim: Claim, claims: Claims, gallery: Gallery, reference: int) -> Mask:
    """Return [N] (or one value for all) whether the claim is true of (reference, image), a change where it says so."""
    new, old = gallery.codes, gallery.codes[reference]
    holds: Mask | bool
    match claim:
        case Value(name, value, named):
            column, code = gallery.columns[name], _code(value)
            holds = (new[:, column] == code) & (named or old[column] != code)
        case Among(name, values):
            column, codes = gallery.columns[name], _codes(values)
            holds = np.isin(new[:, column], codes) & (old[column] not in codes)
        case Copy(name, source):
            copied = old[gallery.columns[source]]
            changes = copied not in (CODES[HIDDEN], old[gallery.columns[name]])
            holds = (new[:, gallery.columns[name]] == copied) & changes
        case Swap(first, second):
            one, other = gallery.columns[first], gallery.columns[second]
            changes = old[one] != old[other] and CODES[HIDDEN] not in (old[one], old[other])
            holds = (new[:, one] == old[other]) & (new[:, other] == old[one]) & changes
        case Delta(amount):
            before = gallery.counts[reference]
            holds = (gallery.counts - before == amount) & (before > 0)
        case Trend(sign):
            before = gallery.counts[reference]
            holds = (sign * (gallery.counts - before) > 0) & (before > 0) & (gallery.counts > 0)
        case Given(name, values):
            introduced = any(isinstance(c, Value) and c.attribute == name and c.value in values for c in claims)
            holds = introduced or old[gallery.columns[name]] in _codes(values)
    return np.asarray(holds, dtype=bool)


def _satisfying(gallery: Gallery, claims: Claims) -> Mask:
    """Return [N] whether each image satisfies the text alone: it is true of the image with some reference."""
    mask = np.ones(len(gallery), dtype=bool)
    claimed = claimed_attributes(claims)
    for claim in claims:
        mask &= _possible(claim, claimed, gallery)
    return mask


def _possible(claim: Claim, claimed: frozenset[str], gallery: Gallery) -> Mask:
    """Return [N] whether some reference makes the claim true of the image.

    What is said of the reference and not changed holds of the image too: who asks for "the hoodie" in red gets a
    hoodie; who asks for shoes in the unchanged shirt's colour gets shoes and shirt of one colour.
    """
    new = gallery.codes
    hidden = CODES[HIDDEN]
    holds: Mask
    match claim:
        case Value(name, value):
            holds = new[:, gallery.columns[name]] == _code(value)
        case Among(name, values):
            holds = np.isin(new[:, gallery.columns[name]], _codes(values))
        case Copy(name, source):
            column = new[:, gallery.columns[name]]
            holds = (column != hidden) & ((column == new[:, gallery.columns[source]]) | (source in claimed))
        case Swap(first, second):
            one, other = new[:, gallery.columns[first]], new[:, gallery.columns[second]]
            holds = (one != other) & (one != hidden) & (other != hidden)
        case Delta(amount):
            before = gallery.counts - amount
            holds = (gallery.counts > 0) & (before > 0) & (before <= MAX_COUNT)
        case Trend(sign):
            holds = (gallery.counts > 1) if sign > 0 else (gallery.counts > 0) & (gallery.counts < MAX_COUNT)
        case Given(name, values):
            holds = np.isin(new[:, gallery.columns[name]], (*_codes(values), hidden)) | (name in claimed)
    return holds


def _code(value: str) -> int:
    return CODES.get(value, -1)


def _codes(values: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(_code(value) for value in values)


MEASURES = ("correct", "exhaustive", "unique", "composed", "good", "unparsable")


def summary(verdicts: Sequence[Verdict], references: Sequence[Hashable], seed: int = 0) -> dict[str, Share] | None:
    """Return `MEASURES` as shares of `verdicts`, clustered by the reference of each; None without verdicts."""
    if not verdicts:
        return None
    hits = {name: [bool(getattr(verdict, name)) for verdict in verdicts] for name in MEASURES[:-1]}
    hits["unparsable"] = [not verdict.parsed for verdict in verdicts]
    found = {name: share(hits[name], references, seed) for name in MEASURES}
    return {name: value for name, value in found.items() if value is not None}
