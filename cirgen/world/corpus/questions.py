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
from typing import NamedTuple

from cirgen.keys import digest
from cirgen.world import evaluation_grammar, grammar
from cirgen.world.build import Truth
from cirgen.world.corpus.slices import BY_CHANGES, slices
from cirgen.world.edits import edits, takes_off_hat
from cirgen.world.figure import HIDDEN, Figure
from cirgen.world.gallery import Gallery
from cirgen.world.lexicon import LEXICON, plural
from cirgen.world.parser import parse
from cirgen.world.truth import answers
from cirgen.world.vocabulary import NONE

WRITTEN_BY = "rules: cirgen.world.grammar"
EACH: Mapping[str, int] = {"train": 200, "validation": 40, "test": 80}
"""Queries that each stratum of a split has at most."""
STRATA = (*BY_CHANGES, "relation", "count", "negation", "unseen_pair", "open")
ROUNDS = 3
"""How often at most an image is the reference of one stratum."""
TRIES = 8
"""Figures tried for one reference before the next is taken."""
MOST_CHANGES = len(BY_CHANGES)

ANY = "*"
MORE, FEWER = "more", "fewer"
_INTENTS = {"relation": "relation", "count": "count", "negation": "removal"}
"""Stratum to the kind of change that its texts lead with; the others lead with any."""


class Change(NamedTuple):
    """What becomes of one attribute; `after` is `ANY`, `MORE` or `FEWER` where the text leaves the value to choose."""

    attribute: str
    before: str
    after: str


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
    """

    def __init__(self, truth: Truth, members: Sequence[str], split: str, seed: int) -> None:
        self._gallery = Gallery(truth.image_ids, truth.figures)
        self._families = dict(zip(truth.image_ids, truth.families, strict=True))
        self._members = sorted(members)
        self._split = split
        self._seed = seed
        self._siblings: dict[str, list[tuple[Figure, int]]] = {}
        self._names: dict[Figure, list[str]] = {}
        for name, figure in zip(truth.image_ids, truth.figures, strict=True):
            self._names.setdefault(figure, []).append(name)

    def questions(self, each: int) -> list[Question]:
        """Return up to `each` queries of every stratum, no two of one reference with the same answers."""
        found: dict[tuple[str, tuple[str, ...]], Question] = {}
        for stratum in STRATA:
            rng = random.Random(f"text-first {self._split} {stratum} {self._seed}")
            wanted = len(found) + each
            for reference in self._references(rng):
                if len(found) == wanted:
                    break
                question = self._question(reference, stratum, rng)
                if question is not None:
                    found.setdefault((question.reference, question.targets), question)
        return sorted(found.values(), key=lambda question: question.query_id)

    def _references(self, rng: random.Random) -> Iterator[str]:
        for _ in range(ROUNDS):
            yield from rng.sample(self._members, len(self._members))

    def _question(self, reference: str, stratum: str, rng: random.Random) -> Question | None:
        if stratum == "open":
            return self._open(reference, rng)
        one = self._gallery.figure(reference)
        fitting = [figure for figure, count in self._near(reference) if _is_of(stratum, one, figure, count)]
        for other in rng.sample(fitting, min(TRIES, len(fitting))):
            texts = self._texts(one, other, _INTENTS.get(stratum, "any"), rng)
            if texts is None:
                continue
            question = self._asked(reference, texts, other)
            if stratum in question.slices:
                return question
        return None

    def _near(self, reference: str) -> list[tuple[Figure, int]]:
        """Return the figures of the split that are one to three edits from the reference, with their edits."""
        if reference not in self._siblings:
            one, family = self._gallery.figure(reference), self._families[reference]
            others = dict.fromkeys(self._gallery.figure(m) for m in self._members if self._families[m] == family)
            counted = [(other, len(edits(one, other))) for other in others]
            self._siblings[reference] = [pair for pair in counted if 1 <= pair[1] <= MOST_CHANGES]
        return self._siblings[reference]

    def _texts(self, one: Figure, other: Figure, intent: str, rng: random.Random) -> tuple[str, str] | None:
        text = grammar.change(one, other, rng, intent)
        reworded = evaluation_grammar.change(one, other, rng, intent)
        return (text, reworded) if text and reworded else None

    def _asked(self, reference: str, texts: tuple[str, str], other: Figure) -> Question:
        """Return the query that asks for one figure."""
        one = self._gallery.figure(reference)
        targets = tuple(self._names[other])
        changes = tuple(Change(name, getattr(one, name), getattr(other, name)) for name in one.differences(other))
        return self._checked(Question(reference, *texts, targets, changes, tuple(slices(parse(texts[0]), one, other))))

    def _open(self, reference: str, rng: random.Random) -> Question | None:
        """Return a query that several figures answer; None where the reference allows none."""
        one = self._gallery.figure(reference)
        edit = rng.choice(_open_edits(one) or [None])
        if edit is None:
            return None
        figures = [figure for figure in self._names if edit.answers(one, figure)]
        if len(figures) < 2:
            return None
        others = sorted(name for figure in figures for name in self._names[figure])
        targets = tuple(rng.sample(others, len(others))[:1])
        targets += tuple(name for name in others if name not in targets)
        text, reworded = (rng.choice(texts) for texts in (edit.texts, edit.reworded))
        claims, other = parse(text), self._gallery.figure(targets[0])
        found = tuple(slices(claims, one, other, is_open=True))
        return self._checked(Question(reference, text, reworded, targets, edit.changes, found))

    def _checked(self, question: Question) -> Question:
        """Return the query, once the truth's own reading of either text finds the same answers."""
        for text in (question.text, question.reworded):
            found = answers(self._gallery, question.reference, text, question.targets[0])
            if set(found) != set(question.targets):
                raise ValueError(f"'{text}' of {question.reference} has other answers than the edit that it words")
        return question


def _is_of(stratum: str, one: Figure, other: Figure, count: int) -> bool:
    """Whether the step from one figure to another can be asked for in a stratum."""
    if stratum in BY_CHANGES:
        return count == 1 + BY_CHANGES.index(stratum)
    if stratum == "unseen_pair":
        return one.shows_held_out_pair() or other.shows_held_out_pair()
    if stratum == "negation":
        return any(edit.kind == "remove" or takes_off_hat(edit, one, other) for edit in edits(one, other))
    return True


class _OpenEdit(NamedTuple):
    """An edit that leaves a value to choose, and ways to say it."""

    changes: tuple[Change, ...]
    texts: tuple[str, ...]
    reworded: tuple[str, ...]

    def answers(self, one: Figure, other: Figure) -> bool:
        """Whether a figure is the reference after the edit: changed in what the edit speaks of, and nowhere else."""
        return set(one.differences(other)) == {change.attribute for change in self.changes} and all(
            answers_to(change, str(getattr(other, change.attribute))) for change in self.changes
        )


def answers_to(change: Change, value: str) -> bool:
    """Whether a value is what an attribute may become."""
    if change.after == ANY:
        return value not in (change.before, NONE, HIDDEN)
    if change.after in (MORE, FEWER):
        return bool(value) and (int(value) > int(change.before)) == (change.after == MORE) and value != change.before
    return value == change.after


_ADD_GLASSES = _OpenEdit(
    (Change("glasses", NONE, ANY),),
    ("add glasses", "give it glasses", "with glasses"),
    ("has glasses", "gets eyewear", "eyewear added"),
)
_ADD_BEARD = _OpenEdit(
    (Change("beard", NONE, ANY),),
    ("add facial hair", "let it have facial hair", "with facial hair"),
    ("has whiskers", "gets whiskers", "whiskers added"),
)


def _open_edits(one: Figure) -> list[_OpenEdit]:
    """Return the edits of a figure that leave a value to choose."""
    found = [edit for edit in (_ADD_GLASSES, _ADD_BEARD) if getattr(one, edit.changes[0].attribute) == NONE]
    if one.wears_hat:
        changes = (
            Change("head", one.head, ANY),
            Change("hair_color", HIDDEN, ANY),
            Change("hat_color", one.hat_color, HIDDEN),
        )
        found.append(_OpenEdit(changes, ("take off the hat", "without the hat"), ("no headgear", "lost the headgear")))
    return [*found, *(_other_number(one, after) for after in (MORE, FEWER) if one.count)]


def _other_number(one: Figure, after: str) -> _OpenEdit:
    words = LEXICON["object_kind"][one.object_kind]
    first, second = plural(words.first[0]), plural(words.second[0])
    texts = (f"{after} {first}", f"there should be {after} {first}")
    return _OpenEdit((Change("object_count", one.object_count, after),), texts, (f"has {after} {second}",))
