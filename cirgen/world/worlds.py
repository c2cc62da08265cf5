"""The two embedded worlds, as truth needs to know them: what can be said of a picture, how texts are read and put."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

from cirgen.world import evaluation_grammar, grammar, parser
from cirgen.world.claims import Claims
from cirgen.world.draws import PALETTE_ATTRIBUTES
from cirgen.world.edits import edits
from cirgen.world.figure import Figure
from cirgen.world.furniture import grammars as furniture_grammars
from cirgen.world.furniture import parser as furniture_parser
from cirgen.world.furniture import vocabulary as furniture_vocabulary
from cirgen.world.furniture import writer as furniture_writer
from cirgen.world.furniture.item import Item
from cirgen.world.vocabulary import ATTRIBUTES


class World(NamedTuple):
    """The vocabulary of an embedded world.

    A picture of it is described by `make(*values)`, a frozen dataclass whose fields are `names`: it has `count`,
    `with_values`, `differences` and `shows_held_out_pair`, as `Figure` has.
    """

    name: str
    names: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]
    """All values of every attribute, hidden ones left out."""
    palette: tuple[str, ...]
    """Attributes that share one palette, so that one can take the colour of another."""
    make: Callable[..., Any]
    parse: Callable[[str], Claims | None]
    edits: Callable[[Any, Any], Sequence[Any]]
    """The single changes that turn a reference into a target."""
    change: Callable[..., str | None]
    """Words a change in the first grammar, given (reference, target, rng), perhaps a kind of change to lead with."""
    reworded: Callable[..., str | None]
    """The same in the second grammar, which nothing is trained on."""


FIGURES = World(
    "figures",
    tuple(attribute.name for attribute in ATTRIBUTES),
    tuple(tuple(dict.fromkeys((*attribute.easy, *attribute.medium, *attribute.hard))) for attribute in ATTRIBUTES),
    PALETTE_ATTRIBUTES,
    Figure,
    lru_cache(maxsize=1 << 16)(parser.parse),
    edits,
    grammar.change,
    evaluation_grammar.change,
)
FURNITURE = World(
    "furniture",
    furniture_vocabulary.ATTRIBUTES,
    tuple(furniture_vocabulary.values(name) for name in furniture_vocabulary.ATTRIBUTES),
    furniture_vocabulary.PARTS,
    Item,
    lru_cache(maxsize=1 << 16)(furniture_parser.parse),
    furniture_writer.edits,
    furniture_grammars.change,
    partial(furniture_grammars.change, style=furniture_grammars.SECOND),
)
WORLDS = (FIGURES, FURNITURE)
