"""A toy figure: one value for every attribute, and nothing about how it is drawn."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace

from cirgen.world.vocabulary import HATS, HELD_OUT_PAIRS, NONE

HIDDEN = ""
"""What cannot be seen: hair colour under a hat, colour and count of objects when there are none."""


@dataclass(frozen=True, order=True)
class Figure:
    """Exact attributes of one figure; `HIDDEN` where another attribute hides one.

    Build with `visible`, which hides what cannot be seen, so that equal pictures have equal figures.
    """

    head: str
    hair_color: str
    hat_color: str
    outfit: str
    shirt_color: str
    pants_color: str
    shoes_color: str
    glasses: str
    beard: str
    background: str
    object_kind: str
    object_color: str
    object_count: str

    @property
    def wears_hat(self) -> bool:
        """Whether a hat hides the hair."""
        return self.head in HATS

    @property
    def count(self) -> int:
        """Number of objects beside the figure, 0 to 4."""
        return int(self.object_count or 0)

    def with_values(self, **values: str) -> Figure:
        """Return the figure with `values` set; what they hide or uncover must be given too (see `visible`)."""
        return visible(**(asdict(self) | values))

    def differences(self, other: Figure) -> tuple[str, ...]:
        """Return the names of the attributes in which the two figures differ, in attribute order."""
        return tuple(f.name for f in fields(self) if getattr(self, f.name) != getattr(other, f.name))

    def shows_held_out_pair(self) -> bool:
        """Whether the figure shows a pair of values that training never shows together."""
        return any(all(getattr(self, name) == value for name, value in pair) for pair in HELD_OUT_PAIRS)


def visible(**values: str) -> Figure:
    """Make a figure from raw attribute values, hiding those that another attribute covers."""
    figure = Figure(**values)
    hidden = {"hair_color": HIDDEN} if figure.wears_hat else {"hat_color": HIDDEN}
    if figure.object_kind == NONE:
        hidden |= {"object_color": HIDDEN, "object_count": HIDDEN}
    return replace(figure, **hidden)
