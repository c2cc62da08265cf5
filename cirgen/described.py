"""What the settings of a part of a recipe mean, as their classes say it."""

from __future__ import annotations

import ast
import inspect
import textwrap
from typing import NamedTuple

from pydantic import BaseModel
from pydantic_core import PydanticUndefined


class Described(NamedTuple):
    """One setting."""

    name: str
    default: str
    """As YAML has it; empty where the setting must be given."""
    meaning: str
    """Empty where its name says it."""


def described(settings: type[BaseModel]) -> list[Described]:
    """Return the settings of a class in the order of a recipe."""
    meanings: dict[str, str] = {}
    for part in reversed(settings.__mro__):
        if issubclass(part, BaseModel) and part is not BaseModel:
            meanings |= _docstrings(part)
    return [
        Described(name, _default(field.get_default(call_default_factory=True)), meanings.get(name, ""))
        for name, field in settings.model_fields.items()
    ]


def _docstrings(part: type) -> dict[str, str]:
    """Return the text under each annotated attribute of a class."""
    body = ast.parse(textwrap.dedent(inspect.getsource(part))).body[0]
    found: dict[str, str] = {}
    assert isinstance(body, ast.ClassDef)
    for attribute, text in zip(body.body, body.body[1:], strict=False):
        match attribute, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(meaning))):
                found[name] = " ".join(meaning.split())
    return found


def _default(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case BaseModel():
            return "see the settings of a model"
        case tuple() | list() | frozenset():
            return f"[{', '.join(map(_default, value))}]"
        case _:
            return "" if value is PydanticUndefined else str(value)
