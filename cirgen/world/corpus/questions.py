"""Text-first queries: an edit of a figure is chosen, put into words, and then every image that answers is found.

An image answers if it is the reference changed as the text says, and not otherwise. Edits are drawn from those that at
least one image of the reference's split answers, so many for each slice. Texts are written by the world's grammars:
`text` in the first, which the embedded models learnt, `reworded` in the second, which nothing was trained on.

`open` queries leave a value to choose ("add glasses"): different figures answer them, and the edit is drawn first in
the plain sense: there is no target until the answers are looked up.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cirgen.keys import digest
from cirgen.world.build import Truth
from cirgen.world.corpus.figures import answers_to
from cirgen.world.corpus.slices import BY_CHANGES, slices
from cirgen.world.corpus.subject import Change, OpenEdit, Subject
from cirgen.world.gallery import Gallery
from cirgen.world.truth import answers

EACH: Mapping[str, int] = {"train": 200, "validation": 40, "test": 80}
"""Queries that each stratum of a split has at most."""
ROUNDS = 3
"""How often at most an image is the reference of one stratum."""
TRIES = 8
"""Figures tried for one reference before the next is taken."""
MOST_CHANGES = len(BY_CHANGES)


@dataclass(frozen=True)
class Question:
    """One text-first query, with every right answer."""

    reference: str
    text: str
    reworded: str
    targets: tuple[str, ...]
    """Every image that answers; the first stands for them where one is needed."""
    changes: tuple[Change, ...]
    slices: tuple[str, ...]

    @property
    def query_id(self) -> str:
        """A hash of what is asked, of what."""
        return digest("text-first", self.reference, self.text)


class Asker:
    """Draws queries among the images of one split.

    Args:
        truth: all images; other splits' count as wrong answers.
        members: image ids of the split.
        split: its name.
        seed: of every draw.
        subject: what the images show.
    """

    def __init__(self, truth: Truth, members: Sequence[str], split: str, seed: int, subject: Subject) -> None:
        self._gallery = Gallery(truth.image_ids, truth.figures, truth.world)
        self._subject = subject
        self._families = dict(zip(truth.image_ids, truth.families, strict=True))
        self._members = sorted(members)
        self._split = split
        self._seed = seed
        self._siblings: dict[str, list[tuple[Any, int]]] = {}
        self._names: dict[Any, list[str]] = {}
        for name, figure in zip(truth.image_ids, truth.figures, strict=True):
            self._names.setdefault(figure, []).append(name)

    def questions(self, each: int) -> list[Question]:
        """Return up to `each` queries of every stratum, no two of one reference with the same answers."""
        found: dict[tuple[str, frozenset[str]], Question] = {}
        for stratum in self._subject.strata:
            rng = random.Random(f"text-first {self._split} {stratum} {self._seed}")
            wanted = len(found) + each
            for reference in self._references(rng):
                if len(found) == wanted:
                    break
                question = self._question(reference, stratum, rng)
                if question is not None:
                    found.setdefault((question.reference, frozenset(question.targets)), question)
        return sorted(found.values(), key=lambda question: question.query_id)

    def _references(self, rng: random.Random) -> Iterator[str]:
        for _ in range(ROUNDS):
            yield from rng.sample(self._members, len(self._members))

    def _question(self, reference: str, stratum: str, rng: random.Random) -> Question | None:
        if stratum == "open":
            return self._open(reference, rng)
        one = self._gallery.figure(reference)
        fitting = [figure for figure, count in self._near(reference) if self._is_of(stratum, one, figure, count)]
        for other in rng.sample(fitting, min(TRIES, len(fitting))):
            texts = self._texts(one, other, self._subject.intents.get(stratum, "any"), rng)
            if texts is None:
                continue
            question = self._asked(reference, texts, other)
            if stratum in question.slices:
                return question
        return None

    def _is_of(self, stratum: str, one: Any, other: Any, count: int) -> bool:
        """Whether the step from one figure to another can be asked for in a stratum."""
        if stratum in BY_CHANGES:
            return count == 1 + BY_CHANGES.index(stratum)
        if stratum == "unseen_pair":
            return bool(one.shows_held_out_pair() or other.shows_held_out_pair())
        return stratum != "negation" or self._subject.removes(one, other)

    def _near(self, reference: str) -> list[tuple[Any, int]]:
        """Return the figures of the split that are one to three edits from the reference, with their edits."""
        if reference not in self._siblings:
            one, family = self._gallery.figure(reference), self._families[reference]
            others = dict.fromkeys(self._gallery.figure(m) for m in self._members if self._families[m] == family)
            counted = [(other, len(self._subject.world.edits(one, other))) for other in others]
            self._siblings[reference] = [pair for pair in counted if 1 <= pair[1] <= MOST_CHANGES]
        return self._siblings[reference]

    def _texts(self, one: Any, other: Any, intent: str, rng: random.Random) -> tuple[str, str] | None:
        text = self._subject.world.change(one, other, rng, intent)
        reworded = self._subject.world.reworded(one, other, rng, intent)
        return (text, reworded) if text and reworded else None

    def _asked(self, reference: str, texts: tuple[str, str], other: Any) -> Question:
        """Return the query that asks for one figure."""
        one = self._gallery.figure(reference)
        targets = tuple(self._names[other])
        changes = tuple(Change(name, getattr(one, name), getattr(other, name)) for name in one.differences(other))
        claims = self._subject.world.parse(texts[0])
        found = tuple(slices(self._subject, claims, one, other))
        return self._checked(Question(reference, *texts, targets, changes, found))

    def _open(self, reference: str, rng: random.Random) -> Question | None:
        """Return a query that several figures answer; None where the reference allows none."""
        one = self._gallery.figure(reference)
        edit = rng.choice([*self._subject.open_edits(one)] or [None])
        if edit is None:
            return None
        figures = [figure for figure in self._names if _answers(edit, one, figure)]
        if len(figures) < 2:
            return None
        others = sorted(name for figure in figures for name in self._names[figure])
        targets = tuple(rng.sample(others, len(others))[:1])
        targets += tuple(name for name in others if name not in targets)
        text, reworded = (rng.choice(texts) for texts in (edit.texts, edit.reworded))
        claims, other = self._subject.world.parse(text), self._gallery.figure(targets[0])
        found = tuple(slices(self._subject, claims, one, other, is_open=True))
        return self._checked(Question(reference, text, reworded, targets, edit.changes, found))

    def _checked(self, question: Question) -> Question:
        """Return the query, once the truth's own reading of either text finds the same answers."""
        for text in (question.text, question.reworded):
            found = answers(self._gallery, question.reference, text, question.targets[0])
            if set(found) != set(question.targets):
                raise ValueError(f"'{text}' of {question.reference} has other answers than the edit that it words")
        return question


def _answers(edit: OpenEdit, one: Any, other: Any) -> bool:
    """Whether a figure is the reference after the edit: changed in what the edit speaks of, and nowhere else."""
    return set(one.differences(other)) == {change.attribute for change in edit.changes} and all(
        answers_to(change, str(getattr(other, change.attribute))) for change in edit.changes
    )
