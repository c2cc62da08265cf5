"""An HTML page that needs no other file: a template, and the style that all pages of cirgen share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from cirgen.visible import visible

STYLE = Path(__file__).with_name("page.css")


def render(template: Path, **values: Any) -> str:
    """Fill in the template of a page, which finds the shared style under `style`."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_visible
    )
    environment.filters |= {"number": "{:,}".format, "percent": _percent, "duration": duration}
    text = template.read_text(encoding="utf8")
    return environment.from_string(text).render(style=Markup(STYLE.read_text(encoding="utf8")), **values)


def _visible(value: Any) -> Any:
    return visible(value) if type(value) is str else value


def duration(seconds: float) -> str:
    """Return seconds as people say them."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def _percent(share: float) -> str:
    return f"{share:.1%}"
