"""Puts the edits between two figures into words."""

from __future__ import annotations

import random
from typing import NamedTuple

from cirgen.world.edits import Edit, copy_sources, edits, puts_on_hat, takes_off_hat, with_swap
from cirgen.world.figure import Figure
from cirgen.world.lexicon import (
    COLOR_ATTRIBUTE,
    KIND_ATTRIBUTE,
    LEXICON,
    NUMBERS,
    ORDINALS,
    is_plural,
    part_of,
    plural,
)
from cirgen.world.speech import Patterns, Speaker, Style

INTENTS = ("attribute", "addition", "removal", "relation", "count")
"""Kinds of change a text can be asked for; "any" is none of them in particular."""

_RELATIVE_SHARE = 0.5  # of the edits that can be said relative to the reference, so many are
_VAGUE_SHARE = 0.5  # of the numbers that may be left open, so many are ("more balls")
_ELLIPSIS_SHARE = 0.5  # of the runs of like edits, so many share one verb ("remove the hat and the glasses")


class Clause(NamedTuple):
    """One edit in words."""

    text: str
    """As it stands in the whole text: it may borrow the verb of the clause before it."""
    alone: str
    """As it is said by itself."""


class Writer(Speaker):
    """Writes modification texts for one pair in one style, with the choices drawn from `rng`."""

    def __init__(self, style: Style, rng: random.Random, reference: Figure, target: Figure) -> None:
        super().__init__(style, rng)
        self.reference = reference
        self.target = target
        self.exhaustive = True
        self.after_removal = False
        """Whether the last clause removed something: a bare thing after it would read as removed too."""

    def change(self, intent: str = "any", exhaustive: bool = True) -> str | None:
        """Return an exact modification text; None if nothing changes or `intent` does not apply."""
        clauses = self.clauses(intent, exhaustive)
        return self.join(clauses) if clauses else None

    def clauses(self, intent: str = "any", exhaustive: bool = True) -> list[Clause]:
        """Return the clauses of a modification text; none if nothing changes or `intent` does not apply."""
        self.exhaustive = exhaustive
        found = self._edits(intent)
        fitting = [edit for edit in found if intent == "any" or self._applies(intent, edit)]
        if not fitting:
            return []
        rest = [edit for edit in found if edit != fitting[0]]
        if not exhaustive:
            rest = self.rng.sample(rest, self.rng.randint(0, len(rest)))
        if intent == "any":
            return self._clauses([fitting[0], *rest])
        lead = self.clause(fitting[0], intent == "relation", self._lead(intent, fitting[0]))
        return [Clause(lead, lead), *self._clauses(rest)]

    def _edits(self, intent: str) -> list[Edit]:
        """Return the edits of the pair in random order, two of them as a swap where one can be said."""
        found = edits(self.reference, self.target)
        swapped = with_swap(found, self.reference, self.target)
        if swapped and (intent == "relation" or (intent == "any" and self.rng.random() < _RELATIVE_SHARE)):
            found = swapped
        self.rng.shuffle(found)
        return found

    def _applies(self, intent: str, edit: Edit) -> bool:
        """Whether `edit` is of the kind that `intent` asks for."""
        pair = (edit, self.reference, self.target)
        more = edit.kind == "count" and self.target.count > self.reference.count
        return {
            "attribute": edit.kind in ("recolor", "replace"),
            "addition": edit.kind == "add" or more or puts_on_hat(*pair),
            "removal": edit.kind == "remove" or (edit.kind == "count" and not more) or takes_off_hat(*pair),
            "relation": edit.kind == "swap" or bool(copy_sources(*pair)),
            "count": edit.kind == "count",
        }[intent]

    def _lead(self, intent: str, edit: Edit) -> str:
        """Return the pattern that makes an edit of hair and hat an addition or a removal."""
        if edit.kind != "replace":
            return ""
        choices = {"addition": self.style.put_on_hat, "removal": self.style.take_off_hat}.get(intent)
        return self.rng.choice(choices) if choices else ""

    def _clauses(self, found: list[Edit]) -> list[Clause]:
        """Put the edits into words, some runs of like edits with one verb."""
        clauses: list[Clause] = []
        for kind, run in _runs(found):
            patterns = self._shared_verb(kind) if len(run) > 1 and self.rng.random() < _ELLIPSIS_SHARE else ("", "")
            first = self.clause(run[0], pattern=patterns[0])
            clauses.append(Clause(first, first))
            clauses += [self._following(edit, patterns) for edit in run[1:]]
        return clauses

    def _following(self, edit: Edit, patterns: tuple[str, str]) -> Clause:
        """Put an edit of a run into words, with the verb of the run's first where that is shared."""
        if not patterns[1]:
            text = self.clause(edit)
            return Clause(text, text)
        slots = self._slots(edit)
        self.after_removal = edit.kind == "remove"
        return Clause(patterns[1].format(**slots), patterns[0].format(**slots))

    def _shared_verb(self, kind: str) -> tuple[str, str]:
        """Return the pattern of the first edit of a run, and that of the others."""
        shared = [pair for pair in self.style.ellipsis.get(kind, ()) if self._may_follow(pair[0])]
        return self.rng.choice(shared) if shared else ("", "")

    def join(self, clauses: list[Clause]) -> str:
        """Join clauses to one text."""
        between, last = self.rng.choice(self.style.joins)
        texts = [clause.text for clause in clauses]
        text = last.join([between.join(texts[:-1]), texts[-1]]) if len(texts) > 1 else texts[0]
        opening = self.rng.choice(self.style.openings) if self.rng.random() < self.style.opening_share else ""
        return opening + text

    def clause(self, edit: Edit, relative: bool | None = None, pattern: str = "") -> str:
        """Put one edit into words; `relative` None leaves it to chance, `pattern` overrides the choice."""
        sources = [] if pattern else copy_sources(edit, self.reference, self.target)
        if edit.kind == "swap":
            text = self._swap(edit)
        elif edit.kind == "count":
            text = self._count()
        elif sources and (self.rng.random() < _RELATIVE_SHARE if relative is None else relative):
            text = self._copy(edit, self.rng.choice(sources))
        else:
            text = (pattern or self.choose(self._patterns(edit))).format(**self._slots(edit))
        fewer = edit.kind == "count" and self.target.count < self.reference.count
        self.after_removal = edit.kind == "remove" or fewer
        return text

    def choose(self, patterns: Patterns) -> str:
        """Choose a pattern that can be told apart from the clause before it."""
        return self.rng.choice([pattern for pattern in patterns if self._may_follow(pattern)])

    def _may_follow(self, pattern: str) -> bool:
        return not (self.after_removal and pattern.startswith("{"))

    def _patterns(self, edit: Edit) -> Patterns:
        style = self.style
        if edit.parts[0] == "background":
            return style.recolor + style.background
        if puts_on_hat(edit, self.reference, self.target):
            return style.replace + style.put_on_hat
        if takes_off_hat(edit, self.reference, self.target):
            return style.replace + style.take_off_hat
        patterns = {"recolor": style.recolor, "replace": style.replace, "add": style.add, "remove": style.remove}
        return patterns[edit.kind]

    def _slots(self, edit: Edit) -> dict[str, str]:
        part = edit.parts[0]
        slots: dict[str, str] = {}
        if edit.kind != "add":
            before = part_of("head", self.reference.head) if "head" in edit.attributes else part
            old, bare = self.before(self.reference, before, by_kind=edit.kind == "replace" and before == part)
            slots |= {"old": old, "old_bare": bare, "subject": old, "be": "are" if is_plural(bare) else "is"}
        if edit.kind != "remove":
            slots["new"] = self.thing(self.target, part, edit.attributes)
        if edit.kind == "recolor":
            slots |= {"color": self.color(self.target, part), "old_color": self.color(self.reference, part)}
        return slots

    def _swap(self, edit: Edit) -> str:
        first, second = (self.given(self.reference, part) for part in edit.parts)
        return self.choose(self.style.swap).format(first=first, second=second)

    def _copy(self, edit: Edit, source: str) -> str:
        name = self._source(next(part for part, attribute in COLOR_ATTRIBUTE.items() if attribute == source))
        from_part = {"source": f"the {name}", "source_s": f"the {name}" + ("'" if is_plural(name) else "'s")}
        slots = self._slots(edit)
        if edit.kind == "recolor":
            return self.choose(self.style.copy).format(**slots, **from_part)
        plain = self.thing(self.target, edit.parts[0], edit.attributes, color=False)
        slots["new"] = self.rng.choice(self.style.copied).format(new=plain, **from_part)
        return self.choose(tuple(p for p in self._patterns(edit) if "{new}" in p)).format(**slots)

    def _source(self, part: str) -> str:
        """Name the part whose colour is copied, by its kind only where the kind stays."""
        kind = KIND_ATTRIBUTE.get(part)
        stays = kind is None or getattr(self.reference, kind) == getattr(self.target, kind)
        return self.given(self.reference, part) if stays else self.noun(self.reference, part)

    def _count(self) -> str:
        before, now = self.reference.count, self.target.count
        word = self.word(LEXICON["object_kind"][self.reference.object_kind])
        return self.choose(self._count_patterns(now - before)).format(
            n=NUMBERS[abs(now - before) - 1],
            noun=word if abs(now - before) == 1 else plural(word),
            one=word,
            ordinal=ORDINALS[now - 1],
            count=NUMBERS[now - 1],
            nouns=word if now == 1 else plural(word),
            old_count=NUMBERS[before - 1],
            all_nouns=plural(word),
        )

    def _count_patterns(self, delta: int) -> Patterns:
        vague = self.style.vague[delta < 0]
        if vague and not self.exhaustive and self.rng.random() < _VAGUE_SHARE:
            return vague
        if self.rng.random() >= _RELATIVE_SHARE:
            return self.style.total
        if delta < 0:
            return self.style.fewer
        return self.style.more + (self.style.another if delta == 1 else ())


def _runs(found: list[Edit]) -> list[tuple[str, list[Edit]]]:
    """Group like edits, in order of first appearance."""
    runs: dict[str, list[Edit]] = {}
    for edit in found:
        runs.setdefault(edit.kind, []).append(edit)
    return list(runs.items())
