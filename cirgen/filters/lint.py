"""Texts that are no modification text at all: empty, endless, meta-talk, taxonomy, residue, no English."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from typing import ClassVar, Literal, Self

import pyarrow as pa
from pydantic import Field, model_validator

from cirgen.filters.base import Filter, FilterSettings, Score, ScoreNote
from cirgen.filters.tools import Tools
from cirgen.filters.words import EDIT_WORDS, FUNCTION_WORDS, words

Pattern = Literal["meta-talk", "taxonomy", "residue"]

_PICTURE = r"(?:images?|pictures?|photos?|photographs?|pics?)"
_PATTERNS: dict[Pattern, re.Pattern[str]] = {
    # The reader of a query sees one picture, and no picture that is called first, second or target.
    "meta-talk": re.compile(
        rf"\b(?:first|second|1st|2nd|reference|target|source|query|candidate|original|left|right|two|both|other)"
        rf" {_PICTURE}\b"
        rf"|\b{_PICTURE} (?:[12ab]\b|shows?\b|depicts?\b|features?\b|contains?\b)"
        r"|\bthe (?:main )?differences? (?:is|are|between)\b|\bmodification text\b"
        r"|\bas an ai\b|\bi(?:'m| am) sorry\b|\bi can(?:'t|not)\b|\bhere(?:'s| is) (?:the|a|an|my)\b",
        re.IGNORECASE,
    ),
    # Words of the prompt's own taxonomy, as counted in the released Laion-CIR texts ("change the cardinality": 158).
    "taxonomy": re.compile(
        r"\bcardinality\b|^\W*negat(?:e|es|ed|ion)\b|^\W*compare\b"
        r"|\bchange the spatial\b|\bspatial (?:relations?|relationships?|change)\b"
        r"|\b(?:attribute|object|relationship|viewpoint) (?:addition|removal|change|modification)\b",
        re.IGNORECASE,
    ),
    "residue": re.compile(
        r"\{\{|\}\}|\{%|%\}|\{\w*\}|</?(?:image|video|img|s|bos|eos|pad|unk)>|<\|.*?\|>|\[/?INST\]|</?think>"
        r"|\b(?:ASSISTANT|USER|SYSTEM|HUMAN)\s*:|^\W*(?:answer|output|caption|instruction|text)\s*:"
        r"|```|\*\*|\n\s*(?:[-*•]|\d+[.)])",
        re.IGNORECASE,
    ),
}
_UNLESS_ALLOWED = "any, unless in `allow`"
_REASONS: dict[Pattern, str] = {
    "meta-talk": "talks about the images",
    "taxonomy": "names its change type",
    "residue": "template residue",
}
ENGLISH_FROM_WORDS = 12
"""An English sentence of so many words has at least one common English word in it; a shorter text need not."""


class LintSettings(FilterSettings):
    """What a text must look like."""

    name: Literal["lint"] = "lint"
    min_words: int = Field(2, ge=0, le=10_000)
    max_words: int = Field(40, ge=1, le=10_000)
    max_characters: int = Field(300, ge=1, le=100_000)
    allow: tuple[Pattern, ...] = ()
    """Faults to let pass: meta-talk ("the second image"), taxonomy ("change the cardinality"), residue ("<image>")."""
    language: Literal["english", "any"] = "english"
    """A guess by script and common words, without a model: it catches other languages in long texts alone."""
    max_other_script: float = Field(0.1, ge=0, le=1)
    """Share of letters that are not Latin, where the language is English."""
    max_repeats: int = Field(3, ge=1, le=10_000)
    """How often one run of three words may occur; an endless text repeats it."""

    @model_validator(mode="after")
    def _lengths(self) -> Self:
        if self.min_words > self.max_words:
            raise ValueError(f"min_words {self.min_words} is above max_words {self.max_words}, so no text would pass")
        return self


class Lint(Filter):
    """Length, wording, script and repetition of the text itself."""

    Settings = LintSettings
    score_notes: ClassVar[Mapping[str, ScoreNote]] = {
        "words": ScoreNote("length of the text", "words, from 0", "0, below `min_words`, above `max_words`"),
        "characters": ScoreNote("length of the text", "characters, from 0", "above `max_characters`"),
        "meta-talk": ScoreNote('talk about the images ("the second image")', "times, from 0", _UNLESS_ALLOWED),
        "taxonomy": ScoreNote('names of kinds of change ("change the cardinality")', "times, from 0", _UNLESS_ALLOWED),
        "residue": ScoreNote('left-overs of prompts and markup ("<image>")', "times, from 0", _UNLESS_ALLOWED),
        "other_script": ScoreNote(
            "letters that are not Latin", "share, 0 to 1", "above `max_other_script`, where `language` is english"
        ),
        "common_words": ScoreNote(
            "function words and words of change, in English",
            "words, from 0",
            f"0 in {ENGLISH_FROM_WORDS} words or more, where `language` is english",
        ),
        "repeats": ScoreNote("how often one run of three words occurs", "times, from 0", "above `max_repeats`"),
    }
    version = 2
    decides_on = ()

    def __init__(self, settings: LintSettings) -> None:
        self.settings = settings

    def score(self, triplets: pa.RecordBatch, tools: Tools) -> list[Score]:  # noqa: ARG002
        """Count words, characters, faults, letters of other scripts, common words and repeats."""
        return [_measured(text) for text in triplets.column("text").to_pylist()]

    def decide(self, triplets: pa.Table) -> list[str]:
        """Reject the first fault of each text."""
        return [self._reason(row) for row in triplets.to_pylist()]

    def _reason(self, row: dict[str, float]) -> str:
        settings = self.settings
        if not row["words"]:
            return "empty"
        if row["words"] < settings.min_words:
            return "too short"
        if row["words"] > settings.max_words or row["characters"] > settings.max_characters:
            return "too long"
        for pattern, reason in _REASONS.items():
            if row[pattern] and pattern not in settings.allow:
                return reason
        if settings.language == "english" and self._foreign(row):
            return "not English"
        return "repeats itself" if row["repeats"] > settings.max_repeats else ""

    def _foreign(self, row: dict[str, float]) -> bool:
        no_common_word = row["words"] >= ENGLISH_FROM_WORDS and not row["common_words"]
        return no_common_word or row["other_script"] > self.settings.max_other_script


def _measured(text: str) -> Score:
    found = {name: [match.group() for match in pattern.finditer(text)] for name, pattern in _PATTERNS.items()}
    tokens = words(text)
    values: dict[str, float] = {
        "words": float(len(tokens)),
        "characters": float(len(text)),
        **{str(name): float(len(matches)) for name, matches in found.items()},
        "other_script": _other_script(text),
        "common_words": float(sum(word in FUNCTION_WORDS or word in EDIT_WORDS for word in tokens)),
        "repeats": float(max(Counter(zip(tokens, tokens[1:], tokens[2:], strict=False)).values(), default=0)),
    }
    return Score(values, "; ".join(match for matches in found.values() for match in matches))


def _other_script(text: str) -> float:
    letters = [letter for letter in text if letter.isalpha()]
    foreign = sum(not unicodedata.name(letter, "").startswith("LATIN") for letter in letters)
    return foreign / len(letters) if letters else 0.0
