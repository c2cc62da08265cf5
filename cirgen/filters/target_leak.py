"""Texts that are captions of the target, so that they find it without the reference ("a red hat on a blue chair").

Of the released texts of Laion-CIR (TransAgg, 16,000 by a language model), 7.7 % say at least 0.8 of the content words
of the caption of their target. The texts of SPN4CIR's template `{target}` are captions by design: it is not for them.
"""

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


class TargetLeakSettings(BoundedSettings):
    """How much of the target's caption a text may tell."""

    name: Literal["target_leak"] = "target_leak"
    max_share: float | None = Field(None, ge=0, le=1)
    """Share of the content words of the target's caption that the text has; 0.8 is near to a caption."""
    max_share_percentile: Percentile = None
    max_share_fit: Fitted = None
    free_words: int = Field(2, ge=0, le=10_000)
    """So many such words are never a leak: a short caption is soon told."""


class TargetLeak(BoundedFilter):
    """Compares words of the text with the target's caption; without a caption nothing can leak."""

    Settings = TargetLeakSettings
    settings: TargetLeakSettings
    bounds = (Bound("max_share", "share", "describes the target", least=False),)
    score_notes: ClassVar[Mapping[str, ScoreNote]] = {
        "share": ScoreNote(
            "`said`, as a share of the different content words of the target's caption",
            "share, 0 to 1",
            "above `max_share`, where `said` is above `free_words`",
        ),
        "said": ScoreNote("different content words of the target's caption that the text has", "words, from 0", ""),
    }
    depends_on = ("target_caption",)

    def score(self, triplets: pa.RecordBatch, tools: Tools) -> list[Score]:  # noqa: ARG002
        """Count the words of the target's caption that the text has."""
        return [_measured(**row) for row in triplets.select(["text", "target_caption"]).to_pylist()]

    def spared(self, triplets: pa.Table) -> NDArray[np.bool_]:
        """Spare texts that say few words of the caption."""
        return np.asarray(triplets.column("said"), dtype=np.float64) <= self.settings.free_words


def _measured(text: str, target_caption: str) -> Score:
    caption = list(dict.fromkeys(content_words(target_caption)))
    text_words = set(content_words(text))
    said = [word for word in caption if word in text_words]
    return Score({"share": len(said) / len(caption) if caption else 0.0, "said": float(len(said))}, " ".join(said))
