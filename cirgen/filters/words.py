"""What filters call a word, and which words carry content. English; no model."""

from __future__ import annotations

import re
import unicodedata

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")

_FUNCTION = """
a an the this that these those it its they their them he she his her him there here one
and or but nor than as if so
of in on at to from with without for by into onto over under between behind beside near above below next around
up down out off
is are was were be been being has have had do does did can could should would will may must
i you we my your our me us
not no more less same other another both each all any some only also just still very too much many
what which who whose where when how while
"""
_EDIT = """
make makes change changes changed turn turns turned replace replaces replaced swap swaps swapped switch switched
add adds added remove removes removed put give gives get take taken drop show shows keep wear wears wearing
want wants need needs like unlike instead rather now become becomes different similar
"""

FUNCTION_WORDS = frozenset(_FUNCTION.split())
EDIT_WORDS = frozenset(_EDIT.split())
"""Words that say that something changes, not what."""


def words(text: str) -> list[str]:
    """Return the words of a text, case and compatibility forms folded, punctuation left out."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def normalised(text: str) -> str:
    """Return a text as duplicates are compared: its words with one space between."""
    return " ".join(words(text))


def stem(word: str) -> str:
    """Strip a plural or possessive ending, so that 'shirts' meets 'shirt'."""
    word = word.removesuffix("'s").removesuffix("’s")
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def content_words(text: str) -> list[str]:
    """Return the stems of the words that are neither function words nor words of change, repeats included."""
    return [stem(word) for word in words(text) if word not in FUNCTION_WORDS and word not in EDIT_WORDS]
