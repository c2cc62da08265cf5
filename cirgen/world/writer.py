"""Puts figures and edits into words; a grammar is a writer with its own words and sentence patterns."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from cirgen.world.edits import (
    Edit,
    copy_sources,
    edits,
    puts_on_hat,
    takes_off_hat,
    with_swap,
)
from cirgen.world.figure import Figure
from cirgen.world.lexicon import (
    COLOR,
    COLOR_ATTRIBUTE,
    KIND_ATTRIBUTE,
    LEXICON,
    NUMBERS,
    ORDINALS,
    PARTS,
    Words,
    is_adjective,
    is_plural,
    part_of,
    plural,
)
from cirgen.world.vocabulary import NONE

INTENTS = ("attribute", "addition", "removal", "relation", "count")
"""Kinds of change a text can be asked for; "any" is none of them in particular."""

_RELATIVE_SHARE = 0.5  # of the edits that can be said relative to the reference, so many are
_ELLIPSIS_SHARE = 0.5  # of the runs of like edits, so many share one verb ("remove the hat and the glasses")
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
    background: Patterns
    ellipsis: dict[str, tuple[tuple[str, str], ...]]
    """Edit kind to (pattern of the first edit, pattern of those that follow it)."""
    joins: tuple[tuple[str, str], ...]
    """(between clauses, before the last clause)."""
    openings: Patterns
    opening_share: float
    captions: Patterns
    """`subject|lead:part part|lead:part...`; a lead without anything to tell is left out."""


class Writer:
    """Writes captions and modification texts in one style, with the choices drawn from `rng`."""

    def __init__(self, style: Style, rng: random.Random) -> None:
        self.style = style
        self.rng = rng

    # words

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

    def _before(self, figure: Figure, part: str) -> tuple[str, str]:
        """Return a definite name of `part`, and the same without article; a general noun may be terse."""
        if self._names_kind(part):
            name = self.kind(figure, part)
            return f"the {name}", name
        name = self.noun(figure, part)
        return (f"the {name}" if self.rng.random() < self.style.article_share else name), name

    # clauses

    def clause(self, edit: Edit, reference: Figure, target: Figure, relative: bool | None, pattern: str = "") -> str:
        """Put one edit into words; `relative` None leaves it to chance, `pattern` overrides the choice."""
        if edit.kind == "swap":
            first, second = (self.given(reference, part) for part in edit.parts)
            return self.rng.choice(self.style.swap).format(first=first, second=second)
        if edit.kind == "count":
            return self._count(reference, target)
        sources = [] if pattern else copy_sources(edit, reference, target)
        if sources and (self.rng.random() < _RELATIVE_SHARE if relative is None else relative):
            return self._copy(edit, reference, target, self.rng.choice(sources))
        slots = self._slots(edit, reference, target)
        return (pattern or self.rng.choice(self._patterns(edit, reference, target))).format(**slots)

    def _patterns(self, edit: Edit, reference: Figure, target: Figure) -> Patterns:
        if edit.parts[0] == "background":
            return self.style.recolor + self.style.background
        if puts_on_hat(edit, reference, target):
            return self.style.replace + self.style.put_on_hat
        if takes_off_hat(edit, reference, target):
            return self.style.replace + self.style.take_off_hat
        return {
            "recolor": self.style.recolor,
            "replace": self.style.replace,
            "add": self.style.add,
            "remove": self.style.remove,
        }[edit.kind]

    def _slots(self, edit: Edit, reference: Figure, target: Figure) -> dict[str, str]:
        part = edit.parts[0]
        slots: dict[str, str] = {}
        if edit.kind != "add":
            before = part_of("head", reference.head) if "head" in edit.attributes else part
            old, bare = self._before(reference, before)
            slots |= {"old": old, "old_bare": bare, "subject": old, "be": _be(bare)}
        if edit.kind != "remove":
            slots["new"] = self.thing(target, part, edit.attributes)
        if edit.kind == "recolor":
            slots |= {"color": self.color(target, part), "old_color": self.color(reference, part)}
        return slots

    def _copy(self, edit: Edit, reference: Figure, target: Figure, source: str) -> str:
        source_part = next(part for part, name in COLOR_ATTRIBUTE.items() if name == source)
        same_kind = source_part not in KIND_ATTRIBUTE or _same_kind(source_part, reference, target)
        name = self.given(reference, source_part) if same_kind else self.noun(reference, source_part)
        from_part = {"source": f"the {name}", "source_s": f"the {_possessive(name)}"}
        slots = self._slots(edit, reference, target)
        if edit.kind == "recolor":
            return self.rng.choice(self.style.copy).format(**slots, **from_part)
        plain = self.thing(target, edit.parts[0], edit.attributes, color=False)
        slots["new"] = self.rng.choice(self.style.copied).format(new=plain, **from_part)
        patterns = tuple(p for p in self._patterns(edit, reference, target) if "{new}" in p)
        return self.rng.choice(patterns).format(**slots)

    def _count(self, reference: Figure, target: Figure) -> str:
        word = self.word(LEXICON["object_kind"][reference.object_kind])
        delta = target.count - reference.count
        patterns = self._count_patterns(delta)
        return self.rng.choice(patterns).format(
            n=NUMBERS[abs(delta) - 1],
            noun=word if abs(delta) == 1 else plural(word),
            one=word,
            ordinal=ORDINALS[target.count - 1],
            count=NUMBERS[target.count - 1],
            nouns=word if target.count == 1 else plural(word),
            old_count=NUMBERS[reference.count - 1],
            all_nouns=plural(word),
        )

    def _count_patterns(self, delta: int) -> Patterns:
        if self.rng.random() >= _RELATIVE_SHARE:
            return self.style.total
        if delta < 0:
            return self.style.fewer
        return self.style.more + (self.style.another if delta == 1 else ())

    # whole texts

    def change(self, reference: Figure, target: Figure, intent: str = "any", exhaustive: bool = True) -> str | None:
        """Return an exact modification text; None if nothing changes or `intent` does not apply."""
        found = edits(reference, target)
        swapped = with_swap(found, reference, target)
        if swapped and (intent == "relation" or (intent == "any" and self.rng.random() < _RELATIVE_SHARE)):
            found = swapped
        self.rng.shuffle(found)
        fitting = [edit for edit in found if intent == "any" or _applies(intent, edit, reference, target)]
        if not fitting:
            return None
        rest = [edit for edit in found if edit != fitting[0]]
        if not exhaustive:
            rest = self.rng.sample(rest, self.rng.randint(0, len(rest)))
        if intent == "any":
            return self._join(self._clauses([fitting[0], *rest], reference, target, None))
        lead = self.clause(fitting[0], reference, target, intent == "relation", self._lead(intent, fitting[0]))
        return self._join([lead, *self._clauses(rest, reference, target, None)])

    def _lead(self, intent: str, edit: Edit) -> str:
        """Return the pattern that makes an edit of hair and hat an addition or a removal."""
        if edit.kind != "replace":
            return ""
        choices = {"addition": self.style.put_on_hat, "removal": self.style.take_off_hat}.get(intent)
        return self.rng.choice(choices) if choices else ""

    def _clauses(self, found: list[Edit], reference: Figure, target: Figure, relative: bool | None) -> list[str]:
        """Put the edits into words, some runs of like edits with one verb."""
        clauses: list[str] = []
        for kind, run in _runs(found):
            shared = self.style.ellipsis.get(kind)
            if shared and len(run) > 1 and self.rng.random() < _ELLIPSIS_SHARE:
                lead, follow = self.rng.choice(shared)
                patterns = [lead] + [follow] * (len(run) - 1)
            else:
                patterns = [""] * len(run)
            clauses += [
                self.clause(edit, reference, target, relative, pattern)
                for edit, pattern in zip(run, patterns, strict=True)
            ]
        return clauses

    def _join(self, clauses: list[str]) -> str:
        between, last = self.rng.choice(self.style.joins)
        text = last.join([between.join(clauses[:-1]), clauses[-1]]) if len(clauses) > 1 else clauses[0]
        opening = self.rng.choice(self.style.openings) if self.rng.random() < self.style.opening_share else ""
        return opening + text

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


def _applies(intent: str, edit: Edit, reference: Figure, target: Figure) -> bool:
    """Whether `edit` is of the kind that `intent` asks for."""
    more = edit.kind == "count" and target.count > reference.count
    return {
        "attribute": edit.kind in ("recolor", "replace"),
        "addition": edit.kind == "add" or more or puts_on_hat(edit, reference, target),
        "removal": edit.kind == "remove"
        or (edit.kind == "count" and not more)
        or takes_off_hat(edit, reference, target),
        "relation": edit.kind == "swap" or bool(copy_sources(edit, reference, target)),
        "count": edit.kind == "count",
    }[intent]


def _same_kind(part: str, reference: Figure, target: Figure) -> bool:
    return bool(getattr(reference, KIND_ATTRIBUTE[part]) == getattr(target, KIND_ATTRIBUTE[part]))


def _runs(found: list[Edit]) -> list[tuple[str, list[Edit]]]:
    """Group like edits, in order of first appearance."""
    runs: dict[str, list[Edit]] = {}
    for edit in found:
        runs.setdefault(edit.kind, []).append(edit)
    return list(runs.items())


def _words(*parts: str) -> str:
    return " ".join(" ".join(parts).split())


def _article(phrase: str) -> str:
    last = phrase.rsplit(maxsplit=1)[-1]
    if is_plural(last) or last in _MASS_NOUNS or phrase in _MASS_NOUNS:
        return phrase
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def _be(noun: str) -> str:
    return "are" if is_plural(noun) else "is"


def _possessive(noun: str) -> str:
    return noun + ("'" if is_plural(noun) else "'s")
