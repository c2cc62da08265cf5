"""The plain protocol: queries with known right images in one gallery, as test splits of corpora have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from cirgen_benchmark.protocols.base import Features, Scores
from cirgen_benchmark.protocols.figures import Figure, Ranks, average_precision_at, recall_at
from cirgen_benchmark.protocols.parts import Asked, GalleryProtocol, Part, query_table
from cirgen_benchmark.protocols.ranks import Block, right_ranks

DEPTHS = (1, 5, 10, 50)


class Retrieval(GalleryProtocol):
    """Recall@k by the best-ranked right image, and mAP@k over all of them.

    Keys are `{name}.recall@k` and `{name}.map@k`.

    Args:
        name: prefix of metric keys.
        gallery: image ids, in the order of the gallery tensor.
        asked: queries in the order of their tensor, each with at least one right image.
        reference: whether a query's reference stays in the ranking.
        depths: each k.
        allow_missing: go on without images and queries that have no embedding.

    Raises:
        ValueError: a query has no right image, or its reference is one and is removed.
    """

    def __init__(
        self,
        name: str,
        gallery: Sequence[str],
        asked: Sequence[Asked],
        *,
        reference: Literal["keep", "remove"] = "remove",
        depths: Sequence[int] = DEPTHS,
        allow_missing: bool = False,
    ) -> None:
        self.name = name
        self.allow_missing = allow_missing
        self._removes = reference == "remove"
        self._depths = tuple(depths)
        for one in asked:
            if not one.targets or (self._removes and one.reference in one.targets):
                raise ValueError(f"query {one.id} has no right image beside its reference")
        self.parts = [Part(gallery, [one._replace(targets=tuple(dict.fromkeys(one.targets))) for one in asked])]

    def score(self, features: Features) -> Scores:
        """Return recall@k and mAP@k for each k.

        Raises:
            UserError: see `Protocol.score`.
        """
        (opened,), name, notes = self.opened(features, self._removes)
        rights = opened.targets

        def rank(block: Block) -> Ranks:
            return right_ranks(block, rights[block.rows])

        ranks = opened.each(rank)
        counts = np.zeros(len(ranks), dtype=np.int64)
        counts[opened.answered] = (rights >= 0).sum(axis=1)
        figures = {f"{name}.recall@{k}": Figure({"": recall_at(ranks[:, 0], k)}) for k in self._depths}
        figures |= {f"{name}.map@{k}": Figure({"": average_precision_at(ranks, counts, k)}) for k in self._depths}
        return Scores(figures, query_table(self.parts, {"rank": [ranks[:, 0]]}), notes)
