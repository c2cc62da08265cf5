"""Texts that are no modification text at all: too short, too long, meta-talk."""

from __future__ import annotations

from typing import Literal

import pyarrow as pa

from cirgen.filters.base import Embeddings, Filter, FilterSettings, Score


class LintSettings(FilterSettings):
    """What a text must look like."""

    name: Literal["lint"] = "lint"
    min_words: int = 2
    max_words: int = 40


class Lint(Filter):
    """Length of the text, in words."""

    Settings = LintSettings

    def __init__(self, settings: LintSettings) -> None:
        self.settings = settings

    def score(self, triplets: pa.RecordBatch, embeddings: Embeddings | None) -> list[Score]:  # noqa: ARG002
        """Count words."""
        return [Score({"words": float(len(text.split()))}) for text in triplets.column("text").to_pylist()]

    def decide(self, triplets: pa.Table) -> list[str]:
        """Reject what is too short or too long."""
        words = triplets.column("words").to_pylist()
        return [
            "too short" if n < self.settings.min_words else "too long" if n > self.settings.max_words else ""
            for n in words
        ]
