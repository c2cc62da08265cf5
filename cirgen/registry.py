"""Sets of pluggable parts, chosen in a recipe by name: adding one touches its file and one registry line."""

from __future__ import annotations

import functools
import operator
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from cirgen.errors import UserError

Part = TypeVar("Part")


class Registry(Generic[Part]):
    """Settings classes and the parts they configure, found by the literal in the settings' tag field.

    Args:
        tag: the field that names a part in the recipe, e.g. `kind`.
        parts: every part class; each has an attribute `Settings`, a pydantic model with a literal default for `tag`.
    """

    def __init__(self, tag: str, *parts: type[Part]) -> None:
        self.tag = tag
        self._fixed = False
        self._parts: dict[str, type[Part]] = {self._settings(part).model_fields[tag].default: part for part in parts}

    def add(self, part: type[Part]) -> None:
        """Let recipes name one more part.

        Raises:
            UserError: what a recipe may hold was settled before.
        """
        if self._fixed:
            raise UserError("Parts of your own are too late once cirgen.recipe is imported; load them before it.")
        self._parts[self._settings(part).model_fields[self.tag].default] = part

    @staticmethod
    def _settings(part: type[Part]) -> type[BaseModel]:
        settings: type[BaseModel] = part.Settings  # type: ignore[attr-defined]
        return settings

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names that a recipe may use, in registry order."""
        return tuple(self._parts)

    def find(self, name: str) -> type[Part]:
        """Return the part of a name, one of `names`."""
        return self._parts[name]

    def union(self) -> Any:
        """Return the union of the settings classes, for a discriminated field; nothing can be added from then on."""
        self._fixed = True
        return functools.reduce(operator.or_, (self._settings(part) for part in self._parts.values()))

    def build(self, settings: BaseModel) -> Part:
        """Make the part that these settings configure."""
        return self._parts[getattr(settings, self.tag)](settings)  # type: ignore[call-arg]
