"""FashionIQ (arXiv 1905.12794) val: three categories, each with a gallery and queries of two captions.

What papers report differs in three ways, and two of them are in every key:
- gallery: `original` is `split.{category}.val.json`; `val_union` is the smaller set of the references and targets of
  the category's queries;
- reference: `ref_keep` leaves it in the ranking (CLIP4Cir, BLIP4CIR, SPRC), `ref_remove` takes it out (SPN4CIR on
  CLIP4CIR);
- text: how the two captions of a query are joined, which is for who encodes the queries to choose.
A picture under two names counts as two images.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, get_args

import numpy as np
from pydantic import BaseModel, Field

from cirgen.sources import fashioniq
from cirgen.sources.annotations import load_annotations
from cirgen.sources.fashioniq import Category
from cirgen_benchmark.protocols.base import Features, Scores
from cirgen_benchmark.protocols.contradictions import check_asked, check_gallery
from cirgen_benchmark.protocols.figures import Figure, Ranks, average, recall_at, together
from cirgen_benchmark.protocols.images import absent_of
from cirgen_benchmark.protocols.parts import Asked, GalleryProtocol, Opened, Part, query_table
from cirgen_benchmark.protocols.ranks import Block, Bools, count

Joining = Literal["first_and_second", "second_and_first", "first", "second"]
"""`first_and_second` is how CLIP4Cir and SPN4CIR evaluate; they train on all four."""
JOININGS: dict[Joining, tuple[int, ...]] = {
    "first_and_second": (0, 1),
    "second_and_first": (1, 0),
    "first": (0,),
    "second": (1,),
}
"""Which captions of a query are joined by ` and `."""
Gallery = Literal["original", "val_union"]
RECALLS = (10, 50)
FIX = "set --root to the folder of captions/ and image_splits/"


class _Row(BaseModel):
    candidate: str
    target: str
    captions: Annotated[list[str], Field(min_length=2, max_length=2)]


def joined(captions: Sequence[str], joining: Joining = "first_and_second", capitalised: bool = False) -> str:
    """Join the captions of a query, each stripped of `.?, `.

    Args:
        captions: two, in file order.
        joining: which, and in which order.
        capitalised: with one capital in the first of them, at its start, as TG-CIR, BLIP4CIR and SPRC have it.
    """
    first, *others = (captions[place].strip(".?, ") for place in JOININGS[joining])
    return " and ".join([first.capitalize() if capitalised else first, *others])


class FashionIQ(GalleryProtocol):
    """The queries of `captions/cap.{category}.val.json`; a query's id is its place in that file, from 0.

    Args:
        root: folder of captions/ and image_splits/; where it has images/, too, holes in these are found.
        split: the targets of `test` are withheld.
        gallery: one of the two galleries, or both.
        reference: whether a query's reference stays in the ranking.
        text: how captions are joined.
        capitalised: see `joined`.
        allow_missing: go on without images and queries that have no embedding.

    Raises:
        UserError: an annotation file is missing or has another layout.
    """

    def __init__(
        self,
        root: Path,
        split: Literal["val"] = "val",
        *,
        gallery: Gallery | Literal["both"] = "both",
        reference: Literal["keep", "remove"] = "keep",
        text: Joining = "first_and_second",
        capitalised: bool = False,
        allow_missing: bool = False,
    ) -> None:
        self.name = f"fashioniq.{split}"
        self.allow_missing = allow_missing
        self._root, self._split = root, split
        self._views: tuple[Gallery, ...] = get_args(Gallery) if gallery == "both" else (gallery,)
        self._reference = reference
        self._joining: Joining = text
        self._capitalised = capitalised
        self.parts = [self._part(category) for category in get_args(Category)]

    def _part(self, category: Category) -> Part:
        captions = self._root / "captions" / f"cap.{category}.{self._split}.json"
        images = self._root / "image_splits" / f"split.{category}.{self._split}.json"
        asked = [
            Asked(str(place), row.candidate, joined(row.captions, self._joining, self._capitalised), (row.target,))
            for place, row in enumerate(load_annotations(captions, list[_Row], FIX))
        ]
        gallery = load_annotations(images, list[str], FIX)
        check_asked(captions, asked, removes=self._reference == "remove")
        check_gallery(images, gallery)
        needed = None if "original" in self._views else _union(asked)
        references = list(dict.fromkeys(one.reference for one in asked))
        return Part(gallery, asked, category, needed, self._absent(category, gallery), references)

    def _absent(self, category: Category, gallery: Sequence[str]) -> frozenset[str]:
        if not (self._root / "images").is_dir():
            return frozenset()
        settings = fashioniq.FashionIQSettings(
            root=str(self._root), categories=(category,), split=self._split, allow_missing=True
        )
        return absent_of(fashioniq.FashionIQ(settings), gallery)

    def score(self, features: Features) -> Scores:
        """Return R@10 and R@50 of each category, their means over categories, and the mean of all, for each gallery.

        Raises:
            UserError: see `Protocol.score`.
        """
        parts, name, notes = self.opened(features, self._reference == "remove")
        ranks = [self._ranks(part) for part in parts]
        figures: dict[str, Figure] = {}
        columns: dict[str, list[Ranks]] = {}
        for place, view in enumerate(self._views):
            found = [of_part[:, place] for of_part in ranks]
            figures |= self._figures(f"{name}.{view}.ref_{self._reference}", found)
            columns["rank" if place == 0 else f"rank_{view}"] = found
        return Scores(figures, query_table(self.parts, columns), notes)

    def _ranks(self, opened: Opened) -> Ranks:
        """Return the rank of each query's target in each gallery [Q, galleries]."""
        targets = opened.targets[:, 0]
        within = {view: _within(opened.part, view) for view in self._views}

        def rank(block: Block) -> Ranks:
            own = targets[block.rows]
            ahead = block.ahead(np.arange(len(own)), own)
            return np.stack([count(ahead if images is None else ahead & images) for images in within.values()], axis=1)

        return opened.each(rank)

    def _figures(self, prefix: str, ranks: Sequence[Ranks]) -> dict[str, Figure]:
        """Return the figures of one gallery from the ranks of each category."""
        found: dict[str, Figure] = {}
        for k in RECALLS:
            for part, of_part in zip(self.parts, ranks, strict=True):
                found[f"{prefix}.{part.name}.recall@{k}"] = Figure({part.name: recall_at(of_part, k)})
            each = [found[f"{prefix}.{part.name}.recall@{k}"] for part in self.parts]
            found[f"{prefix}.mean.recall@{k}"] = together(each)
        return {**found, f"{prefix}.mean": average(found[f"{prefix}.mean.recall@{k}"] for k in RECALLS)}


def _within(part: Part, gallery: Gallery) -> Bools | None:
    """Return which images of the original gallery are in a gallery [N]; None for all."""
    return part.mask(_union(part.asked)) if gallery == "val_union" else None


def _union(asked: Sequence[Asked]) -> frozenset[str]:
    return frozenset(image for one in asked for image in (one.reference, *one.targets))
