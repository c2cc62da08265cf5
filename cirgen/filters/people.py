"""Texts about what people are rather than what a picture shows of them: skin, age, ethnicity, gender, body and so on.

A corpus that leaves such words out (MTCIR, which also blurs faces, does) cannot teach a model to search people by
them. It is a list of English words (`people.yaml`, beside this file) with a little grammar: "black" says something
of a person in "a black man", not in "a black shirt". What no list knows passes; so do attributes that are told in
other words ("someone with wrinkles").
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple, Self, get_args

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from cirgen.errors import UserError, one_line
from cirgen.filters.base import Filter, FilterSettings, Score, ScoreNote
from cirgen.filters.tools import Tools
from cirgen.progress import Progress, Silent
from cirgen.resources import local_path, read_file
from cirgen.settings import Name
from cirgen.yaml_text import NotYamlError, read_yaml

Kind = Literal["skin", "age", "ethnicity", "gender", "body", "disability", "religion"]
KINDS: tuple[Kind, ...] = get_args(Kind)
SHIPPED = Path(__file__).with_name("people.yaml")

_LINKING = "is|are|was|were|be|being|looks?|seems?|becomes?|appears?|who|that|gets?"
_DEGREE = "a bit|a lot|a little|more|most|less|very|much|slightly|somewhat|quite|rather|too|so|far"
_END = "and|or|but|with|in|on|than|instead|rather|now|too"
"""What may follow an attribute behind a person: "the man old coat" is none."""
_CHANGED = r"(?:instead of|rather than|in place of|as opposed to|(?:in)?to|becomes?)"
_REPLACED = r"(?:replac|swap|switch|exchang|substitut)\S*(?: \S+){0,3}?"
_ONE = "(?: (?:a|an|the|one|two|three|some))?"


class PeopleSettings(FilterSettings):
    """Which attributes of people no text may speak of."""

    name: Literal["people"] = "people"
    drop: tuple[Kind, ...] = KINDS
    words: Name | None = None
    """YAML file of more words, in the form of the shipped one (`cirgen/filters/people.yaml`)."""
    replace: bool = False
    """Whether that file stands in the place of the shipped one."""

    @model_validator(mode="after")
    def _something_to_replace_by(self) -> Self:
        if self.replace and self.words is None:
            raise ValueError("replace needs words: the file that stands in the place of the shipped list")
        return self

    def contents(self, progress: Progress) -> dict[str, str]:  # noqa: ARG002
        """Return the hash of the file of words."""
        return {} if self.words is None else {"words": _content(self.words)}

    def check_files(self) -> None:
        """Read the file of words."""
        if self.words is not None:
            _read(self.words)


class Words(BaseModel):
    """The words of one kind."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    alone: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    opposites: tuple[tuple[str, ...], ...] = ()

    def plus(self, other: Words) -> Words:
        """Return the words of both."""
        return Words(
            alone=self.alone + other.alone,
            beside=self.beside + other.beside,
            opposites=self.opposites + other.opposites,
        )


class WordList(BaseModel):
    """A file of words."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    people: tuple[str, ...] = ()
    pronouns: tuple[str, ...] = ()
    exceptions: tuple[str, ...] = ()
    kinds: dict[Kind, Words] = {}

    def plus(self, other: WordList) -> WordList:
        """Return the words of both files."""
        return WordList(
            people=self.people + other.people,
            pronouns=self.pronouns + other.pronouns,
            exceptions=self.exceptions + other.exceptions,
            kinds={kind: self.kinds.get(kind, Words()).plus(other.kinds.get(kind, Words())) for kind in KINDS},
        )


class People(Filter):
    """Rejects texts that speak of attributes of people."""

    Settings = PeopleSettings
    score_notes: ClassVar[Mapping[str, ScoreNote]] = {
        kind: ScoreNote(f"words of the text about people's {kind}", "times, from 0", "any, where in `drop`")
        for kind in KINDS
    }
    decides_on = ()

    def __init__(self, settings: PeopleSettings) -> None:
        self.settings = settings

    def scoring(self) -> dict[str, object]:
        """Return what the word lists hold."""
        return self._lists

    def score(self, triplets: pa.RecordBatch, tools: Tools) -> list[Score]:  # noqa: ARG002
        """Count words about people, by kind."""
        return [self._patterns.measured(text) for text in triplets.column("text").to_pylist()]

    def decide(self, triplets: pa.Table) -> list[str]:
        """Reject the first kind that a text speaks of."""
        return [
            next((f"speaks of {kind}" for kind in KINDS if kind in self.settings.drop and row[kind]), "")
            for row in triplets.select(list(KINDS)).to_pylist()
        ]

    @cached_property
    def _lists(self) -> dict[str, object]:
        shipped = "" if self.settings.replace else _content(str(SHIPPED))
        return {"shipped": shipped, **self.settings.contents(Silent())}

    @cached_property
    def _patterns(self) -> _Patterns:
        shipped = WordList() if self.settings.replace else _read(str(SHIPPED))
        return _compiled(shipped.plus(_read(self.settings.words)) if self.settings.words else shipped)


class _Kind(NamedTuple):
    kind: Kind
    patterns: tuple[re.Pattern[str], ...]


class _Patterns(NamedTuple):
    exceptions: re.Pattern[str]
    kinds: tuple[_Kind, ...]

    def measured(self, text: str) -> Score:
        plain = self.exceptions.sub(" ~ ", _plain(text))
        found = {kind: _matches(patterns, plain) for kind, patterns in self.kinds}
        values = {str(kind): float(len(found.get(kind, ()))) for kind in KINDS}
        return Score(values, "; ".join(match for kind in KINDS for match in found.get(kind, ())))


def _matches(patterns: Iterable[re.Pattern[str]], text: str) -> list[str]:
    return [" ".join(match.group().split()) for pattern in patterns for match in pattern.finditer(text)]


def _plain(text: str) -> str:
    """Return a text in lower case, hyphens as spaces and words and marks with one space between."""
    return " ".join(re.findall(r"[^\W_]+(?:['’]s?)?|[^\w\s-]", text.casefold().replace("’", "'")))


def _any(words: Iterable[str]) -> str:
    longest_first = sorted({_plain(word) for word in words}, key=lambda word: (-len(word), word))
    return "|".join(map(re.escape, longest_first)) or r"(?!)"


def _whole(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\S)(?:{pattern})(?!\S)")


def _compiled(listed: WordList) -> _Patterns:
    person = _any(listed.people)
    meant = _any((*listed.people, *listed.pronouns))
    attribute = _any(word for words in listed.kinds.values() for word in words.beside)
    kinds = tuple(
        _Kind(kind, (*_alone(words), *_beside(kind, words, person, meant, attribute), *_opposite(words)))
        for kind, words in listed.kinds.items()
    )
    return _Patterns(_whole(_any(listed.exceptions)), kinds)


def _alone(words: Words) -> Iterator[re.Pattern[str]]:
    if words.alone:
        yield _whole(_any(words.alone))


def _beside(kind: Kind, words: Words, person: str, meant: str, attribute: str) -> Iterator[re.Pattern[str]]:
    """Yield what an attribute before a person, and one behind it, look like.

    A "black woman's shirt" is a black shirt, in the catalogues where such texts are written; an "old woman's hat" is
    no old hat.
    """
    if not words.beside:
        return
    own = _any(words.beside)
    joined = rf"(?:(?: (?:,|and|or))*(?: (?:very|more|much|slightly))* (?:{attribute}))*"
    owner = "" if kind == "skin" else "(?:'s)?"
    yield _whole(rf"(?:{own}){joined} (?:{person}){owner}")
    link = rf"(?: (?:{_LINKING}))*(?: (?:{_DEGREE}))*"
    yield _whole(rf"(?:{meant}){link} (?:{own})(?=$| [^\w\s~]| (?:{_END})(?!\S))")


def _opposite(words: Words) -> Iterator[re.Pattern[str]]:
    """Yield what a change from one side to the other looks like."""
    for one, other in itertools.permutations(map(_any, words.opposites), 2):
        yield _whole(rf"(?:{one})(?: \S+){{0,4}}? {_CHANGED}{_ONE} (?:{other})")
        yield _whole(rf"{_REPLACED} (?:{one})(?: \S+){{0,4}}? (?:with|for|by){_ONE} (?:{other})")


def _content(path: str) -> str:
    return hashlib.sha256(_bytes(path)).hexdigest()


def _bytes(path: str) -> bytes:
    try:
        return read_file(local_path(path))
    except OSError as error:
        raise UserError(f"The word list {path} cannot be read ({one_line(error)}); correct people.words.") from error


def _read(path: str) -> WordList:
    try:
        fields = read_yaml(_bytes(path).decode("utf8")).data
    except (NotYamlError, UnicodeDecodeError) as error:
        raise UserError(f"The word list {path} is not YAML; take the shipped one, {SHIPPED}, as a pattern.") from error
    if not isinstance(fields, dict):
        raise UserError(f"The word list {path} has no fields; take the shipped one, {SHIPPED}, as a pattern.")
    try:
        return WordList.model_validate({"exceptions" if name == "except" else name: fields[name] for name in fields})
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise UserError(
            f"The word list {path} is wrong ({wrong}); take the shipped one, {SHIPPED}, as a pattern."
        ) from error
