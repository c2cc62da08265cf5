"""Texts in another language than the corpus, told by py3langid (139 languages, its model lies in the wheel).

`lint` sees other scripts and long texts without one English word; this filter also sees "mache den Hut rot".

A language cannot be told from two or three words, and the detector knows it: its probability is then shared among
many. So a text is rejected where one other language is *likely*, not where the wanted one is unlikely, and short texts
pass. Of 5,000 texts that people wrote in English (FashionIQ, CIRR) 0.2 % have another language at 0.5 or more, and
none at 0.8.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, ClassVar, Literal

import pyarrow as pa
from pydantic import Field

from cirgen.errors import UserError
from cirgen.filters.base import Filter, FilterSettings, Score, ScoreNote
from cirgen.filters.tools import Tools
from cirgen.filters.words import words

LIBRARY = "py3langid"
NO_LANGUAGE = "zxx"
"""What the detector calls numbers, markup and names."""

Code = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]


class LanguageSettings(FilterSettings):
    """Which languages may be, and how sure the detector must be of another."""

    name: Literal["language"] = "language"
    languages: tuple[Code, ...] = Field(("en",), min_length=1)
    """ISO 639 codes, such as en, de, zh."""
    min_confidence: float = Field(0.5, gt=0, le=1)
    """Probability of another language from which on a text is rejected."""
    min_words: int = Field(3, ge=0, le=10_000)
    """Shorter texts pass, except in scripts without spaces between words, which are one word and never mistaken."""


class Language(Filter):
    """Rejects texts that the detector takes for another language."""

    Settings = LanguageSettings
    score_notes: ClassVar[Mapping[str, ScoreNote]] = {
        "other": ScoreNote(
            "how likely the likeliest language is that is none of `languages`",
            "probability, 0 to 1",
            "`min_confidence` or more, in `min_words` words or more",
        ),
        "words": ScoreNote("length of the text; letters of scripts without spaces count each", "words, from 0", ""),
    }
    decides_on = ()

    def __init__(self, settings: LanguageSettings) -> None:
        self.settings = settings
        self._detector = _version()

    def scoring(self) -> dict[str, object]:
        """Return the languages and the detector, which is as good as its version."""
        return {"languages": sorted(self.settings.languages), LIBRARY: self._detector}

    def score(self, triplets: pa.RecordBatch, tools: Tools) -> list[Score]:  # noqa: ARG002
        """Detect the language of each text."""
        return [self._measured(text) for text in triplets.column("text").to_pylist()]

    def decide(self, triplets: pa.Table) -> list[str]:
        """Reject texts that are likely in another language."""
        sure, enough = self.settings.min_confidence, self.settings.min_words
        return [
            "another language" if row["other"] >= sure and row["words"] >= enough else ""
            for row in triplets.select(["other", "words"]).to_pylist()
        ]

    def _measured(self, text: str) -> Score:
        left_out = {*self.settings.languages, NO_LANGUAGE}
        language, other = next((name, share) for name, share in _detector().rank(text) if name not in left_out)
        return Score({"other": float(other), "words": float(_length(text))}, language)


def _length(text: str) -> int:
    """Return the number of words, where every letter beyond Latin, Greek, Cyrillic and the like is one."""
    return sum(max(1, sum(letter > "\u2e7f" for letter in word)) for word in words(text))


def _version() -> str:
    try:
        return importlib.metadata.version(LIBRARY)
    except importlib.metadata.PackageNotFoundError as error:
        raise UserError(
            f"Filter 'language' needs {LIBRARY}, which is not installed: pip install 'cirgen[language]'"
        ) from error


@cache
def _detector() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
