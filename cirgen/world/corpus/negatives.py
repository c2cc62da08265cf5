"""Hard negatives by kind: wrong answers that fail in one known way, found by the exact attributes.

What a query asks for is given by its reference R, its target T and its claims. Of the images that do not fit, all of
the query's split:

- `change_missing`: every attribute is R's or T's, and of what changes something is still R's, not all of it;
- `one_wrong`: differs from T in one attribute alone, one that changes, and has neither T's value there nor R's;
- `too_much`: has all of T's changes, and one or two more;
- `wrong_direction`: T, but the number of objects moved the other way, or the colour was copied the other way round;
- `unlike_reference`: fits the text by itself, and is a change of another figure: three attributes or more that the
  text does not speak of are not R's.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cirgen.world.claims import Claims, Copy, claimed_attributes
from cirgen.world.figure import HIDDEN
from cirgen.world.gallery import CODES, Gallery
from cirgen.world.truth import alone

Mask = NDArray[np.bool_]

EACH = 2
"""At most so many of each kind, those nearest to the target."""
FURTHER_CHANGES = 2  # attributes beside those of the target that `too_much` changes at most
ANOTHER_FIGURE = 3  # attributes that the text does not speak of, and that are not the reference's

KINDS: Mapping[str, str] = {
    "reference": "the reference of the row itself: right only for a text that changes nothing",
    "change_missing": "made a part of the changes, not all of them",
    "one_wrong": "the target, but one of the attributes that change has a third value",
    "too_much": "made all of the changes, and one or two more",
    "wrong_direction": "the target, but the number of objects moved the other way, or the colour was copied the other "
    "way round",
    "unlike_reference": "fits the text by itself, but is a change of another figure",
    "mined": "near the pair in the embeddings of the run's encoder; does not fit, in no way that has a name here",
}
"""Kind to what it means, in the order of the lists."""


class Wanted(NamedTuple):
    """What a query asks for, as rows of the gallery."""

    name: str
    """Of the query: decides between images that are as near."""
    reference: int
    target: int
    text: str
    right: frozenset[int]
    """Every image that fits, the target among them."""


class Negatives:
    """Finds wrong answers among the images of one split.

    Args:
        gallery: all images.
        members: [N] those of the split.
    """

    def __init__(self, gallery: Gallery, members: Mask) -> None:
        self._gallery = gallery
        self._members = members

    def of(self, wanted: Wanted) -> list[tuple[int, str]]:
        """Return (row, kind) of images that do not fit, each once, the reference first."""
        found = [(wanted.reference, "reference")]
        claims = self._gallery.world.parse(wanted.text)
        if claims is None:
            return found
        order = self._order(wanted)
        taken = {wanted.reference, *wanted.right}
        for kind, mask in self._kinds(wanted, claims):
            chosen = [row for row in order if mask[row] and row not in taken][:EACH]
            taken.update(chosen)
            found += [(row, kind) for row in chosen]
        return found

    def _order(self, wanted: Wanted) -> Sequence[int]:
        """Return the rows of the split, the nearest to the target first; as near ones in an order of the query."""
        codes = self._gallery.codes
        rows = np.flatnonzero(self._members).tolist()
        random.Random(f"negatives {wanted.name}").shuffle(rows)
        distance = (codes[rows] != codes[wanted.target]).sum(axis=1)
        return [rows[place] for place in np.argsort(distance, kind="stable")]

    def _kinds(self, wanted: Wanted, claims: Claims) -> Iterator[tuple[str, Mask]]:
        """Yield each kind with the images [N] that are of it."""
        codes = self._gallery.codes
        old, new = codes[wanted.reference], codes[wanted.target]
        as_old, as_new = codes == old, codes == new
        changes = old != new
        apart = (~as_new).sum(axis=1)
        made = as_new[:, changes].sum(axis=1)
        yield "change_missing", (as_old | as_new).all(axis=1) & (made > 0) & (made < changes.sum())
        yield "one_wrong", (apart == 1) & (~as_new & ~as_old)[:, changes].any(axis=1)
        yield "too_much", as_new[:, changes].all(axis=1) & (apart > 0) & (apart <= FURTHER_CHANGES)
        yield "wrong_direction", self._other_way(wanted, claims)
        unsaid = [column for name, column in self._gallery.columns.items() if name not in claimed_attributes(claims)]
        unlike = (~as_old)[:, unsaid].sum(axis=1) >= ANOTHER_FIGURE
        yield "unlike_reference", alone(self._gallery, wanted.text) & unlike

    def _other_way(self, wanted: Wanted, claims: Claims) -> Mask:
        codes, counts, columns = self._gallery.codes, self._gallery.counts, self._gallery.columns
        as_new = codes == codes[wanted.target]
        before, after = counts[wanted.reference], counts[wanted.target]
        found: Mask = np.zeros(len(self._gallery), dtype=bool)
        if before and after and before != after:
            moved = np.sign(counts - before) == np.sign(before - after)
            found |= moved & (counts > 0) & self._but(as_new, "object_count")
        for claim in claims:
            if isinstance(claim, Copy):
                color = codes[wanted.reference, columns[claim.attribute]]
                both = (codes[:, [columns[claim.attribute], columns[claim.source]]] == color).all(axis=1)
                found |= both & (color != CODES[HIDDEN]) & self._but(as_new, claim.attribute, claim.source)
        return found

    def _but(self, as_new: Mask, *left_out: str) -> Mask:
        """Return which images [N] are the target but for some attributes."""
        columns = [column for name, column in self._gallery.columns.items() if name not in left_out]
        return np.asarray(as_new[:, columns].all(axis=1))
