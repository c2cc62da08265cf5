"""The attributes of a toy figure, their values and their colours.

Only code that renders, trains or measures may import this module: nothing in generation or filtering may
(a test walks the imports).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Level = Literal["easy", "medium", "hard"]

NONE = "none"
"""The value of an attribute that can be absent (glasses, beard, object_kind) and is."""

PALETTE: dict[str, str] = {
    "red": "#d6322d",
    "orange": "#f47b20",
    "yellow": "#f7c51e",
    "green": "#3fae49",
    "teal": "#17a398",
    "blue": "#2a7de1",
    "purple": "#7a4fd0",
    "pink": "#ea5c9c",
    "white": "#f4f4f2",
    "grey": "#7d858c",
    "black": "#2b2b30",
    "brown": "#7a5230",
    # near twins, in the hard level alone
    "navy": "#274b8c",
    "lime": "#8bc53f",
    "crimson": "#a8203c",
    "gold": "#d9a03c",
}
"""Colour name to sRGB hex; one palette for clothes, hats and objects, so that colours can be copied and swapped."""

HAIR_PALETTE: dict[str, str] = {
    "black": "#2c222b",
    "brown": "#6b4226",
    "blond": "#e8d4a8",
    "ginger": "#b55239",
    "green": "#3fb27f",
    "violet": "#6d5acf",
}

BACKGROUND_PALETTE: dict[str, str] = {
    "sky": "#b6e3f4",
    "lilac": "#c9b8ee",
    "rose": "#ffd5dc",
    "sand": "#f3dfb4",
    "mint": "#c4ecd0",
}

HAIRSTYLES: dict[str, str] = {
    "short": "short",
    "spiky": "spiky",
    "bowl": "bowl",
    "curly": "curly",
    "mohawk": "mohawk",
    "buns": "buns",
    "long": "longStraight",
    "braids": "braids",
}
"""Hairstyle to the renderer's `topVariant`."""

HATS: dict[str, str] = {"cap": "cap", "beanie": "beanie", "bunny hood": "bunnyEars"}
"""Hat to the renderer's `topVariant`; a hat hides the hair, so a figure has one of the two colours, never both."""

OUTFITS: dict[str, str] = {
    "plain shirt": "plain",
    "striped shirt": "stripes",
    "hoodie": "hoodie",
    "overalls": "overalls",
    "shirt and tie": "tie",
}

GLASSES: dict[str, str] = {
    "round glasses": "round",
    "square glasses": "square",
    "sunglasses": "shades",
    "visor": "visor",
}
BEARDS: dict[str, str] = {"full beard": "full", "mustache": "mustache", "goatee": "goatee"}
OBJECT_KINDS = ("ball", "box", "star")
MAX_COUNT = 4


class Attribute(NamedTuple):
    """One thing that can be said of a figure, with the values each level draws from."""

    name: str
    easy: tuple[str, ...]
    medium: tuple[str, ...]
    hard: tuple[str, ...]

    def values(self, level: Level) -> tuple[str, ...]:
        """Return the values of this attribute in `level`; one value means that the attribute is fixed there."""
        return {"easy": self.easy, "medium": self.medium, "hard": self.hard}[level]


_SIX = ("red", "yellow", "green", "blue", "purple", "white")
_TEN = ("red", "orange", "yellow", "green", "teal", "blue", "purple", "pink", "white", "black")
_ALL = tuple(PALETTE)

ATTRIBUTES: tuple[Attribute, ...] = (
    Attribute("head", ("short", "curly", "mohawk", "long", "beanie"), (*HAIRSTYLES, *HATS), (*HAIRSTYLES, *HATS)),
    Attribute("hair_color", ("black", "blond", "green"), tuple(HAIR_PALETTE), tuple(HAIR_PALETTE)),
    Attribute("hat_color", _SIX, _TEN, _ALL),
    Attribute("outfit", tuple(OUTFITS), tuple(OUTFITS), tuple(OUTFITS)),
    Attribute("shirt_color", _SIX, _TEN, _ALL),
    Attribute("pants_color", ("blue", "brown", "black"), ("blue", "brown", "grey", "black", "green", "purple"), _ALL),
    Attribute("shoes_color", ("white", "red", "black"), ("white", "black", "red", "blue", "yellow", "pink"), _ALL),
    Attribute("glasses", (NONE, "square glasses", "sunglasses"), (NONE, *GLASSES), (NONE, *GLASSES)),
    Attribute("beard", (NONE, "full beard"), (NONE, *BEARDS), (NONE, *BEARDS)),
    Attribute("background", tuple(BACKGROUND_PALETTE), tuple(BACKGROUND_PALETTE), tuple(BACKGROUND_PALETTE)),
    Attribute("object_kind", (NONE,), (NONE, *OBJECT_KINDS), (NONE, *OBJECT_KINDS)),
    Attribute("object_color", ("red",), ("red", "yellow", "green", "blue", "purple"), _ALL),
    Attribute("object_count", ("1",), ("1", "2", "3", "4"), ("1", "2", "3", "4")),
)

HELD_OUT_PAIRS: tuple[tuple[tuple[str, str], tuple[str, str]], ...] = (
    (("outfit", "hoodie"), ("shirt_color", "green")),
    (("head", "beanie"), ("glasses", "sunglasses")),
    (("hair_color", "blond"), ("beard", "full beard")),
    (("object_kind", "star"), ("object_color", "blue")),
)
"""Pairs of values that no training image shows together; the corpus and the evaluation do, as a slice."""
