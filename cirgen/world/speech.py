"""Puts figures into words: noun phrases and captions in one style."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from cirgen.world.figure import Figure
from cirgen.world.lexicon import (
    COLOR,
    COLOR_ATTRIBUTE,
    KIND_ATTRIBUTE,
    LEXICON,
    NUMBERS,
    PARTS,
    Words,
    is_adjective,
    is_plural,
    part_of,
    plural,
)
from cirgen.world.vocabulary import NONE

_KIND_SHARE = 0.5  # of the parts that a text takes up, so many are called by their kind ("the beanie", not "the hat")
_MASS_NOUNS = ("hair", "facial hair", "hairdo", "headgear", "eyewear")
_SHIRTS = ("plain shirt", "striped shirt", "shirt and tie")

Patterns = tuple[str, ...]


@dataclass(frozen=True)
class Style:
    """Sentence patterns of a grammar.

    Slots: {subject} the part before the change, {be} its verb, {color} and {old_color}, {new} the thing after the
    change with its article, {old} the thing before it, {old_bare} without article, {source} the part whose colour is
    copied and {source_s} its possessive, {first} and {second} parts that swap, {n} {noun} a difference in number,
    {count} {nouns} the number after the change, {old_count}, {ordinal}, {all_nouns} the plural.
    """

    tongue: Literal["first", "second"]
    plain_share: float
    """Share of words taken from the plainest word of the first tongue, which people use too."""
    article_share: float
    """Share of articles that are said where the meaning does not hang on them."""
    recolor: Patterns
    copy: Patterns
    copied: Patterns
    """How a thing with a copied colour is named; {new} is the thing without colour."""
    replace: Patterns
    put_on_hat: Patterns
    take_off_hat: Patterns
    add: Patterns
    remove: Patterns
    swap: Patterns
    more: Patterns
    another: Patterns
    fewer: Patterns
    total: Patterns
    vague: tuple[Patterns, Patterns]
    """(more, fewer) without a number, for texts that may leave things open."""
    background: Patterns
    ellipsis: dict[str, tuple[tuple[str, str], ...]]
    """Edit kind to (pattern of the first edit, pattern of those that follow it)."""
    joins: tuple[tuple[str, str], ...]
    """(between clauses, before the last clause)."""
    openings: Patterns
    opening_share: float
    captions: Patterns
    """`subject|lead:part part|lead:part...`; a lead without anything to tell is left out."""


class Speaker:
    """Names parts of figures and writes captions in one style, with the choices drawn from `rng`."""

    def __init__(self, style: Style, rng: random.Random) -> None:
        self.style = style
        self.rng = rng

    def word(self, words: Words, general: bool = False) -> str:
        """Return one phrase of `words` in the tongue; `general`: only the one that fits every kind."""
        if self.style.tongue == "first":
            return words.first[0] if general else self.rng.choice(words.first)
        if self.rng.random() < self.style.plain_share:
            return words.first[0]
        return words.second[0] if general else self.rng.choice(words.second)

    def color(self, figure: Figure, part: str) -> str:
        """Return a word for the colour of `part`."""
        if part == "background":
            return self.word(LEXICON["background"][figure.background]).removesuffix(" _")
        return self.word(LEXICON[COLOR][str(getattr(figure, COLOR_ATTRIBUTE[part]))])

    def noun(self, figure: Figure, part: str) -> str:
        """Return the general noun of `part`, in the number that the figure has of it."""
        if part == "object":
            return self._objects(figure, self.word(PARTS[part]))
        narrow = part == "top" and figure.outfit not in _SHIRTS
        return self.word(PARTS[part], general=narrow)

    def kind(self, figure: Figure, part: str, color: str = "") -> str:
        """Return the noun phrase that names the kind of `part` ("curly black hair"), without article."""
        value = str(getattr(figure, KIND_ATTRIBUTE[part]))
        phrase = self.word(LEXICON[KIND_ATTRIBUTE[part]][value])
        if is_adjective(phrase):
            noun = "shirt" if part == "top" else self.word(PARTS[part])
            return _words(phrase.removesuffix("_"), color, noun)
        return _words(color, self._objects(figure, phrase) if part == "object" else phrase)

    def _objects(self, figure: Figure, noun: str) -> str:
        return plural(noun) if figure.count > 1 else noun

    def thing(self, figure: Figure, part: str, said: Iterable[str], color: bool = True) -> str:
        """Return `part` of `figure` with an article, telling the attributes `said` and what its noun must tell."""
        shade = self.color(figure, part) if color and COLOR_ATTRIBUTE.get(part, "") in said else ""
        if part == "background":
            return self.article(self.kind(figure, part))
        if part == "object":
            return self._counted(figure, self.kind(figure, part, shade), "object_count" in said)
        if KIND_ATTRIBUTE.get(part, "") in said:
            return self.article(self.kind(figure, part, shade))
        return self.article(_words(shade, self.noun(figure, part)))

    def article(self, phrase: str) -> str:
        """Return `phrase` with its indefinite article, or terse."""
        return _article(phrase) if self.rng.random() < self.style.article_share else phrase

    def _counted(self, figure: Figure, phrase: str, said: bool) -> str:
        if figure.count == 1:
            return f"{self.rng.choice(('one', 'a single'))} {phrase}" if said else _article(phrase)
        return f"{NUMBERS[figure.count - 1]} {phrase}" if said else phrase

    def given(self, figure: Figure, part: str) -> str:
        """Return a name, without article, for `part` as it is: its kind ("beanie") or its general noun ("hat")."""
        return self.kind(figure, part) if self._names_kind(part) else self.noun(figure, part)

    def _names_kind(self, part: str) -> bool:
        if part not in KIND_ATTRIBUTE or part == "background":
            return False
        return part == "object" or self.rng.random() < _KIND_SHARE

    def before(self, figure: Figure, part: str, by_kind: bool) -> tuple[str, str]:
        """Return a definite name of `part`, and the same without article; a general noun may be terse."""
        if by_kind or self._names_kind(part):
            name = self.kind(figure, part)
            return f"the {name}", name
        name = self.noun(figure, part)
        return (f"the {name}" if self.rng.random() < self.style.article_share else name), name

    def caption(self, figure: Figure, words: int | None = None) -> str:
        """Return one sentence that tells every visible attribute, or the most salient ones in about `words` words."""
        pattern = self.rng.choice(self.style.captions)
        told: dict[str, str] = {}
        text = ""
        for part in _present(figure):
            told[part] = self.thing(figure, part, _attributes(part))
            longer = _fill(pattern, told)
            if text and words is not None and len(longer.split()) > words:
                break
            text = longer
        return text


def _fill(pattern: str, told: dict[str, str]) -> str:
    """Fill a caption pattern `subject|lead:part part|lead:part`, without the leads whose parts are all untold."""
    subject, *groups = pattern.split("|")
    phrases = []
    for group in groups:
        lead, _, names = group.partition(":")
        parts = [told[name] for key in names.split() for name in _names(key) if name in told]
        if parts:
            phrases.append(f"{lead} {_listing(parts)}".strip())
    return f"{subject} {', '.join(phrases)}".strip()


def _names(key: str) -> tuple[str, ...]:
    return ("hair", "hat") if key == "head" else (key,)


def _listing(items: list[str]) -> str:
    return " and ".join(part for part in (", ".join(items[:-1]), items[-1]) if part)


def _present(figure: Figure) -> list[str]:
    """Return the parts that can be seen, most salient first."""
    order = [part_of("head", figure.head), "top", "object", "glasses", "background", "pants", "beard", "shoes"]
    absent = {part for part in ("object", "glasses", "beard") if getattr(figure, KIND_ATTRIBUTE[part]) == NONE}
    return [part for part in order if part not in absent]


def _attributes(part: str) -> tuple[str, ...]:
    count = ("object_count",) if part == "object" else ()
    return (*(table[part] for table in (KIND_ATTRIBUTE, COLOR_ATTRIBUTE) if part in table), *count)


def _words(*parts: str) -> str:
    return " ".join(" ".join(parts).split())


def _article(phrase: str) -> str:
    last = phrase.rsplit(maxsplit=1)[-1]
    if is_plural(last) or last in _MASS_NOUNS or phrase in _MASS_NOUNS:
        return phrase
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"
