"""An HTML page that needs no other file: a template, and the style that all pages of cirgen share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

STYLE = Path(__file__).with_name("page.css")


def render(template: Path, **values: Any) -> str:
    """Fill in the template of a page, which finds the shared style under `style`."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_visible
    )
    environment.filters |= {"number": "{:,}".format, "percent": _percent, "duration": duration}
    text = template.read_text(encoding="utf8")
    return environment.from_string(text).render(style=Markup(STYLE.read_text(encoding="utf8")), **values)


_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Control characters, and those that turn the direction of what follows."""


def _visible(value: Any) -> Any:
    """Show characters of a text that nobody sees, or that reorder the page, as what they are: out of place."""
    return _UNSEEN.sub("\ufffd", value) if type(value) is str else value


def duration(seconds: float) -> str:
    """Return seconds as people say them."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def _percent(share: float) -> str:
    return f"{share:.1%}"
