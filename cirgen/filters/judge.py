"""A model's verdict on a text, in two steps: what changed, seen without the text; then whether the text says that.

Asked in one step, a model that reads a fluent text believes it. Wrong texts of a well-matched pair also have a low
training loss, so that filters by loss miss them (TME and ConeSep on noisy FashionIQ); inferring the change first is
worth 1.8 points of recall there (Air-Know).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import pyarrow as pa

from cirgen.filters.asking import AskingFilter, ObservingSettings, Wanted, failure
from cirgen.filters.base import Score, ScoreNote
from cirgen.filters.threshold import Bound, Fitted, Percentile
from cirgen.filters.tools import Belief, Question, Tools
from cirgen.settings import Name, Probability

ANSWERS = ("yes", "no")


class JudgeSettings(ObservingSettings):
    """How sure the model must be."""

    name: Literal["judge"] = "judge"
    min_yes: Probability | None = None
    """Smallest probability of "yes" against "no"."""
    min_yes_percentile: Percentile = None
    min_yes_fit: Fitted = None
    observe: Name | None = "change-images"
    """Prompt of the first step; null judges in one step, with `judge-change` under `prompt`."""
    prompt: Name = "compare-changes"
    """Of the verdict: shows the text and, after a first step, what was observed."""


class Judge(AskingFilter):
    """Asks for yes or no."""

    Settings = JudgeSettings
    settings: JudgeSettings
    chooses = True
    bounds = (Bound("min_yes", "yes", "judged wrong", least=True),)
    score_notes: ClassVar[Mapping[str, ScoreNote]] = {
        "yes": ScoreNote(
            'probability of "yes" against "no" that the text is the change between the two images',
            "probability, 0 to 1",
            "below `min_yes`",
        ),
        "mass": ScoreNote(
            "probability that the model answers yes or no at all; near 0 it does not follow the prompt",
            "probability, 0 to 1",
            "",
        ),
    }

    def __init__(self, settings: JudgeSettings) -> None:
        super().__init__(settings)
        self.observes = settings.observe is not None
        self.observed_tokens = settings.observed_tokens

    @property
    def wanted(self) -> Mapping[str, Wanted]:  # type: ignore[override]
        """The prompt of the verdict depends on whether there was a first step."""
        if not self.settings.observe:
            return {"prompt": Wanted("judge", frozenset({"text"}))}
        return {
            "observe": Wanted("change", frozenset({"intent", "examples"})),
            "prompt": Wanted("compare", frozenset({"observed", "text"})),
        }

    def question(self, row: Mapping[str, Any]) -> Question:
        """Ask what changed, without the text."""
        return self.ask("observe", (row["reference_id"], row["target_id"]), intent="", examples=())

    def score(self, triplets: pa.RecordBatch, tools: Tools) -> list[Score]:
        """Read the probability of "yes"; the detail is what was observed."""
        rows = triplets.to_pylist()
        beliefs = tools.model().choose([self._verdict(row) for row in rows], ANSWERS)
        return [_score(belief, row.get("observed", "")) for belief, row in zip(beliefs, rows, strict=True)]

    def _verdict(self, row: Mapping[str, Any]) -> Question:
        slots = {"text": row["text"], **({"observed": " ".join(row["observed"].split())} if self.observes else {})}
        return self.ask("prompt", (row["reference_id"], row["target_id"]), **slots)


def _score(belief: Belief, observed: str) -> Score:
    return failure([belief]) or Score({"yes": belief.shares[0], "mass": belief.mass}, " ".join(observed.split()))
