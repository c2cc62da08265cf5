"""What a corpus may say of places on the machine that made it: last parts of paths, never where they lie."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_LOCAL = re.compile(r"[/~\\]|\.\.(?:[/\\]|$)|[A-Za-z]:[/\\]|file:")
_WORDS = ("license", "author", "category")
"""Fields of a recipe that hold no path, whatever they look like (`/u/somebody`)."""


def is_local(name: str) -> bool:
    """Return whether a name leads to a place on this machine: an absolute path, or one that leaves its folder."""
    return _LOCAL.match(name) is not None


def public_name(name: str) -> str:
    """Return the last part of a path on this machine; hub ids, relative paths and what ships stay as they are."""
    return re.split(r"[/\\]+", name.rstrip("/\\"))[-1] if is_local(name) else name


def public_alias(alias: Mapping[str, str]) -> dict[str, str]:
    """Return an alias (`schemas.ALIAS`) without paths of this machine."""
    return {**alias, **{field: public_name(alias[field]) for field in ("source", "source_id", "url")}}


def public_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return plain data, such as a resolved recipe, without paths of this machine."""
    return {name: value if name in _WORDS else _public(value) for name, value in fields.items()}


def _public(value: Any) -> Any:
    if isinstance(value, str):
        return public_name(value)
    if isinstance(value, list | tuple):
        return [_public(item) for item in value]
    return public_fields(value) if isinstance(value, Mapping) else value
