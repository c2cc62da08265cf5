"""A text taken apart into single changes, each checked by itself: true, false, or not to be seen.

The prompt that takes the text apart marks a claim `target` where the target alone can show it, and `both` where it
takes the reference, too (the absolute and relative intents of ReCALL, file `src/prompt/qwen/system_prompt.txt`).
A `target` claim is checked on the target alone, so that nothing in the reference can lend it support.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, ClassVar, Literal, NamedTuple

import pyarrow as pa

from cirgen.filters.asking import AskingFilter, ObservingSettings, Wanted, failure
from cirgen.filters.base import Score, ScoreNote
from cirgen.filters.threshold import Bound, Fitted, Percentile
from cirgen.filters.tools import Belief, Question, Tools
from cirgen.settings import Name, Probability

ANSWERS = ("true", "false", "unsupported")
TARGET = "target"
_MARKED = re.compile(
    r"\s*(?:[-*•]+\s*|\d+[.)]\s+)?(?:\**(?P<mark>target|both)\**\s*:\**\s*)?(?P<claim>.*\S)\s*",
    re.IGNORECASE | re.DOTALL,
)
"""One claim, behind a bullet or a number where the model made a list."""
_BETWEEN = re.compile(r"[;\n]")


class ClaimsSettings(ObservingSettings):
    """How sure the model must be of every single change."""

    name: Literal["claims"] = "claims"
    min_true: Probability | None = None
    """Smallest probability of "true" that the least sure change may have."""
    min_true_percentile: Percentile = None
    min_true_fit: Fitted = None
    max_false: Probability | None = None
    """Largest probability of "false" that any change may have."""
    max_false_percentile: Percentile = None
    max_false_fit: Fitted = None
    split: Name = "split-claims"
    """Prompt that takes a text apart."""
    target: Name = "check-target"
    """Prompt that checks a change on the target alone."""
    both: Name = "check-change"
    """Prompt that checks a change on reference and target."""


class Claim(NamedTuple):
    """One change that a text claims."""

    text: str
    absolute: bool
    """Whether the target alone can show it."""


class ClaimCheck(AskingFilter):
    """Asks of every single change whether it is true."""

    Settings = ClaimsSettings
    settings: ClaimsSettings
    chooses = True
    observes = True
    wanted: ClassVar[Mapping[str, Wanted]] = {
        "split": Wanted("split", frozenset({"text"})),
        "target": Wanted("check", frozenset({"claim"})),
        "both": Wanted("check", frozenset({"claim"})),
    }
    bounds = (
        Bound("max_false", "false", "a claim is false", least=False),
        Bound("min_true", "true", "a claim is not sure", least=True),
    )
    score_notes: ClassVar[Mapping[str, ScoreNote]] = {
        "claims": ScoreNote("single changes that the text was taken apart into", "number, from 1", ""),
        "relative": ScoreNote("of them, those that take the reference to be seen", "share, 0 to 1", ""),
        "true": ScoreNote(
            "probability that the least sure of them is true", "probability, 0 to 1", "below `min_true`"
        ),
        "false": ScoreNote("largest probability of one to be false", "probability, 0 to 1", "above `max_false`"),
        "unsupported": ScoreNote("largest probability of one that the images cannot tell", "probability, 0 to 1", ""),
    }

    def __init__(self, settings: ClaimsSettings) -> None:
        super().__init__(settings)
        self.observed_tokens = settings.observed_tokens

    def question(self, row: Mapping[str, Any]) -> Question:
        """Ask for the single changes of the text."""
        return self.ask("split", (), text=row["text"])

    def score(self, triplets: pa.RecordBatch, tools: Tools) -> list[Score]:
        """Check every claim; the detail lists them."""
        rows = triplets.to_pylist()
        claims = [split(row["observed"]) for row in rows]
        questions = [self._check(claim, row) for row, of_row in zip(rows, claims, strict=True) for claim in of_row]
        beliefs = iter(tools.model().choose(questions, ANSWERS) if questions else [])
        return [_score(of_row, list(islice(beliefs, len(of_row)))) for of_row in claims]

    def _check(self, claim: Claim, row: Mapping[str, Any]) -> Question:
        if claim.absolute:
            return self.ask("target", (row["target_id"],), claim=claim.text)
        return self.ask("both", (row["reference_id"], row["target_id"]), claim=claim.text)


def split(answer: str) -> list[Claim]:
    """Read the single changes from an answer to `split-claims`; one without a mark takes both images."""
    return list(_claims(answer))


def _claims(answer: str) -> Iterator[Claim]:
    for part in _BETWEEN.split(answer):
        found = _MARKED.fullmatch(part)
        if found:
            yield Claim(found["claim"], (found["mark"] or "").lower() == TARGET)


def _score(claims: Sequence[Claim], beliefs: Sequence[Belief]) -> Score:
    if not claims:
        return Score({}, "", "parse_error", "the text was taken apart into nothing")
    failed = failure(beliefs)
    if failed:
        return failed
    true, false, unsupported = zip(*(belief.shares for belief in beliefs), strict=True)
    told = "; ".join(f"{claim.text} ({belief.shares[0]:.2f})" for claim, belief in zip(claims, beliefs, strict=True))
    return Score(
        {
            "claims": float(len(claims)),
            "relative": sum(not claim.absolute for claim in claims) / len(claims),
            "true": min(true),
            "false": max(false),
            "unsupported": max(unsupported),
        },
        told,
    )
