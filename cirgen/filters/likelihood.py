"""How probable a model holds a text as the change from reference to target, and not to an image near the target.

Nothing is generated: one pass reads the text as an answer to the prompt that asks for the change. That works for
models that can write a change and cannot judge one, and has no favourite letters. The share among candidates takes the
odds of the wording out (as VisualGPTScore, arXiv 2306.01879, divides by the text's own probability).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

import pyarrow as pa
from pydantic import Field, model_validator

from cirgen.filters.asking import AskingFilter, AskingSettings, Wanted, failure
from cirgen.filters.base import Score, ScoreNote
from cirgen.filters.candidates import distractors
from cirgen.filters.threshold import Bound, Fitted, Percentile
from cirgen.filters.tools import Reading, Tools
from cirgen.settings import Name, Probability


class LikelihoodSettings(AskingSettings):
    """How probable a text must be."""

    name: Literal["likelihood"] = "likelihood"
    min_text: float | None = Field(None, ge=-1e6, le=0)
    """Smallest log-likelihood of the whole text; it falls with length, so give a percentile or a fit."""
    min_text_percentile: Percentile = None
    min_text_fit: Fitted = None
    min_share: Probability | None = None
    """Smallest share of the target in the likelihood of the text among all candidates."""
    min_share_percentile: Percentile = None
    min_share_fit: Fitted = None
    min_forward: Probability | None = None
    """Smallest share of reference to target in the likelihood of the text in either direction."""
    min_forward_percentile: Percentile = None
    min_forward_fit: Fitted = None
    others: int = Field(5, ge=0, le=100)
    """Near images that the text is also read for, the reference first; 0 asks about the target alone."""
    prompt: Name = "change-images"

    @model_validator(mode="after")
    def _candidates(self) -> Self:
        if not self.others and any((self.min_share, self.min_share_percentile, self.min_share_fit)):
            raise ValueError("min_share compares with near images and others is 0; set others to 1 at least")
        return self


class TextLikelihood(AskingFilter):
    """Reads the text for the target, for the images near it, and the other way round."""

    Settings = LikelihoodSettings
    settings: LikelihoodSettings
    reads_texts = True
    wanted: ClassVar[Mapping[str, Wanted]] = {"prompt": Wanted("change", frozenset({"intent", "examples"}))}
    version = 3
    depends_on = ("hard_negatives",)
    bounds = (
        Bound("min_text", "whole", "improbable text", least=True),
        Bound("min_forward", "forward", "as probable the other way round", least=True),
        Bound("min_share", "share", "as probable for another image", least=True),
    )
    score_notes: ClassVar[Mapping[str, ScoreNote]] = {
        "whole": ScoreNote(
            "log-likelihood of the text as the change from reference to target",
            "natural logarithm, to 0",
            "below `min_text`",
        ),
        "per_token": ScoreNote("`whole`, divided by the tokens of the text", "natural logarithm, to 0", ""),
        "share": ScoreNote(
            "of the likelihood of the text over target, reference and near images, what falls on the target",
            "share, 0 to 1",
            "below `min_share`",
        ),
        "forward": ScoreNote(
            "of the likelihood of the text from reference to target and from target to reference, what falls on the "
            "first; a text told the wrong way round has little",
            "share, 0 to 1",
            "below `min_forward`",
        ),
    }

    def scoring(self) -> dict[str, object]:
        """Return prompt and number of candidates."""
        return {**super().scoring(), "others": self.settings.others}

    def reads(self, row: Mapping[str, Any]) -> dict[str, object]:
        """Return the near images that the text is read for, and none that is mined beyond them."""
        return {"others": distractors(row, self.settings.others)}

    def score(self, triplets: pa.RecordBatch, tools: Tools) -> list[Score]:
        """Read the text for every candidate."""
        rows = triplets.to_pylist()
        pairs = [self._pairs(row) for row in rows]
        answers = [
            (self.ask("prompt", ends, intent="", examples=()), row["text"])
            for row, of_row in zip(rows, pairs, strict=True)
            for ends in of_row
        ]
        readings = iter(tools.model().read(answers))
        return [_score([next(readings) for _ in of_row]) for of_row in pairs]

    def _pairs(self, row: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return the pair of a triplet, the same turned round, and those of the reference with near images."""
        reference, target = row["reference_id"], row["target_id"]
        others = distractors(row, self.settings.others)
        return [(reference, target), (target, reference), *((reference, image_id) for image_id in others)]


def _score(readings: Sequence[Reading]) -> Score:
    failed = failure(readings)
    if failed:
        return failed
    target, turned, *others = (reading.log_likelihood for reading in readings)
    return Score(
        {
            "whole": target,
            "per_token": target / readings[0].tokens,
            "share": _share(target, others),
            "forward": _share(target, [turned]),
        }
    )


def _share(target: float, others: Sequence[float]) -> float:
    """Return what falls on the target of the likelihoods whose logarithms are given."""
    return 1 / (1 + sum(math.exp(min(other - target, 700.0)) for other in others))
