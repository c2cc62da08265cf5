"""CIRCO (arXiv 2303.15247): val with figures, test with the file that its server scores.

Each query has several right images among the 123,403 of COCO 2017 unlabeled. mAP@K counts all of them, recall@K the
one that the text was written for (`target_img_id`), and nothing is taken out of the ranking: the reference competes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from cirgen.errors import UserError
from cirgen.sources.annotations import load_annotations
from cirgen_benchmark.protocols.base import Features, Scores
from cirgen_benchmark.protocols.contradictions import check_asked, check_gallery, refuse_annotations
from cirgen_benchmark.protocols.figures import Figure, Ranks, average_precision_at, counted, recall_at
from cirgen_benchmark.protocols.holes import settled
from cirgen_benchmark.protocols.images import absent_files
from cirgen_benchmark.protocols.parts import Asked, GalleryProtocol, Part, query_table
from cirgen_benchmark.protocols.rankings import Lists, RankingsFile, Rules, check_lists, positions, refuse, unanswered
from cirgen_benchmark.protocols.ranks import Block, alphabetical, first, right_ranks
from cirgen_benchmark.protocols.submissions import Submission, submission

DEPTHS = (5, 10, 25, 50)
ASPECT_DEPTH = 10
"""Depth of the mAP of each semantic aspect, as the server has it."""
LISTED = max(DEPTHS)
"""Images that the server takes for each query."""
COCO = "COCO2017_unlabeled"
IMAGE_INFO = f"{COCO}/annotations/image_info_unlabeled2017.json"
FIX = "set --root to a copy of CIRCO's repository"
IMAGE_INFO_FIX = "fetch image_info_unlabeled2017 from cocodataset.org and put it there: it lists CIRCO's gallery"
Text = Literal["caption", "shared_concept", "concept_and_caption"]
"""What a query says: its relative caption, as in CIRCO's paper; the concept that reference and target share; or both,
the concept first. MegaPairs (arXiv 2412.14475) evaluates with both, which is easier: never compare the two."""


class _Row(BaseModel):
    id: int
    reference_img_id: int
    relative_caption: str
    shared_concept: str
    target_img_id: int | None = None
    gt_img_ids: list[int] = []
    semantic_aspects: list[str] = []


class _Image(BaseModel):
    id: int
    file_name: str


class _Images(BaseModel):
    images: list[_Image]


class CIRCO(GalleryProtocol):
    """The queries of `annotations/{split}.json`; image ids are those of COCO, as text.

    Args:
        root: folder of annotations/ and, for embeddings, COCO2017_unlabeled/annotations/; where it has
            COCO2017_unlabeled/unlabeled2017/, too, holes in these images are found.
        split: the targets of `test` are withheld.
        text: what a query says.
        allow_missing: go on without images and queries that have no embedding.

    Raises:
        UserError: an annotation file is missing or has another layout.
    """

    def __init__(
        self, root: Path, split: Literal["val", "test"] = "val", *, text: Text = "caption", allow_missing: bool = False
    ) -> None:
        self.name = f"circo.{split}"
        self.allow_missing = allow_missing
        self._root = root
        path = root / "annotations" / f"{split}.json"
        self._rows = load_annotations(path, list[_Row], FIX)
        self._asked = [
            Asked(str(row.id), str(row.reference_img_id), _said(row, text), _targets(row)) for row in self._rows
        ]
        check_asked(path, self._asked, removes=False)
        other = [str(row.id) for row in self._rows if row.target_img_id not in (row.gt_img_ids or (None,))]
        refuse_annotations(path, other, "has queries whose target is not among their right images")

    @property
    def withheld(self) -> bool:
        """Whether no query has a target."""
        return not any(one.targets for one in self._asked)

    @cached_property
    def parts(self) -> Sequence[Part]:  # type: ignore[override]
        """The one gallery, in the order of COCO's list of images; rankings need none."""
        found = load_annotations(self._root / IMAGE_INFO, _Images, IMAGE_INFO_FIX).images
        files = {str(image.id): image.file_name for image in found}
        check_gallery(self._root / IMAGE_INFO, [str(image.id) for image in found])
        absent = absent_files(files, [self._root / COCO / "unlabeled2017"])
        return [Part(list(files), self._asked, absent=absent)]

    def score(self, features: Features) -> Scores:
        """Return mAP@K and recall@K for K of 5, 10, 25 and 50, and mAP@10 of each semantic aspect.

        Raises:
            UserError: see `Protocol.score`.
        """
        self.check_public()
        (opened,), name, notes = self.opened(features, remove_references=False)
        rights = opened.targets

        def rank(block: Block) -> Ranks:
            own = rights[block.rows]
            return np.column_stack([block.target_ranks(own[:, 0]), right_ranks(block, own)])

        ranks = opened.each(rank)
        counts = np.zeros(len(self._asked), dtype=np.int64)
        counts[opened.answered] = (rights >= 0).sum(axis=1)
        return self._scores(name, ranks[:, 0], ranks[:, 1:], counts, notes)

    def score_rankings(self, files: Sequence[RankingsFile]) -> Scores:
        """Score the file that the server takes.

        Raises:
            UserError: see `Protocol.score_rankings`; or a query has no list and that is not allowed.
        """
        self.check_public()
        if len(files) != 1:
            raise UserError("CIRCO's rankings are one file; give --rankings once.")
        (file,) = files
        foreign = [query for query, images in file.lists.items() if not all(map(_is_id, images))]
        refuse(str(file.path), foreign, "that rank what is no id of COCO, a number without leading zeros")
        check_lists(str(file.path), file.lists, self._asked, self._rules())
        name, notes = settled(self.name, [unanswered(file, self._asked)], self.allow_missing)
        ranks = positions(file.lists, self._asked)
        counts = np.array([len(one.targets) for one in self._asked])
        return self._scores(name, ranks[:, 0], np.sort(ranks, axis=1), counts, notes)

    def submissions(self, features: Features) -> Sequence[Submission]:
        """Return the server's file: the first 50 images of each query; tied ones by id, as text.

        Raises:
            UserError: see `Protocol.submissions`.
        """
        (opened,), _, _ = self.opened(features, remove_references=False)
        gallery = opened.part.gallery
        order = alphabetical(gallery)
        found = [rows for block in opened.search.blocks() for rows in first(block, LISTED, order)]
        lists: Lists = {
            self._asked[query].id: [gallery[row] for row in rows]
            for query, rows in zip(opened.answered, found, strict=True)
        }
        rules = replace(self._rules(), exact=True)
        return [submission(f"{self.name}.json", lists, self._asked, rules, numbers=True)]

    def _rules(self) -> Rules:
        """Return what rankings must be; without COCO's list of images any image may be ranked."""
        if not (self._root / IMAGE_INFO).is_file():
            return Rules(None, LISTED)
        gallery = self.parts[0].gallery
        return Rules(frozenset(gallery), min(LISTED, len(gallery)))

    def _scores(
        self, name: str, target: Ranks, rights: Ranks, counts: NDArray[np.int64], notes: Sequence[str]
    ) -> Scores:
        """Return the figures that follow from ranks.

        Args:
            name: prefix of metric keys.
            target: [Q] rank of the image that the text was written for.
            rights: [Q, P] ranks of all right images, ascending.
            counts: [Q] how many right images there are.
            notes: what is missing.
        """
        averages = {k: average_precision_at(rights, counts, k) for k in DEPTHS}
        figures = {f"{name}.map@{k}": Figure({"": averages[k]}) for k in DEPTHS}
        figures |= {f"{name}.recall@{k}": Figure({"": recall_at(target, k)}) for k in DEPTHS}
        for aspect in sorted({aspect for row in self._rows for aspect in row.semantic_aspects}):
            has = np.array([aspect in row.semantic_aspects for row in self._rows])
            values = np.where(has, averages[ASPECT_DEPTH], np.nan)
            if counted(values):
                figures[f"{name}.map@{ASPECT_DEPTH}.{aspect}"] = Figure({"": values})
        columns: dict[str, list[NDArray[Any]]] = {"rank": [target], f"map@{ASPECT_DEPTH}": [averages[ASPECT_DEPTH]]}
        parts = [Part((), self._asked)]
        return Scores(figures, query_table(parts, columns), notes)


def _is_id(image: str) -> bool:
    """Tell whether a text is a whole number as Python writes it."""
    return image.isascii() and image.isdigit() and (image == "0" or image[0] != "0")


def _said(row: _Row, text: Text) -> str:
    texts: dict[Text, str] = {
        "caption": row.relative_caption,
        "shared_concept": row.shared_concept,
        "concept_and_caption": f"{row.shared_concept}, {row.relative_caption}",
    }
    return texts[text]


def _targets(row: _Row) -> tuple[str, ...]:
    """Return all right images, the one that the text was written for first."""
    if row.target_img_id is None:
        return ()
    return tuple(str(image) for image in dict.fromkeys([row.target_img_id, *row.gt_img_ids]))
