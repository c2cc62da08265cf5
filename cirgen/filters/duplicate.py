"""Texts that were said before: of the same pair, both ways round, or of too many targets."""

from __future__ import annotations

from collections import defaultdict
from typing import Literal

import pyarrow as pa
from pydantic import Field
from rapidfuzz import fuzz

from cirgen.filters.base import FilterSettings, Rule
from cirgen.filters.words import normalised


class DuplicateSettings(FilterSettings):
    """How often one thing may be said."""

    name: Literal["duplicate"] = "duplicate"
    near: float = Field(0.95, gt=0, le=1)
    """Texts of one pair that share so much (normalised indel similarity of their words) are near duplicates."""
    targets_per_text: int = Field(3, ge=1, le=1_000_000)
    """Targets that one text of one reference may lead to: a text of many targets tells none of them."""
    per_pair: int = Field(10, ge=1, le=1_000_000)
    """Texts of one pair."""


class Duplicate(Rule):
    """Compares the texts of a pair, of its reverse, and of a reference.

    Of equals the smallest triplet_id stays. Each row is compared with everything before it, rejected or not, so that a
    looser setting never rejects a row that a tighter one accepts.
    """

    Settings = DuplicateSettings
    decides_on = ("reference_id", "target_id", "text")

    def __init__(self, settings: DuplicateSettings) -> None:
        self.settings = settings

    def decide(self, triplets: pa.Table) -> list[str]:
        """Reject what was said before, in the order of triplet_id."""
        said = _Said(self.settings)
        rows = triplets.select(["triplet_id", *self.decides_on]).to_pylist()
        reasons = {
            row["triplet_id"]: said.again(row["reference_id"], row["target_id"], normalised(row["text"]))
            for row in sorted(rows, key=lambda row: str(row["triplet_id"]))
        }
        return [reasons[row["triplet_id"]] for row in rows]


class _Said:
    """What was said so far."""

    def __init__(self, settings: DuplicateSettings) -> None:
        self._settings = settings
        self._texts: defaultdict[tuple[str, str], dict[str, None]] = defaultdict(dict)  # of a pair
        self._targets: defaultdict[tuple[str, str], dict[str, None]] = defaultdict(dict)  # of a reference and a text

    def again(self, reference: str, target: str, text: str) -> str:
        """Remember a text and return why it is one too many, or ''."""
        reason = self._reason(reference, target, text)
        self._texts[reference, target].setdefault(text)
        self._targets[reference, text].setdefault(target)
        return reason

    def _reason(self, reference: str, target: str, text: str) -> str:
        texts = self._texts[reference, target]
        if text in texts:
            return "same text"
        if text in self._texts[target, reference]:
            return "same text both ways"
        if any(fuzz.ratio(text, other) >= 100 * self._settings.near for other in texts):
            return "nearly the same text"
        if len(self._targets[reference, text]) >= self._settings.targets_per_text:
            return "same text for other targets"
        return "too many texts of the pair" if len(texts) >= self._settings.per_pair else ""
