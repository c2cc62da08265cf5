"""Texts that contradict the target's caption, or that the reference already fulfils, by a model of entailment (NLI).

The caption is the premise, the text the hypothesis: "a man in a blue hat" contradicts "make the hat red". No published
corpus that we know of was checked so. Mind what such models were trained on: sentences that state something, while a
modification text commands or leaves half of it out. Look at the scores of a few hundred rows before a bound is set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import pyarrow as pa
from pydantic import Field

from cirgen.errors import UserError
from cirgen.filters.base import Score, ScoreNote
from cirgen.filters.threshold import Bound, BoundedFilter, BoundedSettings, Fitted, Percentile
from cirgen.filters.tools import Classifier as TextClassifier
from cirgen.filters.tools import Tools
from cirgen.model_settings import Classifier

PREFIXES = ("contradict", "entail")
"""How the labels that count begin, case and marks aside."""


class ContradictionSettings(BoundedSettings):
    """Which model judges, and how sure it must be."""

    name: Literal["contradiction"] = "contradiction"
    classifier: Classifier
    """A model whose labels say contradiction and entailment, such as one trained on MNLI."""
    max_target: float | None = Field(None, ge=0, le=1)
    """Largest probability that the text contradicts the target's caption."""
    max_target_percentile: Percentile = None
    max_target_fit: Fitted = None
    max_reference: float | None = Field(None, ge=0, le=1)
    """Largest probability that the reference's caption entails the text, which then changes nothing."""
    max_reference_percentile: Percentile = None
    max_reference_fit: Fitted = None


class Contradiction(BoundedFilter):
    """Asks a classifier about caption and text; without a caption there is nothing to contradict."""

    Settings = ContradictionSettings
    settings: ContradictionSettings
    bounds = (
        Bound("max_target", "target", "contradicts the target", least=False),
        Bound("max_reference", "reference", "already so in the reference", least=False),
    )
    score_notes: ClassVar[Mapping[str, ScoreNote]] = {
        "target": ScoreNote(
            "how likely the text contradicts the caption of the target", "probability, 0 to 1", "above `max_target`"
        ),
        "reference": ScoreNote(
            "how likely the caption of the reference entails the text", "probability, 0 to 1", "above `max_reference`"
        ),
    }
    depends_on = ("reference_caption", "target_caption")
    expensive = True

    def classifier(self) -> Classifier:
        """Return the model of entailment."""
        return self.settings.classifier

    def check_labels(self, labels: Sequence[str]) -> None:
        """Look for the two labels."""
        for prefix in PREFIXES:
            labelled(labels, prefix)

    def score(self, triplets: pa.RecordBatch, tools: Tools) -> list[Score]:
        """Classify both pairs of caption and text."""
        classifier = tools.classes()
        contradiction, entailment = (labelled(classifier.labels, prefix) for prefix in PREFIXES)
        texts = triplets.column("text").to_pylist()
        target, reference = (
            _shares(classifier, triplets.column(f"{end}_caption").to_pylist(), texts, label)
            for end, label in (("target", contradiction), ("reference", entailment))
        )
        return [Score({"target": one, "reference": other}) for one, other in zip(target, reference, strict=True)]


def labelled(labels: Sequence[str], prefix: str) -> int:
    """Return the place of the one label that begins so, case and marks aside.

    Raises:
        UserError: none does, or several do.
    """
    plain = [label.casefold().strip(" _-") for label in labels]
    found = [place for place, label in enumerate(plain) if label.startswith(prefix)]
    if len(found) != 1:
        raise UserError(
            f"Filter 'contradiction' needs one label that begins with '{prefix}' and finds {len(found) or 'none'} "
            f"among {', '.join(labels)}; name a model of entailment whose config.json says so in id2label."
        )
    return found[0]


def _shares(classifier: TextClassifier, captions: Sequence[str], texts: Sequence[str], label: int) -> list[float]:
    """Return the probability of a label for each caption and text, 0 where there is no caption."""
    asked = [place for place, caption in enumerate(captions) if caption.strip()]
    found = classifier.probabilities([captions[place] for place in asked], [texts[place] for place in asked])
    shares = [0.0] * len(texts)
    for place, row in zip(asked, found, strict=True):
        shares[place] = float(row[label])
    return shares
