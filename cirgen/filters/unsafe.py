"""Texts that no corpus should hold: by a classifier that the user names, by a list of words, or by both.

cirgen ships neither: what is unsafe depends on who will use the corpus, and every such model has faults of its own.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import ClassVar, Literal, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field, model_validator

from cirgen.errors import UserError, one_line
from cirgen.filters.base import Score, ScoreNote
from cirgen.filters.threshold import Bound, BoundedFilter, BoundedSettings, Fitted, Percentile
from cirgen.filters.tools import Classifier as TextClassifier
from cirgen.filters.tools import Tools
from cirgen.filters.words import normalised
from cirgen.keys import digest
from cirgen.model_settings import Classifier
from cirgen.progress import Progress
from cirgen.resources import local_path, read_file
from cirgen.settings import Name


class UnsafeSettings(BoundedSettings):
    """Who says what is unsafe."""

    name: Literal["unsafe"] = "unsafe"
    classifier: Classifier | None = None
    """A model of toxicity, hate and the like; it sees the text alone."""
    labels: tuple[Name, ...] = ()
    """Its labels that are unsafe, as its config.json names them."""
    max_probability: float | None = Field(None, ge=0, le=1)
    """Largest probability of any unsafe label; of labels that exclude each other, of all of them together."""
    max_probability_percentile: Percentile = None
    max_probability_fit: Fitted = None
    words: Name | None = None
    """Text file of words and phrases, one a line; lines that begin with # are remarks."""

    @model_validator(mode="after")
    def _asks_somebody(self) -> Self:
        if self.classifier is None and self.words is None:
            raise ValueError("nothing says what is unsafe; give a classifier with labels, or words")
        if (self.classifier is None) != (not self.labels):
            raise ValueError("a classifier and its unsafe labels go together; give both, or neither")
        if (self.classifier is None) == super().is_bounded():
            raise ValueError("a classifier and max_probability go together; give both, or neither")
        return self

    def is_bounded(self) -> bool:
        """Return whether a bound is set, or none is needed: a listed word is rejected without one."""
        return super().is_bounded() or self.classifier is None

    def contents(self, progress: Progress) -> dict[str, str]:  # noqa: ARG002
        """Return the hash of the list of words."""
        return {} if self.words is None else {"words": hashlib.sha256(_bytes(self.words)).hexdigest()}


class Unsafe(BoundedFilter):
    """Rejects texts by the labels of a classifier and by words."""

    Settings = UnsafeSettings
    settings: UnsafeSettings
    bounds = (Bound("max_probability", "probability", "unsafe", least=False),)
    score_notes: ClassVar[Mapping[str, ScoreNote]] = {
        "probability": ScoreNote(
            "how likely the text has one of `labels`; 0 without a classifier",
            "probability, 0 to 1",
            "above `max_probability`",
        ),
        "listed": ScoreNote("words and phrases of the text that `words` lists", "times, from 0", "any"),
    }

    def classifier(self) -> Classifier | None:
        """Return the classifier, where one is named."""
        return self.settings.classifier

    def check_labels(self, labels: Sequence[str]) -> None:
        """Look for the labels that are unsafe."""
        unknown = sorted(set(self.settings.labels) - set(labels))
        if unknown:
            known = ", ".join(labels)
            raise UserError(f"The classifier of filter 'unsafe' has no label {unknown[0]}; choose among {known}.")

    def scoring(self) -> dict[str, object]:
        """Return the labels and the words that count."""
        return {"labels": sorted(self.settings.labels), "words": self._content}

    def score(self, triplets: pa.RecordBatch, tools: Tools) -> list[Score]:
        """Classify each text and look for listed words."""
        texts = triplets.column("text").to_pylist()
        shares = _shares(tools.classifier, self.settings.labels, texts)
        found = [self._pattern.findall(f" {normalised(text)} ") for text in texts]
        return [
            Score({"probability": float(share), "listed": float(len(words))}, "; ".join(map(str.strip, words)))
            for share, words in zip(shares, found, strict=True)
        ]

    def decide(self, triplets: pa.Table) -> list[str]:
        """Reject listed words, and what the classifier takes for unsafe."""
        listed = triplets.column("listed").to_pylist()
        return ["lists a word" if n else reason for n, reason in zip(listed, super().decide(triplets), strict=True)]

    @cached_property
    def _content(self) -> str:
        return digest(self._words)

    @cached_property
    def _words(self) -> list[str]:
        if self.settings.words is None:
            return []
        lines = _bytes(self.settings.words).decode("utf8", "replace").splitlines()
        return sorted({normalised(line) for line in lines if not line.startswith("#")} - {""})

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        longest_first = sorted(self._words, key=lambda word: (-len(word), word))
        return re.compile(rf"(?<= )(?:{'|'.join(map(re.escape, longest_first)) or '(?!)'})(?= )")


def _shares(classifier: TextClassifier | None, labels: Sequence[str], texts: Sequence[str]) -> NDArray[np.float64]:
    if classifier is None:
        return np.zeros(len(texts))
    found = classifier.probabilities(texts)[:, [list(classifier.labels).index(label) for label in labels]]
    return np.asarray(np.minimum(found.sum(axis=1), 1.0) if classifier.exclusive else found.max(axis=1))


def _bytes(path: str) -> bytes:
    try:
        return read_file(local_path(path))
    except OSError as error:
        raise UserError(f"The list {path} cannot be read ({one_line(error)}); correct unsafe.words.") from error
