"""Random figures as people dress, and random edits of them."""

from __future__ import annotations

import random

from cirgen.world.figure import visible
from cirgen.world.vocabulary import ATTRIBUTES, NONE, Level

Values = dict[str, str]
"""One raw value for every attribute, hidden ones included."""

PALETTE_ATTRIBUTES = ("hat_color", "shirt_color", "pants_color", "shoes_color", "object_color")
"""Attributes that share one palette, so that one can take the colour of another."""

_BY_NAME = {attribute.name: attribute for attribute in ATTRIBUTES}


def allowed(name: str, level: Level) -> tuple[str, ...]:
    """Return the values that the attribute `name` takes in `level`."""
    return _BY_NAME[name].values(level)


def draw_values(rng: random.Random, level: Level) -> Values:
    """Draw every attribute, correlated as people dress: shoes follow pants, sunglasses go with caps, and so on."""
    values = {attribute.name: rng.choice(attribute.values(level)) for attribute in ATTRIBUTES}

    def prefer(name: str, wanted: str, chance: float) -> None:
        if wanted in allowed(name, level) and rng.random() < chance:
            values[name] = wanted

    prefer("pants_color", "blue" if values["outfit"] == "overalls" else "black", 0.3)
    prefer("shoes_color", values["pants_color"], 0.4)
    prefer("hat_color", values["shirt_color"], 0.25)
    prefer("glasses", "sunglasses" if values["head"] == "cap" else NONE, 0.4)
    prefer("beard", NONE, 0.8 if values["head"] in ("long", "braids", "buns") else 0.3)
    prefer("object_color", values["shirt_color"], 0.25)
    prefer("object_count", "1", 0.15)
    return values


def _set_value(rng: random.Random, level: Level, values: Values) -> None:
    name = rng.choice(ATTRIBUTES).name
    values[name] = rng.choice(allowed(name, level))


def _add_or_remove(rng: random.Random, level: Level, values: Values) -> None:
    name = rng.choice(("glasses", "beard", "object_kind"))
    present = [value for value in allowed(name, level) if value != NONE]
    values[name] = NONE if values[name] != NONE or not present else rng.choice(present)


def _copy_color(rng: random.Random, level: Level, values: Values) -> None:
    one, other = rng.sample(PALETTE_ATTRIBUTES, 2)
    if values[other] in allowed(one, level):
        values[one] = values[other]


def _swap_colors(rng: random.Random, level: Level, values: Values) -> None:
    one, other = rng.sample(PALETTE_ATTRIBUTES, 2)
    if values[other] in allowed(one, level) and values[one] in allowed(other, level):
        values[one], values[other] = values[other], values[one]


def _count(rng: random.Random, level: Level, values: Values) -> None:
    counts = allowed("object_count", level)
    place = counts.index(values["object_count"]) + rng.choice((-1, 1))
    values["object_count"] = counts[min(max(place, 0), len(counts) - 1)]


_EDITS = (_set_value, _set_value, _set_value, _add_or_remove, _copy_color, _swap_colors, _count)


def edited(rng: random.Random, level: Level, values: Values, edits: int) -> Values:
    """Return `values` after `edits` random edits, each of which can be seen."""
    figure = visible(**values)
    while edits:
        changed = dict(values)
        rng.choice(_EDITS)(rng, level, changed)
        if visible(**changed) != figure:
            values, figure, edits = changed, visible(**changed), edits - 1
    return values
