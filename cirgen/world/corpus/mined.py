"""The mined part: what a run wrote and filtered, with the truth attached afterwards.

Nothing here changes a text, a score or whether a row was accepted. What the attributes say of a row (its split, its
slices, every image that fits, the kinds of its wrong answers) is added to it; rows whose images lie in two splits are
left out, and counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from cirgen.world.build import Truth
from cirgen.world.corpus.negatives import Negatives, Wanted
from cirgen.world.corpus.slices import slices
from cirgen.world.corpus.subject import Subject
from cirgen.world.gallery import Gallery
from cirgen.world.truth import Verdict, answers, judge


class Truthful(NamedTuple):
    """What the attributes say of one mined row."""

    triplet_id: str
    split: str
    positive_ids: list[str]
    """Other images that fit: the text says so, or they show the very figure of the target."""
    hard_negatives: list[dict[str, str]]
    slices: list[str]
    edits: int
    """Parts in which the two figures differ."""
    verdict: Verdict
    cleared: int
    """Mined hard negatives that fit the text after all, and were taken out."""


class Annotator:
    """Says of the rows of a run what the attributes know.

    Args:
        truth: of every image of the run.
        split_of: image id to split.
        subject: what the images show.
    """

    def __init__(self, truth: Truth, split_of: Mapping[str, str], subject: Subject) -> None:
        self.gallery = Gallery(truth.image_ids, truth.figures, truth.world)
        self._subject = subject
        self._split_of = split_of
        self._splits = np.array([split_of[name] for name in truth.image_ids])
        self._negatives = {name: Negatives(self.gallery, self._splits == name) for name in set(split_of.values())}

    def annotated(self, rows: Iterable[Mapping[str, Any]]) -> Iterator[Truthful]:
        """Yield what is known of each row whose two images are of one split.

        Args:
            rows: with `triplet_id`, `reference_id`, `text`, `target_id` and the `hard_negatives` of the run.
        """
        for row in rows:
            if self._split_of[row["reference_id"]] == self._split_of[row["target_id"]]:
                yield self._one(row)

    def _one(self, row: Mapping[str, Any]) -> Truthful:
        gallery, split = self.gallery, self._split_of[row["reference_id"]]
        reference, text, target = row["reference_id"], row["text"] or "", row["target_id"]
        one, other = gallery.figure(reference), gallery.figure(target)
        right = self._right(reference, text, target)
        listed = self.negatives(split, row["triplet_id"], reference, text, target, right)
        known = {wrong["image_id"] for wrong in listed}
        mined = [wrong["image_id"] for wrong in row["hard_negatives"] if wrong["kind"] == "mined"]
        still_wrong = [name for name in mined if name not in right and self._split_of[name] == split]
        listed += [{"image_id": name, "kind": "mined"} for name in still_wrong if name not in known]
        return Truthful(
            triplet_id=row["triplet_id"],
            split=split,
            positive_ids=sorted(right - {target}),
            hard_negatives=listed,
            slices=slices(self._subject, gallery.world.parse(text), one, other),
            edits=len(gallery.world.edits(one, other)),
            verdict=judge(gallery, reference, text, target),
            cleared=sum(name in right for name in mined),
        )

    def _right(self, reference: str, text: str, target: str) -> frozenset[str]:
        """Return every image that fits: the target's figure does wherever the target does."""
        gallery = self.gallery
        same = (gallery.codes == gallery.codes[gallery.row(target)]).all(axis=1)
        twins = {gallery.image_ids[row] for row in np.flatnonzero(same)}
        fitting = twins.union(answers(gallery, reference, text, target)) - {reference}
        return frozenset(name for name in fitting if self._split_of[name] == self._split_of[target])

    def negatives(
        self, split: str, name: str, reference: str, text: str, target: str, right: Iterable[str]
    ) -> list[dict[str, str]]:
        """Return wrong answers of a query by kind, as rows of `hard_negatives`; the query's `name` decides ties."""
        row = self.gallery.row
        wanted = Wanted(name, row(reference), row(target), text, frozenset(map(row, right)))
        found = self._negatives[split].of(wanted)
        return [{"image_id": self.gallery.image_ids[place], "kind": kind} for place, kind in found]
