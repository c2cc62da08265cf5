"""Queries that one half solves: the text alone, or the reference alone, finds the target in the gallery.

CIRCUS (arXiv 2605.14787) calls a query a shortcut whose target one half finds among the first ten: 83.6 % of CIRR,
32.2 % of FashionIQ. That is `min_text_rank: 11` and `min_image_rank: 11` here; a bound that is not set leaves its half
out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from cirgen.filters.base import Score, ScoreNote
from cirgen.filters.search import ahead_of_target
from cirgen.filters.threshold import Bound, BoundedFilter, BoundedSettings, Fitted, Percentile
from cirgen.filters.tools import Tools
from cirgen.model_settings import Encoder


class ShortcutSettings(BoundedSettings):
    """How far down one half alone may find the target.

    A rank means what the gallery makes of it: the tenth of 200 pictures is no find, and among many look-alikes nothing
    is found. A percentile of the run's own triplets carries over, a value does not. Where targets were mined among the
    nearest pictures, the image rank by the encoder that mined them is that near by construction: give another encoder,
    or leave `min_image_rank` out.
    """

    name: Literal["shortcut"] = "shortcut"
    min_text_rank: float | None = Field(None, ge=1, le=1_000_000_000)
    """Smallest rank of the target for the text alone, 1 is first; 11 rejects what is found among the first ten."""
    min_text_rank_percentile: Percentile = None
    min_text_rank_fit: Fitted = None
    min_image_rank: float | None = Field(None, ge=1, le=1_000_000_000)
    """Smallest rank of the target for the reference alone."""
    min_image_rank_percentile: Percentile = None
    min_image_rank_fit: Fitted = None
    encoders: tuple[Encoder, ...] = Field((), max_length=16)
    """Who ranks; a shortcut for one of them is a shortcut. None stands for the run's encoder."""
    action: Literal["reject", "tag", "weight"] = "reject"
    """`tag` and `weight` keep every triplet: they publish `tagged` (0 or 1) or `weight` (0 to 1) beside the scores."""


class Shortcut(BoundedFilter):
    """Ranks the target among the run's pictures for the text alone, the reference alone, and both together."""

    Settings = ShortcutSettings
    settings: ShortcutSettings
    bounds = (
        Bound("min_text_rank", "text_rank", "text alone finds the target", least=True),
        Bound("min_image_rank", "image_rank", "image alone finds the target", least=True),
    )
    score_notes: ClassVar[Mapping[str, ScoreNote]] = {
        "text_rank": ScoreNote(
            "where the text alone finds the target among `candidates`; the best of the encoders",
            "rank, from 1",
            "below `min_text_rank`, where `action` is reject",
        ),
        "image_rank": ScoreNote(
            "where the reference alone finds the target among `candidates`; the best of the encoders",
            "rank, from 1",
            "below `min_image_rank`, where `action` is reject",
        ),
        "composed_rank": ScoreNote(
            "where text and reference together (the sum of their embeddings) find it; the best of the encoders",
            "rank, from 1",
            "",
        ),
        "candidates": ScoreNote(
            "pictures of the run among which the target is sought: all but the reference and near duplicates of the "
            "target",
            "pictures, from 1",
            "",
        ),
    }
    needs_embeddings = True
    needs_gallery = True
    embeds = ("text",)
    expensive = True

    @property
    def mark_notes(self) -> Mapping[str, ScoreNote]:  # type: ignore[override]
        """Return what is published where the filter rejects nothing."""
        return {name: note for action, (name, note) in _MARKS.items() if action == self.settings.action}

    def encoders(self) -> tuple[Encoder, ...]:
        """Return who ranks."""
        return self.settings.encoders

    def score(self, triplets: pa.RecordBatch, tools: Tools) -> list[Score]:
        """Rank the target of each triplet."""
        found = ahead_of_target(triplets, tools.embeddings, tools.images())
        ranks = {name: 1.0 + kind.min(axis=0) for name, kind in zip(_RANKS, found[: len(_RANKS)], strict=True)}
        return [
            Score({**{name: float(values[row]) for name, values in ranks.items()}, "candidates": float(candidates)})
            for row, candidates in enumerate(found.candidates)
        ]

    def decide(self, triplets: pa.Table) -> list[str]:
        """Reject what one half finds, unless it is to be kept and marked."""
        reasons = super().decide(triplets)
        return reasons if self.settings.action == "reject" else [""] * len(reasons)

    def marks(self, triplets: pa.Table) -> dict[str, list[float]]:
        """Return which triplets are shortcuts, or how little each is one: its rank over the bound, at most 1."""
        if self.settings.action == "tag":
            return {"tagged": [float(bool(reason)) for reason in super().decide(triplets)]}
        if self.settings.action == "weight":
            return {"weight": self._weights(triplets)}
        return {}

    def _weights(self, triplets: pa.Table) -> list[float]:
        cutoffs = self.cutoffs(triplets)
        weights = np.ones(triplets.num_rows)
        for bound in self.bounds:
            cutoff = cutoffs[bound.option]
            if cutoff is not None:
                weights = np.minimum(weights, self.scores(bound, triplets) / max(cutoff, 1.0))
        return [float(weight) for weight in weights]


_RANKS = ("text_rank", "image_rank", "composed_rank")
_MARKS = {
    "tag": ("tagged", ScoreNote("whether one half alone finds the target", "0 or 1", "")),
    "weight": (
        "weight",
        ScoreNote("the smaller of the ranks over their bounds, at most 1: how little one half helps", "0 to 1", ""),
    ),
}
"""Action to what it publishes."""
