"""Reads modification texts and captions about furniture back into attributes.

It accepts both grammars and mixtures of them: any order of clauses, repetitions, missing articles. What it cannot read
whole it does not read at all: one unknown word and the answer is None. Claims are those of `cirgen.world.claims`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Literal

from cirgen.world.claims import Claim, Claims, Copy, Given, Swap, Value
from cirgen.world.furniture.vocabulary import PALETTE
from cirgen.world.furniture.words import KINDS, PARTS, VIEWS
from cirgen.world.lexicon import COLOR, LEXICON, Words
from cirgen.world.phrases import Cursor, Phrasebook, Token, UnreadableError

TokenKind = Literal[
    "the", "a", "color", "part", "kind", "view", "swap", "colors", "color word", "match", "possessive", "of", "link",
    "from", "instead", "and", "comma", "filler",
]  # fmt: skip


_COLOR_WORDS = ("colour", "color", "shade")
_FUNCTION_WORDS: dict[TokenKind, tuple[str, ...]] = {
    "the": ("the", "its", "their", "that"),
    "a": ("a", "an", "some"),
    "swap": ("swap", "exchange", "switch", "trade", "swapped", "exchanged", "switched", "flip", "flipped"),
    "colors": ("colours", "colors", "shades"),
    "color word": ("colour", "color"),
    "match": (
        "match", "matches", "matching", "like",
        *(f"{lead}{word}{tail}" for word in _COLOR_WORDS
          for lead, tail in (("the ", " of"), ("the same ", " as"), ("same ", " as"))),
    ),
    "possessive": ("'s", "'"),
    "of": ("of",),
    "link": ("to", "into", "with", "for", "in", "as", "becomes", "become"),
    "from": ("from",),
    "instead": ("instead of", "rather than", "in place of", "and not", "not", "replacing"),
    "and": ("and", "plus"),
    "comma": (",", ";", ".", "!", ":", "then", "and then", "but", "also"),
    "filler": (
        "it", "this one", "this one but", "same but", "similar", "similar but", "looks the same but", "this time",
        "should", "be", "is", "are", "has", "have", "let", "make", "change", "turn", "turn it to be", "use", "give",
        "i want", "would like", "looking for", "go for", "get", "show", "shown", "seen", "view", "viewed", "replace",
        "recolor", "paint", "now", "please", "just", "instead", "i see", "this is", "photographed", "picture taken",
        "picture", "that has",
    ),
}  # fmt: skip


def _phrases() -> Iterator[tuple[str, Token[TokenKind]]]:
    for kind, found in _FUNCTION_WORDS.items():
        yield from ((phrase, Token(kind)) for phrase in found)
    colors = {value: LEXICON[COLOR][value] for value in PALETTE}
    tables: tuple[tuple[TokenKind, dict[str, Words]], ...] = (
        ("color", colors), ("part", PARTS), ("kind", KINDS), ("view", VIEWS),
    )  # fmt: skip
    for kind, table in tables:
        for value, words in table.items():
            yield from ((phrase, Token(kind, value=value)) for phrase in words.first + words.second)


@lru_cache(maxsize=1)
def _phrasebook() -> Phrasebook[TokenKind]:
    return Phrasebook(_phrases())


def parse(text: str) -> Claims | None:
    """Return what `text` claims, without duplicates, or None if it cannot be read whole or claims nothing."""
    found = _phrasebook().tokens(text)
    try:
        return tuple(dict.fromkeys(_Reader(found).text())) or None if found else None
    except UnreadableError:
        return None


def parse_caption(text: str) -> dict[str, str] | None:
    """Return attribute to value for what a caption tells, or None if it cannot be read or contradicts itself."""
    found = _phrasebook().tokens(text)
    try:
        told = _Reader(found).caption() if found else []
    except UnreadableError:
        return None
    values: dict[str, str] = {}
    for name, value in told:
        if values.setdefault(name, value) != value:
            return None
    return values or None


class _Reader(Cursor[TokenKind]):
    """Recursive descent over tokens; methods named after a phrase consume it."""

    def text(self) -> list[Claim]:
        claims: list[Claim] = []
        self.skip("and", "comma")
        while self.peek():
            claims += self.clause()
            self.skip("and", "comma")
        return claims

    def caption(self) -> list[tuple[str, str]]:
        told = []
        while self.peek():
            self.skip("and", "comma", "link", "the", "a")
            token = self.need("kind", "view", "color")
            told.append((self.need("part").value, token.value) if token.kind == "color" else (token.kind, token.value))
        return told

    def clause(self) -> list[Claim]:
        return self.first_of(self.swap, self.view, self.kind, self.novelty, self.statement)

    def part(self) -> str:
        self.take("the")
        return self.need("part").value

    def swap(self) -> list[Claim]:
        """Read "swap the colours of A and B", "colours of A and B swapped", "A and B swap colours"."""
        verb = self.take("swap")
        self.take("the")
        if self.take("colors"):
            self.need("of")
            first, second = self.pair()
            if not verb:
                self.need("swap")
            return [Swap(first, second), *_there(first), *_there(second)]
        first, second = self.pair()
        self.skip("link")
        mark = self.need("swap", "colors")
        self.take("the")
        self.need("colors" if mark.kind == "swap" else "swap")
        return [Swap(first, second), *_there(first), *_there(second)]

    def pair(self) -> tuple[str, str]:
        first = self.part()
        self.need("and")
        return first, self.part()

    def view(self) -> list[Claim]:
        """Read "from behind", "from behind instead of from the front"."""
        claims: list[Claim] = [Value("view", self.need("view").value)]
        if self.instead():
            claims.append(Given("view", (self.need("view").value,)))
        return claims

    def kind(self) -> list[Claim]:
        """Read "the armchair to a bar stool", "a bar stool instead of the armchair", "a bar stool"."""
        self.take("swap")
        start = self.at
        if self.take("the") and (old := self.take("kind")):
            self.need("link")
            self.take("a")
            return [Value("kind", self.need("kind").value), Given("kind", (old.value,))]
        self.at = start
        self.skip("link", "a")
        claims: list[Claim] = [Value("kind", self.need("kind").value)]
        if self.instead():
            self.skip("the", "a")
            claims.append(Given("kind", (self.need("kind").value,)))
        return claims

    def instead(self) -> bool:
        start = self.at
        self.skip("comma")
        if self.take("instead"):
            return True
        self.at = start
        return False

    def novelty(self) -> list[Claim]:
        """Read "with a red seat", "a red seat instead of the blue one"."""
        self.skip("link", "a")
        color, part = self.need("color").value, self.need("part").value
        return [Value(part, color), *self.before(part)]

    def before(self, part: str) -> list[Claim]:
        """Read the colour that `part` had, where it is told."""
        if not self.instead():
            return []
        self.skip("the", "a")
        old = self.need("color").value
        if self.peek() == "part" and self.need("part").value != part:
            raise UnreadableError
        return [Given(part, (old,))]

    def statement(self) -> list[Claim]:
        """Read what is said of a part: "the seat blue", "the seat from red to blue", "the seat like the frame"."""
        if self.take("match"):  # "match A to B"
            part = self.part()
            self.need("link")
            return self.copied(part)
        self.take("color word")
        part = self.part()
        old = [Given(part, (self.need("color").value,))] if self.take("from") else []
        linked = self.take("link")
        if self.take("match"):
            return self.copied(part)
        if linked and self.peek() in ("the", "part") and not old:
            return self.owned(part)
        return [*_there(part), *old, Value(part, self.need("color").value), *self.before(part)]

    def copied(self, part: str) -> list[Claim]:
        source = self.part()
        if self.take("possessive"):
            self.need("color word")
        return [Copy(part, source), *_there(part), *_there(source)]

    def owned(self, part: str) -> list[Claim]:
        """Read "the frame's colour"."""
        source = self.part()
        self.need("possessive")
        shade = self.take("color word") or self.need("part")  # "shade" is a word for a colour and for a part of a lamp
        if shade.kind == "part" and shade.value != "shade":
            raise UnreadableError
        return [Copy(part, source), *_there(part), *_there(source)]


def _there(part: str) -> list[Claim]:
    """Say that the reference has the part, of whatever colour."""
    return [Given(part, tuple(PALETTE))]
