"""The phrases that the parser of texts about toy figures knows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from cirgen.world.lexicon import COLOR, LEXICON, NUMBERS, ORDINALS, PARTS, is_adjective, plural
from cirgen.world.phrases import Phrasebook, Token

TokenKind = Literal[
    "the", "a", "number", "ordinal", "more", "fewer", "another", "color", "adjective", "noun", "part",
    "remove", "gone", "swap", "colors", "color word", "match", "possessive", "of", "link", "from", "instead",
    "and", "comma", "amount", "filler",
]  # fmt: skip


Phrase = tuple[str, Token[TokenKind]]

_COLOR_WORDS = ("colour", "color", "shade")
_COMPARISONS = (
    ("the ", " of"), ("", " of"), ("the same ", " as"), ("same ", " as"), ("of the same ", " as"),
)  # fmt: skip
"""What comes before and after a colour word in a comparison."""

_FUNCTION_WORDS: dict[TokenKind, tuple[str, ...]] = {
    "the": ("the", "its", "his", "her", "their", "that", "those"),
    "a": ("a", "an", "some"),
    "more": ("more", "additional", "extra"),
    "fewer": ("fewer", "less"),
    "another": ("another", "one further", "yet another"),
    "remove": (
        "remove", "take away", "take off", "without", "no", "no more", "drop", "get rid of", "lose", "ditch", "delete",
        "minus", "lost", "has no", "loses", "lacks", "skip", "no longer has", "no longer wears", "does not have",
        "strip off",
    ),
    "gone": ("gone", "missing", "absent", "off"),
    "swap": ("swap", "exchange", "switch", "trade", "swapped", "exchanged", "switched", "traded", "flip", "flipped"),
    "colors": ("colours", "colors", "shades"),
    "color word": _COLOR_WORDS,
    "match": (
        "match", "matches", "matching", "like",
        *(f"{lead}{word}{tail}" for word in _COLOR_WORDS for lead, tail in _COMPARISONS),
    ),
    "possessive": ("'s", "'"),
    "of": ("of", "between", "for both"),
    "link": ("to", "into", "with", "for", "by", "in", "as", "become", "becomes"),
    "from": ("from",),
    "instead": ("instead of", "rather than", "in place of", "and not", "not", "where it had", "replacing"),
    "and": ("and", "plus", "while", "or"),
    "comma": (
        ",", ";", ".", "!", ":", "then", "and then", "to show", "showing", "revealing", "to reveal", "so you see",
        "you see", "but", "also",
    ),
    "amount": ("the number of", "number of", "the count of", "count of", "the amount of", "amount of"),
    "filler": (
        # openings and the figure itself
        "it", "this one", "this one but", "same but", "the same but", "same but with", "same toy but", "similar",
        "similar but", "looks the same but", "this time", "this version", "figure", "the figure", "a figure",
        "a toy figure", "toy figure", "a small toy", "a little toy", "a toy", "the toy", "toy", "character",
        "the character", "a character", "this character", "little guy", "a little guy", "i see", "on the figure",
        # verbs that give, and copulas
        "should", "be", "is", "are", "has", "have", "wear", "wears", "wearing", "let", "make", "made", "change",
        "turn", "turned", "put", "put on", "use", "give", "add", "added", "bring in", "i want", "want", "i would like",
        "would like", "looking for", "show me", "shows", "cover", "replace", "replaced", "swap out", "recolor",
        "dressed", "dressed in", "that has", "there should be", "there are", "there is", "there", "paint", "dye",
        "comes", "goes", "go for", "gets", "get", "got", "can you", "could you", "move", "set", "stands", "standing",
        # places and small words
        "on", "on it", "next to", "next to it", "beside", "beside it", "near", "at its side", "in front of",
        "standing on", "against", "now", "please", "just", "instead", "exactly", "only", "a total of", "in total",
        "all", "both",
    ),
}  # fmt: skip
_MORE_NOUNS = {"beard": ("beard",), "hair": ("hairstyle", "haircut"), "glasses": ("specs", "spectacles")}
"""Nouns that neither grammar uses for a part by itself, but a model may."""

_NUMERALS = tuple(str(number) for number in range(1, len(NUMBERS) + 1))


def _value_token(attribute: str, value: str, phrase: str) -> Token[TokenKind]:
    if attribute == COLOR:
        return Token("color", value=value)
    return Token("adjective" if is_adjective(phrase) else "noun", attribute, value)


def _with_plural(phrase: str, token: Token[TokenKind], countable: bool) -> Iterator[Phrase]:
    yield phrase.removesuffix("_"), token
    if countable:
        yield plural(phrase), token._replace(plural=True)


def phrases() -> Iterator[Phrase]:
    """Yield every phrase that the parser knows, and its token."""
    for kind, found in _FUNCTION_WORDS.items():
        yield from ((phrase, Token(kind)) for phrase in found)
    for place, digit in enumerate(_NUMERALS):
        number: Token[TokenKind] = Token("number", value=digit)
        yield from ((word, number) for word in (NUMBERS[place], digit))
        yield ORDINALS[place], Token("ordinal", value=digit)
    one: Token[TokenKind] = Token("number", value="1")
    yield from ((word, one) for word in ("single", "lone"))
    for attribute, values in LEXICON.items():
        for value, words in values.items():
            for phrase in words.first + words.second:
                yield from _with_plural(phrase, _value_token(attribute, value, phrase), attribute == "object_kind")
    for part, words in PARTS.items():
        for phrase in (*words.first, *words.second, *_MORE_NOUNS.get(part, ())):
            yield from _with_plural(phrase, Token("part", value=part), part == "object")


PHRASEBOOK = Phrasebook(phrases())
