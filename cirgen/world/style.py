"""The CC0 drawing style `voxel-art`, with the parts redrawn that are too faint to tell apart at 96 pixels."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib import import_module, resources
from typing import Any

from cirgen.errors import UserError

Element = dict[str, Any]

STYLE_FILE = "voxel-art.json"
FRAME = "#26201a"
"""Colour of every glasses frame, the style's own."""


def _path(d: str, **attributes: str | Element) -> Element:
    named = {key.replace("_", "-"): value for key, value in attributes.items()}
    return {"name": "path", "type": "element", "attributes": {"d": d, **named}}


_ARMS = _path("M-2 6h5v3h-5Zm59 0h5v3h-5Z", fill=FRAME)
_ROUND = "M3 7.5a9.5 9.5 0 1 0 19 0a9.5 9.5 0 1 0-19 0Zm35 0a9.5 9.5 0 1 0 19 0a9.5 9.5 0 1 0-19 0Z"
_SQUARE = "M2.5-.5h21v16h-21ZM36.5-.5h21v16h-21Z"
_STRIPES = "M39.5 88h40v2.8h-40Zm0 8h40v2.8h-40Z"
_STRIPES_BELOW = "M39.5 90.8h40v2.8h-40Zm0 8h40v2.8h-40Z"
_BIB = "M45.5 93.5h27v13h-27Z"
_STRAPS = "M46.5 84h5.5v10h-5.5Zm20 0h5.5v10h-5.5Z"

REDRAWN: dict[tuple[str, str], tuple[bool, tuple[Element, ...]]] = {
    ("glasses", "round"): (
        True,
        (
            _path(_ROUND, fill="#ffffff", fill_opacity=".3", stroke="#8a5a2b", stroke_width="2.6"),
            _path("M22 6h16v2.6h-16Z", fill="#8a5a2b"),
        ),
    ),
    ("glasses", "square"): (
        True,
        (
            _ARMS,
            _path(_SQUARE, fill="#ffffff", fill_opacity=".3", stroke=FRAME, stroke_width="4"),
            _path("M23 3h14v3.5h-14Z", fill=FRAME),
        ),
    ),
    ("glasses", "visor"): (
        True,
        (
            _path("M-1-1.5h62v18h-62Z", fill="#35c5dd", fill_opacity=".78"),
            _path("M-1-1.5h62v3h-62Z", fill="#e9fbff"),
        ),
    ),
    ("glasses", "shades"): (True, (_ARMS, _path("M2 0h21v13h-21Zm35 0h21v13h-21ZM22 2h16v4h-16Z", fill="#101013"))),
    ("outfit", "stripes"): (
        False,
        (
            _path(_STRIPES, fill="#ffffff", fill_opacity=".85"),
            _path(_STRIPES_BELOW, fill="#000000", fill_opacity=".5"),
        ),
    ),
    ("outfit", "hoodie"): (
        False,
        (
            _path("M46 96h27v12.5h-27Z", fill="#000000", fill_opacity=".28"),
            _path("M51 84.5h3.5v12h-3.5Zm13 0h3.5v12h-3.5Z", fill="#ffffff", stroke="#555555", stroke_width=".8"),
        ),
    ),
    ("outfit", "overalls"): (
        False,
        (
            *(
                _path(d, fill={"type": "color", "name": "pants"}, stroke="#000000", stroke_opacity=".5")
                for d in (_BIB, _STRAPS)
            ),
            _path("M46.5 93h5.5v4h-5.5Zm20 0h5.5v4h-5.5Z", fill="#e3c04a", stroke="#6b5410", stroke_width=".6"),
        ),
    ),
    ("outfit", "tie"): (
        False,
        (
            _path("M49 83.6h21l-10.5 8Z", fill="#ffffff", stroke="#777777", stroke_width=".6"),
            _path("M57 88h5l2.5 15-5 5.5-5-5.5Z", fill="#3a3a44", stroke="#ffffff", stroke_width="1.4"),
        ),
    ),
}
"""(component, variant) to (replace the style's own elements, elements to draw)."""


def _load() -> tuple[Any, dict[str, Any]]:
    try:
        dicebear = import_module("dicebear")
        text = (resources.files("dicebear_styles") / STYLE_FILE).read_text("utf-8")
    except ModuleNotFoundError as error:
        raise UserError(f"drawing toy figures needs {error.name}; run `pip install 'cirgen[world]'`") from error
    definition: dict[str, Any] = json.loads(text)
    return dicebear, definition


def _redraw(definition: dict[str, Any]) -> None:
    for (component, variant), (replace, elements) in REDRAWN.items():
        drawing = definition["components"][component]["variants"][variant]
        drawing["elements"] = [*([] if replace else drawing["elements"]), *elements]


@lru_cache(maxsize=1)
def figure_style() -> tuple[Any, Any]:
    """Return the dicebear module and the redrawn style; a `UserError` names the extra to install."""
    dicebear, definition = _load()
    _redraw(definition)
    return dicebear, dicebear.Style(definition)
