"""CIRR (arXiv 2108.04024), annotations rc2: val with figures, test1 with the two files that its server scores.

The reference is always taken out of the ranking. R@k ranks the whole gallery; R_subset@k the five other images of the
query's `img_set`; the mean that papers report is (R@5 + R_subset@1) / 2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel

from cirgen.errors import UserError
from cirgen.sources import cirr
from cirgen.sources.annotations import load_annotations
from cirgen_benchmark.protocols.base import Features, Scores
from cirgen_benchmark.protocols.contradictions import check_asked, check_gallery, refuse_annotations
from cirgen_benchmark.protocols.fashioniq import FIX
from cirgen_benchmark.protocols.figures import Figure, Ranks, average, counted, recall_at
from cirgen_benchmark.protocols.holes import settled
from cirgen_benchmark.protocols.images import absent_of
from cirgen_benchmark.protocols.parts import Asked, GalleryProtocol, Opened, Part, query_table
from cirgen_benchmark.protocols.rankings import RankingsFile, Rules, check_lists, positions, refuse, unanswered
from cirgen_benchmark.protocols.ranks import Block, Rows, alphabetical, among, confined, count, first
from cirgen_benchmark.protocols.submissions import Submission, submission

RECALLS = (1, 5, 10, 50)
SUBSET_RECALLS = (1, 2, 3)
LISTED = {"recall": max(RECALLS), "recall_subset": max(SUBSET_RECALLS)}
"""Names that the server takes for each query, by metric."""
VERSION = "rc2"
MAX_BYTES = 5_000_000
"""The server refuses larger files (its page says 5 MB)."""


class _Set(BaseModel):
    members: list[str]


class _Row(BaseModel):
    pairid: int
    reference: str
    caption: str
    img_set: _Set
    target_hard: str | None = None


class CIRR(GalleryProtocol):
    """The queries of `captions/cap.rc2.{split}.json`; a query's id is its `pairid`.

    Args:
        root: folder of captions/ and image_splits/, or one with a folder cirr/ that has them; where there are images,
            too, holes in these are found.
        split: the targets of `test1` are withheld.
        allow_missing: go on without images and queries that have no embedding; sets are then smaller, too.

    Raises:
        UserError: an annotation file is missing or has another layout.
    """

    def __init__(self, root: Path, split: Literal["val", "test1"] = "val", *, allow_missing: bool = False) -> None:
        self.name = f"cirr.{split}"
        self.allow_missing = allow_missing
        source = cirr.CIRR(cirr.CIRRSettings(root=str(root), split=split, allow_missing=True))
        rows = load_annotations(source.captions_file, list[_Row], FIX)
        images = source.captions_file.parent.parent / "image_splits" / f"split.{VERSION}.{split}.json"
        gallery = list(load_annotations(images, dict[str, str], FIX))
        asked = [
            Asked(str(row.pairid), row.reference, row.caption, (row.target_hard,) if row.target_hard else ())
            for row in rows
        ]
        sets = [dict.fromkeys(row.img_set.members) for row in rows]
        self._others = [
            [name for name in members if name != row.reference] for row, members in zip(rows, sets, strict=True)
        ]
        check_asked(source.captions_file, asked, removes=True)
        check_gallery(images, gallery)
        outside = [
            one.id for one, others in zip(asked, self._others, strict=True) if not set(one.targets) <= set(others)
        ]
        refuse_annotations(source.captions_file, outside, "has queries whose target is not in their set")
        named = dict.fromkeys(
            name for row, members in zip(rows, sets, strict=True) for name in (row.reference, *members)
        )
        self._part = Part(gallery, asked, absent=absent_of(source, gallery), named=list(named))
        self.parts = [self._part]

    def score(self, features: Features) -> Scores:
        """Return R@1, 5, 10, 50, R_subset@1, 2, 3 and the mean of R@5 and R_subset@1.

        Raises:
            UserError: see `Protocol.score`.
        """
        self.check_public()
        (opened,), name, notes = self.opened(features, remove_references=True)
        targets, others = opened.targets[:, 0], self._subsets[opened.answered]

        def rank(block: Block) -> Ranks:
            own = targets[block.rows]
            ahead = block.ahead(np.arange(len(own)), own)
            return np.stack([count(ahead), count(among(ahead, others[block.rows]))], axis=1)

        ranks = opened.each(rank)
        return self._scores(name, {"recall": ranks[:, 0], "recall_subset": ranks[:, 1]}, notes)

    def score_rankings(self, files: Sequence[RankingsFile]) -> Scores:
        """Score one or both of the files that the server takes.

        Raises:
            UserError: see `Protocol.score_rankings`; or a query has no list and that is not allowed.
        """
        self.check_public()
        by_metric = {_metric(file): file for file in files}
        if len(by_metric) < len(files):
            raise UserError(
                "Two rankings files have the same metric; give one of 'recall' and one of 'recall_subset'."
            )
        for metric, file in by_metric.items():
            check_lists(str(file.path), file.lists, self._part.asked, self._rules(metric))
            self._check_subsets(metric, file)
        holes = [unanswered(file, self._part.asked) for file in files]
        name, notes = settled(self.name, holes, self.allow_missing)
        ranks = {metric: positions(file.lists, self._part.asked)[:, 0] for metric, file in by_metric.items()}
        return self._scores(name, ranks, notes)

    def submissions(self, features: Features) -> Sequence[Submission]:
        """Return the server's two files: the first 50 of the gallery, and the first 3 of each query's set.

        Images that are tied come by name.

        Raises:
            UserError: see `Protocol.submissions`.
        """
        (opened,), _, _ = self.opened(features, remove_references=True)
        subsets = self._subsets[opened.answered]
        order = alphabetical(self._part.gallery)
        found: dict[str, list[Rows]] = {metric: [] for metric in LISTED}
        for block in opened.search.blocks():
            found["recall"] += first(block, LISTED["recall"], order)
            within = confined(block, subsets[block.rows])
            found["recall_subset"] += first(within, LISTED["recall_subset"], order)
        return [self._submission(metric, opened, lists) for metric, lists in found.items()]

    def _submission(self, metric: str, opened: Opened, lists: Sequence[Rows]) -> Submission:
        asked, gallery = self._part.asked, self._part.gallery
        named = {
            asked[query].id: [gallery[row] for row in rows] for query, rows in zip(opened.answered, lists, strict=True)
        }
        header = {"version": VERSION, "metric": metric}
        rules = replace(self._rules(metric), exact=True)
        return submission(f"{self.name}.{metric}.json", named, asked, rules, header=header, max_bytes=MAX_BYTES)

    def _rules(self, metric: str) -> Rules:
        smallest = min(map(len, self._others)) if metric == "recall_subset" else len(self._part.gallery) - 1
        return Rules(frozenset(self._part.gallery), min(LISTED[metric], smallest), reference=False)

    def _check_subsets(self, metric: str, file: RankingsFile) -> None:
        if metric != "recall_subset":
            return
        sets = zip(self._part.asked, self._others, strict=True)
        strange = [one.id for one, others in sets if not set(others).issuperset(file.lists.get(one.id, ()))]
        refuse(str(file.path), strange, "that rank an image from outside their set")

    @cached_property
    def _subsets(self) -> Rows:
        """The rows of each query's set without the reference [Q, members]."""
        return self._part.rows_of(self._others)

    def _scores(self, name: str, ranks: Mapping[str, Ranks], notes: Sequence[str]) -> Scores:
        figures = {
            f"{name}.{metric}@{k}": Figure({"": recall_at(found, k)})
            for metric, found in ranks.items()
            for k in (RECALLS if metric == "recall" else SUBSET_RECALLS)
        }
        if len(ranks) == len(LISTED):
            mean = average([figures[f"{name}.recall@5"], figures[f"{name}.recall_subset@1"]])
            if counted(mean.values[""]):  # two rankings files may lack what the other has
                figures[f"{name}.mean"] = mean
        columns = {"rank": "recall", "rank_subset": "recall_subset"}
        known = {column: [ranks[metric]] for column, metric in columns.items() if metric in ranks}
        return Scores(figures, query_table(self.parts, known), notes)


def _metric(file: RankingsFile) -> str:
    metric, version = file.header.get("metric"), file.header.get("version")
    if metric not in LISTED or version != VERSION:
        raise UserError(
            f'{file.path} must say "version": "{VERSION}" and "metric": "recall" or "recall_subset", as CIRR\'s '
            "server has it."
        )
    return metric
