"""Pydantic's complaints about a recipe, told as sentences about its keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from cirgen.errors import UserError
from cirgen.yaml_text import Path

SIMILAR_ENOUGH = 60
"""Score out of 100 from which another key is offered."""
SHOWN_CHARACTERS = 80
"""Of a wrong value; a whole section may stand where a number should."""
TAGS = ("kind", "name")
"""Fields whose literal default names a part of a registry."""
WORDINGS = {
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "string_too_short": "must not be empty",
    "too_short": "needs more items, at least {min_length}",
    "too_long": "must have at most {max_length} items",
    "literal_error": "must be {expected}",
    "finite_number": "must be a finite number",
    "invalid_key": "is no key; a key is a word",
    "float_parsing": "must be a number",
    "string_pattern_mismatch": "must be letters, digits, dots, dashes and underscores, at most 96",
    "model_type": "must be a mapping of keys",
    "model_attributes_type": "must be a mapping of keys",
    "dict_type": "must be a mapping of keys",
}
"""Pydantic's error types in the words of someone who writes YAML."""


class RecipeErrors(UserError):  # noqa: N818 - it holds several
    """Every mistake of a recipe, one line each: where, which key, what to do."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


def complaints(error: ValidationError, root: type[BaseModel]) -> Iterator[tuple[Path, str]]:
    """Yield the place of each mistake, as the user writes it, and what is wrong there."""
    every = error.errors()
    for details in every:
        if details["type"] == "too_short" and _of_items(details, every):
            continue
        place, models = _place(details["loc"], root)
        yield place, _sentence(details, models)


def _of_items(details: ErrorDetails, every: Sequence[ErrorDetails]) -> bool:
    """Return whether items of a list that is too short are wrong, and are not counted for that alone."""
    loc = details["loc"]
    return any(len(other["loc"]) > len(loc) and other["loc"][: len(loc)] == loc for other in every)


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Return ` (did you mean 'x'?)`, or the known words where none is near."""
    from rapidfuzz import process

    match = process.extractOne(word, known, score_cutoff=SIMILAR_ENOUGH)
    return f" (did you mean '{match[0]}'?)" if match else f" (known: {', '.join(known)})"


def _place(location: Path, root: type[BaseModel]) -> tuple[Path, list[type[BaseModel]]]:
    """Take the tags of discriminated unions out of a location; return it with the models whose keys fit its parent."""
    place: list[str | int] = []
    models = parents = [root]
    parts = iter(part for part in location if part != "[key]")
    for part in parts:
        if not isinstance(part, int) and (tagged := _by_tag(models)):
            parents = models = tagged[part]
            key = next(parts, None)  # a tag stands before the key, which is what the user wrote
            if key is None:  # what is wrong is no single key
                break
            part = key  # noqa: PLW2901
        place.append(part)
        parents, models = models, models if isinstance(part, int) else _models_at(models, part)
    return tuple(place), parents


def _by_tag(models: list[type[BaseModel]]) -> dict[str, list[type[BaseModel]]]:
    """Return the models of a discriminated union by their tag; empty where there is no union."""
    tags = {model: [model.model_fields[key].default for key in TAGS if key in model.model_fields] for model in models}
    return {tag: [model] for model, values in tags.items() for tag in values if isinstance(tag, str)}


def _models_at(models: list[type[BaseModel]], key: str) -> list[type[BaseModel]]:
    """Return the models that may stand under a key, through optional values, lists and unions."""
    annotations = [model.model_fields[key].annotation for model in models if key in model.model_fields]
    return [model for annotation in annotations for model in _models_in(annotation)]


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]


def _sentence(details: ErrorDetails, models: list[type[BaseModel]]) -> str:
    context, given = details.get("ctx", {}), details["input"]
    match details["type"]:
        case "extra_forbidden":
            known = [key for model in models for key in model.model_fields]
            sentence = f"unknown key{did_you_mean(str(details['loc'][-1]), known)}"
        case "missing":
            sentence = "is missing; add it"
        case "union_tag_invalid":
            known = [name.strip("'") for name in context["expected_tags"].split(", ")]
            sentence = f"there is no '{context['tag']}'{did_you_mean(context['tag'], known)}{_own(context)}"
        case "union_tag_not_found":
            sentence = f"needs the key {context['discriminator']}, which says what it is"
        case "value_error":
            sentence = str(context["error"])
        case kind:
            wording = WORDINGS[kind].format_map(context) if kind in WORDINGS else _plain(details["msg"])
            sentence = f"{wording}, not {_shown(given)}"
    return sentence


def _own(context: Mapping[str, Any]) -> str:
    """Say where a filter that does not ship may come from."""
    return "; one of your own needs cirgen --plugin FILE.py" if "'name'" in context["discriminator"] else ""


def _plain(message: str) -> str:
    return message.removeprefix("Input ").replace("a valid tuple", "a list")


def _shown(given: Any) -> str:
    text = repr(given)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."
