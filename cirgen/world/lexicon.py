"""The words for every attribute value, in two tongues: the first grammar's, and the second's, never seen in training.

A phrase belongs to one (attribute, value) and to one tongue. A phrase that ends in `_` is an adjective: `_` is where a
colour and the noun go ("curly _" becomes "curly black hair"); every other phrase is a noun, plural if it ends in `s`.
Colour words are shared by the attributes that can have the colour, so their attribute is `COLOR`.
"""

from __future__ import annotations

from typing import NamedTuple

from cirgen.world.vocabulary import HATS

COLOR = "color"
"""Pseudo-attribute of colour words: which attribute they give a colour to, the noun says."""

NUMBERS = ("one", "two", "three", "four")
ORDINALS = ("first", "second", "third", "fourth")


class Words(NamedTuple):
    """Phrases of one value or part: the first grammar's, plainest word first, and the second's."""

    first: tuple[str, ...]
    second: tuple[str, ...]


LEXICON: dict[str, dict[str, Words]] = {
    "head": {
        "short": Words(("short _", "cropped _"), ("close-cut _", "trimmed _")),
        "spiky": Words(("spiky _", "spiked _"), ("pointy _", "bristly _")),
        "bowl": Words(("bowl cut", "bowl haircut"), ("mop top", "pudding-bowl trim")),
        "curly": Words(("curly _", "curled _", "curls"), ("frizzy _", "ringlets")),
        "mohawk": Words(("mohawk", "mohawk haircut"), ("punk crest", "iroquois")),
        "buns": Words(("hair buns", "buns"), ("space puffs", "top knots")),
        "long": Words(("long _", "long straight _"), ("flowing _", "shoulder-length _")),
        "braids": Words(("braids", "braided _"), ("plaits", "pigtails")),
        "cap": Words(("cap", "baseball cap"), ("snapback", "peaked headpiece")),
        "beanie": Words(("beanie", "knit hat", "knitted hat"), ("woolly cap", "bobble hat")),
        "bunny hood": Words(("bunny hood", "bunny hat"), ("rabbit hood", "rabbit-eared hat")),
    },
    "outfit": {
        "plain shirt": Words(("plain _", "simple _"), ("unpatterned _", "solid _")),
        "striped shirt": Words(("striped _", "stripy _"), ("banded _", "lined _")),
        "hoodie": Words(("hoodie", "hooded sweater"), ("hooded jumper", "hooded pullover")),
        "overalls": Words(("overalls", "bib overalls"), ("dungarees", "coveralls")),
        "shirt and tie": Words(("shirt and tie", "shirt with a tie"), ("necktie shirt", "shirt plus necktie")),
    },
    "glasses": {
        "round glasses": Words(("round glasses", "circular glasses"), ("round specs", "circle eyeglasses")),
        "square glasses": Words(("square glasses", "rectangular glasses"), ("square specs", "boxy eyeglasses")),
        "sunglasses": Words(("sunglasses", "dark glasses"), ("sunnies", "tinted specs")),
        "visor": Words(("visor", "eye visor"), ("face shield", "goggle band")),
    },
    "beard": {
        "full beard": Words(("full beard", "bushy beard"), ("thick whiskers", "big bushy chin")),
        "mustache": Words(("mustache", "moustache"), ("tache", "lip whiskers")),
        "goatee": Words(("goatee", "chin beard"), ("chin tuft", "soul patch")),
    },
    "background": {
        "sky": Words(("sky _", "sky blue _", "light blue _"), ("pale blue _", "airy blue _")),
        "lilac": Words(("lilac _", "lavender _", "light purple _"), ("mauve _", "pale purple _")),
        "rose": Words(("rose _", "light pink _"), ("pale pink _", "blush _")),
        "sand": Words(("sand _", "sandy _", "beige _"), ("tan _", "cream _")),
        "mint": Words(("mint _", "light green _"), ("pale green _", "pistachio _")),
    },
    "object_kind": {
        "ball": Words(("ball", "sphere"), ("orb", "globe")),
        "box": Words(("box", "cube"), ("block", "crate")),
        "star": Words(("star", "five-pointed star"), ("starburst", "star ornament")),
    },
    COLOR: {
        "red": Words(("red", "bright red"), ("scarlet", "cherry")),
        "orange": Words(("orange", "bright orange"), ("tangerine", "carrot")),
        "yellow": Words(("yellow", "bright yellow"), ("canary", "sunflower")),
        "green": Words(("green", "grass green"), ("emerald", "fern")),
        "teal": Words(("teal", "blue-green"), ("turquoise", "cyan")),
        "blue": Words(("blue", "bright blue"), ("cobalt", "sapphire")),
        "purple": Words(("purple", "deep purple"), ("plum", "grape")),
        "pink": Words(("pink", "hot pink"), ("fuchsia", "bubblegum")),
        "white": Words(("white", "snow white"), ("ivory", "chalk")),
        "grey": Words(("grey", "gray"), ("ash", "slate")),
        "black": Words(("black", "jet black"), ("ebony", "coal")),
        "brown": Words(("brown", "chocolate brown"), ("chestnut", "coffee")),
        "navy": Words(("navy", "navy blue"), ("midnight", "marine")),
        "lime": Words(("lime", "lime green"), ("chartreuse", "acid green")),
        "crimson": Words(("crimson", "dark red"), ("maroon", "burgundy")),
        "gold": Words(("gold", "golden"), ("amber", "bronze")),
        "blond": Words(("blond", "blonde"), ("flaxen", "straw")),
        "ginger": Words(("ginger", "copper"), ("rust", "foxy")),
        "violet": Words(("violet", "bright violet"), ("amethyst", "iris")),
    },
}

PARTS: dict[str, Words] = {
    "hair": Words(("hair",), ("hairdo",)),
    "hat": Words(("hat",), ("headgear",)),
    "top": Words(("top", "shirt"), ("garment", "tee")),
    "pants": Words(("pants", "trousers"), ("slacks", "leggings")),
    "shoes": Words(("shoes", "sneakers"), ("trainers", "kicks")),
    "glasses": Words(("glasses",), ("eyewear",)),
    "beard": Words(("facial hair",), ("whiskers",)),
    "background": Words(("background",), ("backdrop",)),
    "object": Words(("object", "thing"), ("item", "prop")),
}
"""Part of a figure to the nouns that name it; the first word of each tongue fits every kind of it."""

KIND_ATTRIBUTE: dict[str, str] = {
    "hair": "head",
    "hat": "head",
    "top": "outfit",
    "glasses": "glasses",
    "beard": "beard",
    "background": "background",
    "object": "object_kind",
}
"""Part to the attribute that says what kind of it the figure has."""

COLOR_ATTRIBUTE: dict[str, str] = {
    "hair": "hair_color",
    "hat": "hat_color",
    "top": "shirt_color",
    "pants": "pants_color",
    "shoes": "shoes_color",
    "object": "object_color",
}
"""Part to the attribute that says its colour; the colour of a background is its kind."""


def part_of(attribute: str, value: str) -> str:
    """Return the part that a figure has when kind attribute `attribute` is `value`."""
    if attribute == "head":
        return "hat" if value in HATS else "hair"
    return next(part for part, name in KIND_ATTRIBUTE.items() if name == attribute)


def is_adjective(phrase: str) -> bool:
    """Whether a noun must follow the phrase."""
    return phrase.endswith("_")


def is_plural(noun: str) -> bool:
    """Whether the noun takes no article and a plural verb."""
    return noun.endswith("s")


def plural(noun: str) -> str:
    """Return the plural of a countable noun of the lexicon."""
    return noun + ("es" if noun.endswith("x") else "s")
