"""Puts furniture, and the edits between two pieces, into words."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal, NamedTuple

from cirgen.world.figure import HIDDEN
from cirgen.world.furniture.item import Item
from cirgen.world.furniture.vocabulary import PARTS
from cirgen.world.furniture.words import KINDS, VIEWS
from cirgen.world.furniture.words import PARTS as PART_WORDS
from cirgen.world.lexicon import COLOR, LEXICON, Words, is_plural

Patterns = tuple[str, ...]
EditKind = Literal["recolor", "replace", "turn", "swap"]

INTENTS = ("attribute", "relation")
"""Kinds of change that a text can be asked for here; nothing is added, removed or counted."""

_RELATIVE_SHARE = 0.4
"""Of the edits that can be said relative to the reference, so many are."""


@dataclass(frozen=True)
class Style:
    """Sentence patterns of a grammar.

    Slots: {part} the noun of a part, {be} its verb, {color} and {old_color}, {new} and {old} a part with its colour,
    {source} the part whose colour is copied and {source_s} its possessive, {first} and {second} parts that swap;
    {kind} and {old_kind} with their articles in the pattern as {a_kind}; {view} and {old_view}.
    """

    tongue: Literal["first", "second"]
    plain_share: float
    """Share of words taken from the plainest word of the first tongue, which people use too."""
    recolor: Patterns
    copy: Patterns
    swap: Patterns
    replace: Patterns
    turn: Patterns
    joins: tuple[tuple[str, str], ...]
    openings: Patterns
    opening_share: float
    captions: Patterns


class Edit(NamedTuple):
    """One edit, and the attributes it accounts for."""

    kind: EditKind
    attributes: tuple[str, ...]


def edits(reference: Item, target: Item) -> list[Edit]:
    """Return the edits that together turn `reference` into `target`, a swap as two recolors.

    A part that the target alone has is recoloured too: its colour must be told.
    """
    changed = reference.differences(target)
    found = [Edit("replace", ("kind",))] if "kind" in changed else []
    found += [Edit("recolor", (name,)) for name in changed if name in PARTS and getattr(target, name) != HIDDEN]
    return [*found, *([Edit("turn", ("view",))] if "view" in changed else [])]


class Writer:
    """Writes captions and modification texts in one style, with the choices drawn from `rng`."""

    def __init__(self, style: Style, rng: random.Random) -> None:
        self.style = style
        self.rng = rng

    def word(self, words: Words) -> str:
        """Return one phrase of `words` in the tongue."""
        if self.style.tongue == "first":
            return self.rng.choice(words.first)
        return words.first[0] if self.rng.random() < self.style.plain_share else self.rng.choice(words.second)

    def color(self, value: str) -> str:
        """Return a word for a colour."""
        return self.word(LEXICON[COLOR][value])

    def caption(self, item: Item, words: int | None = None) -> str:
        """Return one sentence that tells every attribute, or the most salient ones in about `words` words."""
        parts = [_article(f"{self.color(getattr(item, part))} {self.part(part)}") for part in item.parts]
        slots = {"a_kind": _article(self.word(KINDS[item.kind])), "view": self.word(VIEWS[item.view])}
        kind, with_parts, view = self.rng.choice(self.style.captions).format(**slots, parts="{parts}").split("|")
        whole = [with_parts.format(parts=" and ".join(parts[:number])) for number in range(1, len(parts) + 1)]
        texts = [kind, *(f"{kind} {told}" for told in whole), f"{kind} {whole[-1]}, {view}"]
        if words is None:
            return texts[-1]
        return [texts[0], *(text for text in texts[1:] if len(text.split()) <= words)][-1]

    def part(self, name: str) -> str:
        """Return a noun of a part."""
        return self.word(PART_WORDS[name])

    def change(self, reference: Item, target: Item, intent: str = "any", exhaustive: bool = True) -> str | None:
        """Return an exact modification text; None if nothing changes or `intent` does not apply."""
        clauses = self.clauses(reference, target, intent, exhaustive)
        return self.join(clauses) if clauses else None

    def clauses(self, reference: Item, target: Item, intent: str = "any", exhaustive: bool = True) -> list[str]:
        """Return the clauses of a modification text, each readable by itself."""
        found = self._edits(reference, target, intent)
        if intent == "relation" and not any(_relates(edit, reference, target) for edit in found):
            return []
        if intent not in ("any", *INTENTS):
            return []
        if intent == "relation":
            found.sort(key=lambda edit: not _relates(edit, reference, target))
        if not exhaustive and len(found) > 1:
            found = found[: self.rng.randint(1, len(found))]
        return [
            self._clause(edit, reference, target, relative=intent == "relation" and place == 0)
            for place, edit in enumerate(found)
        ]

    def join(self, clauses: list[str]) -> str:
        """Join clauses to one text."""
        between, last = self.rng.choice(self.style.joins)
        text = last.join([between.join(clauses[:-1]), clauses[-1]]) if len(clauses) > 1 else clauses[0]
        opening = self.rng.choice(self.style.openings) if self.rng.random() < self.style.opening_share else ""
        return opening + text

    def _edits(self, reference: Item, target: Item, intent: str) -> list[Edit]:
        found = edits(reference, target)
        swapped = _with_swap(found, reference, target)
        if swapped and (intent == "relation" or (intent == "any" and self.rng.random() < _RELATIVE_SHARE)):
            found = swapped
        self.rng.shuffle(found)
        return found

    def _clause(self, edit: Edit, reference: Item, target: Item, relative: bool) -> str:
        name = edit.attributes[0]
        if edit.kind == "swap":
            first, second = (self.part(part) for part in edit.attributes)
            return self.rng.choice(self.style.swap).format(first=first, second=second)
        if edit.kind == "replace":
            old, new = self.word(KINDS[reference.kind]), self.word(KINDS[target.kind])
            return self.rng.choice(self.style.replace).format(a_kind=_article(new), kind=new, old_kind=old)
        if edit.kind == "turn":
            old, new = self.word(VIEWS[reference.view]), self.word(VIEWS[target.view])
            return self.rng.choice(self.style.turn).format(view=new, old_view=old)
        if copy_sources(edit, reference, target) and (relative or self.rng.random() < _RELATIVE_SHARE):
            return self._copy(name, copy_sources(edit, reference, target)[0])
        return self._recolor(name, getattr(reference, name), getattr(target, name))

    def _copy(self, name: str, source: str) -> str:
        part, other = self.part(name), self.part(source)
        return self.rng.choice(self.style.copy).format(
            part=part, be=_be(part), source=other, source_s=other + ("'" if is_plural(other) else "'s")
        )

    def _recolor(self, name: str, before: str, after: str) -> str:
        part, color = self.part(name), self.color(after)
        patterns = self.style.recolor
        if before == HIDDEN:  # the reference has no such part to speak of
            patterns = tuple(p for p in patterns if not any(slot in p for slot in ("{old", "{part}")))
        slots = {"part": part, "be": _be(part), "color": color, "new": _article(f"{color} {part}")}
        old = self.color(before) if before != HIDDEN else ""
        return self.rng.choice(patterns).format(**slots, old_color=old, old=f"{old} {part}")


def copy_sources(edit: Edit, reference: Item, target: Item) -> list[str]:
    """Return the parts whose colour, the same in both, is the one that `edit` gives its part."""
    name = edit.attributes[0]
    if edit.kind != "recolor" or getattr(reference, name) == HIDDEN:
        return []
    wanted = getattr(target, name)
    return [
        part for part in target.parts if part != name and getattr(reference, part) == wanted == getattr(target, part)
    ]


def _relates(edit: Edit, reference: Item, target: Item) -> bool:
    return edit.kind == "swap" or bool(copy_sources(edit, reference, target))


def _with_swap(found: list[Edit], reference: Item, target: Item) -> list[Edit] | None:
    """Return `found` with two recolors that exchange their colours made one swap, or None."""
    names = [edit.attributes[0] for edit in found if edit.kind == "recolor"]
    if len(names) != 2 or any(getattr(reference, name) == HIDDEN for name in names):
        return None
    one, other = names
    if getattr(reference, one) != getattr(target, other) or getattr(reference, other) != getattr(target, one):
        return None
    return [Edit("swap", (one, other)), *(edit for edit in found if edit.kind != "recolor")]


def _be(noun: str) -> str:
    return "are" if is_plural(noun) else "is"


def _article(phrase: str) -> str:
    if is_plural(phrase) and not phrase.endswith(" drawers"):
        return phrase
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"
