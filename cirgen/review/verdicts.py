"""What a reviewer can say of a triplet."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple


class Choice(NamedTuple):
    """One verdict, its key and when to give it."""

    key: str
    verdict: str
    meaning: str


GOOD = "good"
UNCLEAR = "unclear"
CHOICES = (
    Choice("1", GOOD, "reference and text together lead to this target, and both are needed"),
    Choice("2", "wrong text", "the text says what is not so, or leaves out what matters"),
    Choice("3", "reference not needed", "the text alone finds the target"),
    Choice("4", "target not unique", "many other pictures would fit as well"),
    Choice("5", UNCLEAR, "cannot be told from these pictures"),
)
VERDICTS = tuple(choice.verdict for choice in CHOICES)
LONGEST_NAME = 64
"""Characters of a reviewer's name."""


def reviewer_name(name: str) -> str:
    """Return a name as it is kept, one form of the same letters and single spaces; '' where it is none."""
    kept = " ".join(unicodedata.normalize("NFC", name).split())
    return kept if len(kept) <= LONGEST_NAME and kept.isprintable() else ""


def majority(verdicts: Iterable[str]) -> str:
    """Return the verdict that more reviewers gave than any other; a tie is unclear."""
    (first, most), *others = Counter(verdicts).most_common(2)
    return UNCLEAR if others and others[0][1] == most else first
