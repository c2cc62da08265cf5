"""A piece of furniture in a picture: one value for every attribute, and nothing about how it is drawn."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

from cirgen.world.figure import HIDDEN
from cirgen.world.furniture.vocabulary import HELD_OUT_PAIRS, PARTS, kinds


@dataclass(frozen=True, order=True)
class Item:
    """Exact attributes of one picture; `HIDDEN` where the kind lacks the part. It answers what a `Figure` answers."""

    kind: str
    view: str
    seat: str = HIDDEN
    blanket: str = HIDDEN
    top: str = HIDDEN
    doors: str = HIDDEN
    shade: str = HIDDEN
    frame: str = HIDDEN
    legs: str = HIDDEN
    body: str = HIDDEN
    stand: str = HIDDEN

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that the kind has, the larger one first."""
        return tuple(part for part in PARTS if part in kinds()[self.kind].parts)

    @property
    def count(self) -> int:
        """Number of things that can be counted: none here."""
        return 0

    def with_values(self, **values: str) -> Item:
        """Return the item with `values` set; parts that its kind lacks are hidden."""
        return visible(**(asdict(self) | values))

    def differences(self, other: Item) -> tuple[str, ...]:
        """Return the names of the attributes in which the two differ, in attribute order."""
        return tuple(f.name for f in fields(self) if getattr(self, f.name) != getattr(other, f.name))

    def shows_held_out_pair(self) -> bool:
        """Whether the item shows a pair of values that training never shows together."""
        return any(all(getattr(self, name) == value for name, value in pair) for pair in HELD_OUT_PAIRS)


def visible(**values: str) -> Item:
    """Make an item from raw values, hiding the parts that its kind lacks; a kind that nobody knows has none."""
    there = kinds()[values["kind"]].parts if values["kind"] in kinds() else {}
    return Item(**{name: value for name, value in values.items() if name not in PARTS or name in there})
