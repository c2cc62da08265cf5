"""Texts that restate the reference instead of saying what changes ("a cat instead of the brown dog on the grass")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from cirgen.filters.base import Score, ScoreNote
from cirgen.filters.threshold import Bound, BoundedFilter, BoundedSettings, Fitted, Percentile
from cirgen.filters.tools import Tools
from cirgen.filters.words import content_words
from cirgen.tails import TAIL


class ReferenceLeakSettings(BoundedSettings):
    """How much of the reference a text may retell."""

    name: Literal["reference_leak"] = "reference_leak"
    max_share: float | None = Field(None, ge=0, le=1)
    """Share of the text's content words that the reference caption has and the target's lacks; 0.5 is a start."""
    max_share_percentile: Percentile = None
    max_share_fit: Fitted = None
    free_words: int = Field(2, ge=0, le=10_000)
    """So many such words are never a leak: a removal must name what goes."""
    max_tail: int | None = Field(3, ge=0, le=10_000)
    """Content words after "instead of" and its like; null for templates that are made of such tails (SPN4CIR)."""


class ReferenceLeak(BoundedFilter):
    """Compares the words of the text with both captions; without a reference caption nothing can leak from it."""

    Settings = ReferenceLeakSettings
    settings: ReferenceLeakSettings
    bounds = (Bound("max_share", "share", "restates the reference", least=False),)
    score_notes: ClassVar[Mapping[str, ScoreNote]] = {
        "share": ScoreNote(
            "`leaked`, as a share of the content words of the text",
            "share, 0 to 1",
            "above `max_share`, where `leaked` is above `free_words`",
        ),
        "leaked": ScoreNote(
            "content words of the text that only the caption of the reference has", "words, from 0", ""
        ),
        "tail": ScoreNote('content words after "instead of" and its like', "words, from 0", "above `max_tail`"),
    }
    depends_on = ("reference_caption", "target_caption")

    def score(self, triplets: pa.RecordBatch, tools: Tools) -> list[Score]:  # noqa: ARG002
        """Count words that only the reference caption has, and words of "instead of" tails."""
        columns = triplets.select(["text", "reference_caption", "target_caption"])
        return [_measured(**row) for row in columns.to_pylist()]

    def decide(self, triplets: pa.Table) -> list[str]:
        """Reject long tails, and texts that are made of the reference."""
        tails = triplets.column("tail").to_pylist()
        return [self._tail(tail) or reason for tail, reason in zip(tails, super().decide(triplets), strict=True)]

    def spared(self, triplets: pa.Table) -> NDArray[np.bool_]:
        """Spare texts with few words that only the reference has."""
        return np.asarray(triplets.column("leaked"), dtype=np.float64) <= self.settings.free_words

    def _tail(self, tail: float) -> str:
        limit = self.settings.max_tail
        return "describes what it replaces" if limit is not None and tail > limit else ""


def _measured(text: str, reference_caption: str, target_caption: str) -> Score:
    said = content_words(text)
    only_reference = set(content_words(reference_caption)) - set(content_words(target_caption))
    leaked = [word for word in said if word in only_reference]
    tail = [word for match in TAIL.finditer(text) for word in content_words(match.group(1))]
    values = {
        "share": len(leaked) / len(said) if said else 0.0,
        "leaked": float(len(leaked)),
        "tail": float(len(tail)),
    }
    return Score(values, " ".join(leaked))
