"""How many single changes a text tells, by what a model takes it apart into.

The more changes a text tells, the fewer images it fits, until it finds the target without the reference; of a single
change, the nearest image often is the answer, whatever the text says. Where between the two a query needs both halves
depends on the collection: look at `cirgen audit`, or fit the bounds to what people judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import pyarrow as pa
from pydantic import Field

from cirgen.filters.asking import AskingFilter, ObservingSettings, Wanted
from cirgen.filters.base import Score, ScoreNote
from cirgen.filters.claims import split
from cirgen.filters.threshold import Bound, Fitted, Percentile
from cirgen.filters.tools import Question, Tools
from cirgen.settings import Name


class ChangeCountSettings(ObservingSettings):
    """How many changes a text may tell."""

    name: Literal["change_count"] = "change_count"
    min_changes: int | None = Field(None, ge=1, le=1_000)
    min_changes_percentile: Percentile = None
    min_changes_fit: Fitted = None
    max_changes: int | None = Field(None, ge=1, le=1_000)
    max_changes_percentile: Percentile = None
    max_changes_fit: Fitted = None
    split: Name = "split-claims"
    """Prompt that takes a text apart; the model sees no image."""


class ChangeCount(AskingFilter):
    """Counts the changes that a text is taken apart into."""

    Settings = ChangeCountSettings
    settings: ChangeCountSettings
    observes = True
    wanted: ClassVar[Mapping[str, Wanted]] = {"split": Wanted("split", frozenset({"text"}))}
    bounds = (
        Bound("min_changes", "changes", "too few changes", least=True),
        Bound("max_changes", "changes", "too many changes", least=False),
    )
    score_notes: ClassVar[Mapping[str, ScoreNote]] = {
        "changes": ScoreNote(
            "single changes that the text was taken apart into",
            "number, from 1",
            "below `min_changes`, above `max_changes`",
        ),
        "relative": ScoreNote("of them, those that take the reference to be seen", "share, 0 to 1", ""),
    }

    def __init__(self, settings: ChangeCountSettings) -> None:
        super().__init__(settings)
        self.observed_tokens = settings.observed_tokens

    def question(self, row: Mapping[str, Any]) -> Question:
        """Ask for the single changes of the text; the filter `claims` asks the same."""
        return self.ask("split", (), text=row["text"])

    def score(self, triplets: pa.RecordBatch, tools: Tools) -> list[Score]:  # noqa: ARG002
        """Count them; the detail lists them."""
        return [_score(observed) for observed in triplets.column("observed").to_pylist()]


def _score(observed: str) -> Score:
    claims = split(observed)
    if not claims:
        return Score({}, "", "parse_error", "the text was taken apart into nothing")
    relative = sum(not claim.absolute for claim in claims) / len(claims)
    return Score({"changes": float(len(claims)), "relative": relative}, "; ".join(claim.text for claim in claims))
