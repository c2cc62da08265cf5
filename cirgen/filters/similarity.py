"""Pairs too much alike (the image alone finds the target) or too different to be composed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

import pyarrow as pa
from pydantic import model_validator

from cirgen.filters.base import Score, ScoreNote
from cirgen.filters.threshold import SUFFIX, Bound, BoundedFilter, BoundedSettings, Fitted, Percentile
from cirgen.filters.tools import Tools
from cirgen.settings import Cosine


class SimilaritySettings(BoundedSettings):
    """The window of image similarity; percentiles carry over from one encoder to another, values do not."""

    name: Literal["similarity"] = "similarity"
    lower: Cosine | None = None
    """Smallest cosine of the two image embeddings."""
    lower_percentile: Percentile = None
    lower_fit: Fitted = None
    upper: Cosine | None = None
    """Largest cosine; MegaPairs uses 0.96, VDG 0.94, each with its own encoder."""
    upper_percentile: Percentile = None
    upper_fit: Fitted = None

    @model_validator(mode="after")
    def _order(self) -> Self:
        for ending in ("", SUFFIX):
            low, high = getattr(self, f"lower{ending}"), getattr(self, f"upper{ending}")
            if low is not None and high is not None and low > high:
                raise ValueError(f"lower{ending} {low:g} is above upper{ending} {high:g}; swap them")
        return self


class Similarity(BoundedFilter):
    """Cosine of the image embeddings of the pair; rejects what lies outside the window."""

    Settings = SimilaritySettings
    judges_text = False
    bounds = (
        Bound("lower", "cosine", "too different", least=True),
        Bound("upper", "cosine", "too similar", least=False),
    )
    score_notes: ClassVar[Mapping[str, ScoreNote]] = {
        "cosine": ScoreNote(
            "likeness of reference and target by the run's encoder", "cosine, -1 to 1", "below `lower`, above `upper`"
        )
    }
    depends_on = ("similarity",)

    def score(self, triplets: pa.RecordBatch, tools: Tools) -> list[Score]:  # noqa: ARG002
        """Read the cosine that pairing measured."""
        return [Score({"cosine": value}) for value in triplets.column("similarity").to_pylist()]
