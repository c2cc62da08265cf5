"""The attributes of a piece of furniture, their values and their colours.

Only code that renders, trains or measures may import this package: nothing in generation or filtering may.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

PALETTE: dict[str, str] = {
    "red": "#c81818",
    "orange": "#f27a14",
    "yellow": "#f2cb1c",
    "green": "#1f8f35",
    "teal": "#1fb5ad",
    "blue": "#1f47cc",
    "purple": "#73309e",
    "pink": "#f285b4",
    "white": "#f6f6f3",
    "black": "#17171a",
}
"""Colour name to sRGB hex, far enough apart to be told on a face in shadow; one palette for every part."""
PLAIN = "#b9babd"
"""Of materials that no word names."""

PARTS = ("seat", "blanket", "top", "doors", "shade", "frame", "legs", "body", "stand")
"""Parts that have a colour, the larger ones first; an item has two of them."""

VIEWS: dict[str, tuple[float, float]] = {
    "front": (30, 18),
    "behind": (150, 18),
    "side": (90, 12),
    "above": (30, 50),
}
"""View to azimuth and elevation of the camera in degrees, before the jitter of every picture."""

ATTRIBUTES = ("kind", "view", *PARTS)
"""What can be said of an item, in the order of `Item`'s fields."""

HELD_OUT_PAIRS: tuple[tuple[tuple[str, str], tuple[str, str]], ...] = (
    (("kind", "lounge chair"), ("seat", "red")),
    (("kind", "wooden bed"), ("blanket", "purple")),
    (("kind", "wardrobe"), ("doors", "yellow")),
    (("top", "white"), ("legs", "blue")),
)
"""Pairs of values that no training picture shows together; the corpus does, as a slice."""

MODELS = Path(__file__).with_name("models.yaml")


class Kind(NamedTuple):
    """One model and its words, as `models.yaml` explains them."""

    kind: str
    model: str
    creator: str
    views: tuple[str, ...]
    parts: dict[str, tuple[str, ...]]
    plain: tuple[str, ...]


@lru_cache(maxsize=1)
def kinds() -> dict[str, Kind]:
    """Return every kind by its word, in the order of the table."""
    from ruamel.yaml import YAML

    rows: list[dict[str, Any]] = YAML(typ="safe").load(MODELS)
    found = (
        Kind(
            row["kind"],
            row["model"],
            row["creator"],
            tuple(row["views"]),
            {part: tuple(materials) for part, materials in row["parts"].items()},
            tuple(row.get("plain", ())),
        )
        for row in rows
    )
    return {kind.kind: kind for kind in found}


def values(attribute: str) -> tuple[str, ...]:
    """Return every value that `attribute` has somewhere."""
    if attribute == "kind":
        return tuple(kinds())
    return tuple(VIEWS if attribute == "view" else PALETTE)
