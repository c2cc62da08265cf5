"""Tails that tell the reference again ("... instead of the brown dog"): how they are found and taken off.

Published pipelines do so, too (ReCALL): what such a tail says is in the reference anyway.
"""

from __future__ import annotations

import re

from cirgen.filters.words import content_words

TAIL = re.compile(
    r"\b(?:instead of|rather than|in place of|as opposed to|in contrast to|compared (?:to|with)|unlike)\b([^.,;]*)",
    re.IGNORECASE,
)
"""A tail up to the next mark; its group is what it says of the reference."""
LEAST_WORDS = 2
"""Content words that a text must keep."""

_LEADING = re.compile(r"^[\s,.;:!?-]+")
_DANGLING = re.compile(r"[\s,;:-]+(?=$|[.,;!?])")
_JOINED = re.compile(r"[\s,;]*\b(?:and|but|or)[\s,;]*(?=$|[.;!?])", re.IGNORECASE)


def strip_tails(text: str) -> str:
    """Return a text without its tails, or as it is where too little would be left; never longer.

    What is left is tidied at the seams: no mark at the beginning, none before another, no "and" at the end.
    """
    left = text
    while TAIL.search(left):
        left = _tidied(TAIL.sub("", left))
    return left if len(content_words(left)) >= LEAST_WORDS else text


def _tidied(text: str) -> str:
    for pattern in (_JOINED, _DANGLING, _LEADING):
        text = pattern.sub("", text)
    return " ".join(text.split())
