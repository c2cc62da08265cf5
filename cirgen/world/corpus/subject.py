"""What a published corpus is made of: one of the embedded worlds, how it is divided, and what can be asked of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cirgen.world.worlds import World

Families = Mapping[str, tuple[int, ...]]
"""Split to its families of the shipped collection."""


class Change(NamedTuple):
    """What becomes of one attribute; `after` is `ANY`, `MORE` or `FEWER` where the text leaves the value to choose."""

    attribute: str
    before: str
    after: str


class OpenEdit(NamedTuple):
    """An edit that leaves a value to choose, and ways to say it."""

    changes: tuple[Change, ...]
    texts: tuple[str, ...]
    reworded: tuple[str, ...]


class Subject(NamedTuple):
    """A world as a corpus shows it."""

    world: World
    images: str
    """`images.path` of its recipe."""
    table: Path
    """Attributes of the shipped collection."""
    families: Families
    encoder: str
    """Of the baselines: it had no part in making the corpus."""
    depth: int
    """Images of a list of the baselines."""
    template: Path
    """Of the card."""
    written_by: str
    """Who words text-first queries."""
    slices: Mapping[str, str]
    """Slice to its meaning, in the order of every list."""
    strata: tuple[str, ...]
    """Slices that text-first queries are drawn for, so many of each."""
    intents: Mapping[str, str]
    """Stratum to the kind of change that its texts lead with; the others lead with any."""
    negatives: Mapping[str, str]
    """Kind of hard negative to its meaning."""
    removes: Callable[[Any, Any], bool]
    """Whether something is gone on the way from one picture to another."""
    open_edits: Callable[[Any], Sequence[OpenEdit]]
    """Edits of a picture that leave a value to choose."""
    facts: Callable[[], Mapping[str, Any]]
    """What the template knows as `corpus` beside what it knows of every corpus."""
