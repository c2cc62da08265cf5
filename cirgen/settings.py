"""What every part of a recipe has in common, and the units that several of them count in."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

Cosine = Annotated[float, Field(ge=-1, le=1)]
Probability = Annotated[float, Field(ge=0, le=1)]
Percent = Annotated[float, Field(ge=0, le=100)]
Name = Annotated[str, Field(min_length=1)]
"""Of a file, a folder, a model or a dataset."""


class PassedOn(dict[str, Any]):
    """Options that go to somebody else as they are; those of like content are equal and hash alike."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(json.dumps(self, sort_keys=True))


def _plain(options: dict[str, Any]) -> PassedOn:
    try:
        json.dumps(options, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"can be no JSON ({error}); write plain texts, numbers, lists and mappings") from error
    return PassedOn(options)


Options = Annotated[dict[str, Any], AfterValidator(_plain)]


class Settings(BaseModel):
    """A part of a recipe: unknown keys are errors, values are frozen, numbers finite, texts Unicode."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _unicode(cls, value: Any) -> Any:
        for text in _texts(value):
            try:
                text.encode()
            except UnicodeEncodeError as error:
                raise ValueError(f"{text!r} is no Unicode text, which no file can hold; write UTF-8") from error
        return value


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts of plain data, keys of mappings included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from (*_texts(key), *_texts(item))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
