"""Triplets as numbers: every distinct picture has one, whatever ids it goes by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cirgen.errors import UserError
from cirgen.keys import digest
from cirgen_benchmark.images import ImageCollection
from cirgen_benchmark.triplets import Triplet

Numbers = NDArray[np.int64]


class Pictures:
    """Distinct pictures, numbered in the order in which they are first named."""

    def __init__(self, images: ImageCollection) -> None:
        self._images = images
        self._by_id: dict[str, int] = {}
        self._by_content: dict[str, int] = {}
        self.ids: list[str] = []
        """One image id of each picture."""

    def number(self, image_id: str) -> int:
        """Return the number of an image's picture; a new one where it was never named."""
        known = self._by_id.get(image_id)
        if known is None:
            content = self._images.content(image_id)
            known = self._by_content.setdefault(content, len(self.ids))
            if known == len(self.ids):
                self.ids.append(image_id)
            self._by_id[image_id] = known
        return known

    def numbers(self, image_ids: Iterable[str]) -> Numbers:
        """Return the distinct numbers of some images, in order."""
        return np.array(list(dict.fromkeys(map(self.number, image_ids))), dtype=np.int64)

    @property
    def contents(self) -> list[str]:
        """The content of each picture."""
        return list(self._by_content)

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class IndexedTriplets:
    """n triplets by the numbers of their pictures."""

    pictures: Pictures
    references: Numbers
    """[n]."""
    targets: Numbers
    """[n]."""
    texts: tuple[tuple[str, ...], ...]
    positives: tuple[Numbers, ...]
    """Other pictures known to be right, of each triplet."""
    hard_negatives: tuple[Numbers, ...]
    """Pictures known to be wrong but near, of each triplet."""
    named: int
    """So many pictures are a reference or a target; they are the first."""
    shown: int
    """So many pictures may have to be encoded, hard negatives included; they are the first."""

    def __len__(self) -> int:
        return len(self.references)

    def digest(self) -> str:
        """Hash what is learned from: pictures by content, texts, and what is known of each triplet."""
        rows = zip(self.references, self.targets, self.texts, self.positives, self.hard_negatives, strict=True)
        return digest(
            "triplets", self.pictures.contents, [[int(r), int(t), w, p.tolist(), h.tolist()] for r, t, w, p, h in rows]
        )


def index_triplets(triplets: Sequence[Triplet], images: ImageCollection, hard_negatives: int = 0) -> IndexedTriplets:
    """Number the pictures of triplets: references and targets first, triplet by triplet, then hard negatives.

    Args:
        triplets: to be trained on.
        images: what they name.
        hard_negatives: so many of each triplet's are used.

    Raises:
        UserError: there are no triplets, or one has no text, or they name images that the collection lacks.
    """
    check_triplets(triplets, images, hard_negatives)
    pictures = Pictures(images)
    ends = np.array([[pictures.number(t.reference), pictures.number(t.target)] for t in triplets], dtype=np.int64)
    named = len(pictures)
    negatives = tuple(pictures.numbers(t.hard_negatives[:hard_negatives]) for t in triplets)
    shown = len(pictures)
    positives = tuple(pictures.numbers(t.positives) for t in triplets)
    texts = tuple(t.texts for t in triplets)
    return IndexedTriplets(pictures, ends[:, 0], ends[:, 1], texts, positives, negatives, named, shown)


def check_triplets(triplets: Sequence[Triplet], images: ImageCollection, hard_negatives: int = 0) -> None:
    """Check that triplets can be trained on, without opening an image.

    Raises:
        UserError: as `index_triplets`.
    """
    if not triplets:
        raise UserError("There are no triplets to train on; name a corpus or a split that has some.")
    silent = sum(not t.texts for t in triplets)
    if silent:
        raise UserError(f"{silent:,} of {len(triplets):,} triplets have no modification text; give each at least one.")
    known = set(images.ids)
    used = dict.fromkeys(
        name for t in triplets for name in (t.reference, t.target, *t.positives, *t.hard_negatives[:hard_negatives])
    )
    missing = [name for name in used if name not in known]
    if missing:
        raise UserError(
            f"{len(missing):,} of {len(used):,} images that triplets name are missing, the first is "
            f"'{missing[0]}'; complete the images, or leave out the triplets that name them."
        )
