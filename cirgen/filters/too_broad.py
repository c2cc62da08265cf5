"""Queries that many pictures answer as well as the target does ("make it nicer").

CIRCUS (arXiv 2605.14787) calls a query too broad that ten or more other pictures answer; people counted them there,
an encoder does here, so that what it takes for an answer need not be one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from cirgen.filters.base import Score, ScoreNote
from cirgen.filters.search import ahead_of_target
from cirgen.filters.threshold import Bound, BoundedFilter, BoundedSettings, Fitted, Percentile
from cirgen.filters.tools import Tools
from cirgen.model_settings import Encoder


class TooBroadSettings(BoundedSettings):
    """How many other pictures may fit."""

    name: Literal["too_broad"] = "too_broad"
    max_rivals: float | None = Field(None, ge=0, le=1_000_000_000)
    """Pictures that fit at least as well as the target; CIRCUS takes ten for too many, which is 9 here."""
    max_rivals_percentile: Percentile = None
    max_rivals_fit: Fitted = None
    encoders: tuple[Encoder, ...] = Field((), max_length=16)
    """Who compares; a rival is one for all of them. None stands for the run's encoder."""


class TooBroad(BoundedFilter):
    """Counts pictures that text and reference together put before the target.

    The reference and near duplicates of the target are no rivals. Neither are targets of other triplets with the same
    reference and text that come before this one: they are known answers.
    """

    Settings = TooBroadSettings
    settings: TooBroadSettings
    bounds = (Bound("max_rivals", "rivals", "many pictures fit", least=False),)
    score_notes: ClassVar[Mapping[str, ScoreNote]] = {
        "rivals": ScoreNote(
            "pictures of the run that fit text and reference together (the sum of their embeddings) at least as well "
            "as the target, for every encoder",
            "pictures, from 0",
            "above `max_rivals`, other targets of the same reference and text not counted",
        ),
    }
    needs_embeddings = True
    needs_gallery = True
    embeds = ("text",)
    expensive = True

    def __init__(self, settings: TooBroadSettings) -> None:
        super().__init__(settings)
        self.decides_on = tuple(dict.fromkeys((*self.decides_on, "reference_id", "text", "target_group")))

    def encoders(self) -> tuple[Encoder, ...]:
        """Return who compares."""
        return self.settings.encoders

    def score(self, triplets: pa.RecordBatch, tools: Tools) -> list[Score]:
        """Count the rivals of each target."""
        found = ahead_of_target(triplets, tools.embeddings, tools.images())
        return [Score({"rivals": float(rivals)}) for rivals in found.agreed]

    def scores(self, bound: Bound, triplets: pa.Table) -> NDArray[np.float64]:
        """Return the rivals of each triplet that are not listed as answers.

        Of the targets of one reference and text, those with fewer rivals come before those with more.
        """
        rivals = super().scores(bound, triplets)
        return np.maximum(rivals - _listed_before(triplets, rivals), 0.0)


def _listed_before(triplets: pa.Table, rivals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how many groups of other targets of the same reference and text come before each target."""
    queries = list(zip(triplets.column("reference_id").to_pylist(), triplets.column("text").to_pylist(), strict=True))
    often = Counter(queries)
    best: defaultdict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    groups = triplets.column("target_group").to_pylist()
    for query, group, count in zip(queries, groups, rivals.tolist(), strict=True):
        if often[query] > 1:
            best[query][group] = min(count, best[query].get(group, count))
    return np.asarray(
        [
            sum(other <= count for name, other in best[query].items() if name != group) if often[query] > 1 else 0
            for query, group, count in zip(queries, groups, rivals.tolist(), strict=True)
        ],
        dtype=np.float64,
    )
