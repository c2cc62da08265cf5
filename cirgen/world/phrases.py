"""Phrases of a text, and a cursor over them: what the grammars of both embedded worlds are read with."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Generic, NamedTuple, TypeVar

Kind = TypeVar("Kind", bound=str)
Read = TypeVar("Read")

FILLER = "filler"
"""Kind of the phrases that say nothing."""


class Token(NamedTuple, Generic[Kind]):
    """A phrase: `attribute` and `value` where it names one, `plural` for nouns that can be counted."""

    kind: Kind
    attribute: str = ""
    value: str = ""
    plural: bool = False


class UnreadableError(Exception):
    """The text does not follow the grammar from here on."""


def split_words(text: str) -> tuple[str, ...]:
    """Return the words of `text`: lower case, hyphens as spaces, possessive `s'` as `s` and `'`."""
    plain = text.lower().replace("’", "'").replace("-", " ")
    return tuple(re.findall(r"'s\b|[a-z0-9]+|\S", plain))


class Phrasebook(Generic[Kind]):
    """The phrases that a grammar knows, each with its token; of two equal ones the later counts."""

    def __init__(self, phrases: Iterable[tuple[str, Token[Kind]]]) -> None:
        self._known = {split_words(phrase): token for phrase, token in phrases}
        self._longest = max(map(len, self._known))

    def tokens(self, text: str) -> list[Token[Kind]] | None:
        """Return the tokens of `text`, longest phrase first, without fillers; None if a word belongs to no phrase."""
        words = split_words(text)
        found: list[Token[Kind]] = []
        start = 0
        while start < len(words):
            lengths = range(min(self._longest, len(words) - start), 0, -1)
            length = next((n for n in lengths if words[start : start + n] in self._known), 0)
            if not length:
                return None
            found.append(self._known[words[start : start + length]])
            start += length
        return [token for token in found if token.kind != FILLER]


class Cursor(Generic[Kind]):
    """A place among tokens. A grammar is a subclass whose methods, each named after a phrase, consume it."""

    def __init__(self, found: list[Token[Kind]]) -> None:
        self.found = found
        self.at = 0

    def peek(self, ahead: int = 0) -> Kind | None:
        """Return the kind of the token `ahead` of the next, or None past the end."""
        place = self.at + ahead
        return self.found[place].kind if place < len(self.found) else None

    def take(self, *kinds: Kind) -> Token[Kind] | None:
        """Consume the next token if it is of one of `kinds`."""
        if self.peek() not in kinds:
            return None
        self.at += 1
        return self.found[self.at - 1]

    def need(self, *kinds: Kind) -> Token[Kind]:
        """Consume the next token, or raise UnreadableError if it is of no such kind."""
        token = self.take(*kinds)
        if token is None:
            raise UnreadableError
        return token

    def skip(self, *kinds: Kind) -> None:
        """Consume all tokens of `kinds` from here."""
        while self.take(*kinds):
            pass

    def first_of(self, *readings: Callable[[], Read]) -> Read:
        """Return what the first of `readings` reads from here that can, or raise UnreadableError if none can."""
        start = self.at
        for reading in readings:
            try:
                return reading()
            except UnreadableError:
                self.at = start
        raise UnreadableError
