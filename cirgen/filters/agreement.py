"""Texts that do not speak of the target, by the run's encoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import pyarrow as pa
from pydantic import Field

from cirgen.cosine import paired_cosines
from cirgen.filters.base import Score, ScoreNote
from cirgen.filters.threshold import Bound, BoundedFilter, BoundedSettings, Fitted, Percentile
from cirgen.filters.tools import Tools
from cirgen.settings import Cosine


class AgreementSettings(BoundedSettings):
    """How near a text must be to its target, and how much nearer than to its reference.

    A removal names what the reference has and the target lacks, so a bound on the margin costs removals; a percentile
    near the bottom drops the grossest alone.
    """

    name: Literal["agreement"] = "agreement"
    min_target: Cosine | None = None
    """Smallest cosine of text and target."""
    min_target_percentile: Percentile = None
    min_target_fit: Fitted = None
    min_margin: float | None = Field(None, ge=-2, le=2)
    """Smallest cosine of text and target less that of text and reference."""
    min_margin_percentile: Percentile = None
    min_margin_fit: Fitted = None


class Agreement(BoundedFilter):
    """Cosines of the text with both images; rejects what is far from its target, or nearer to its reference."""

    Settings = AgreementSettings
    bounds = (
        Bound("min_target", "target", "text far from the target", least=True),
        Bound("min_margin", "margin", "text nearer to the reference", least=True),
    )
    score_notes: ClassVar[Mapping[str, ScoreNote]] = {
        "target": ScoreNote(
            "likeness of text and target by the run's encoder", "cosine, -1 to 1", "below `min_target`"
        ),
        "reference": ScoreNote("likeness of text and reference by the run's encoder", "cosine, -1 to 1", ""),
        "margin": ScoreNote("`target` less `reference`", "difference of cosines, -2 to 2", "below `min_margin`"),
    }
    needs_embeddings = True
    embeds = ("text",)
    expensive = True

    def score(self, triplets: pa.RecordBatch, tools: Tools) -> list[Score]:
        """Measure both cosines and their difference."""
        embeddings = tools.encoder()
        texts = embeddings.texts(triplets.column("text").to_pylist())
        targets = paired_cosines(texts, embeddings.images(triplets.column("target_id").to_pylist()))
        references = paired_cosines(texts, embeddings.images(triplets.column("reference_id").to_pylist()))
        return [
            Score({"target": float(target), "reference": float(reference), "margin": float(target - reference)})
            for target, reference in zip(targets, references, strict=True)
        ]
