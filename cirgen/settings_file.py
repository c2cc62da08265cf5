"""Settings files: found by path or name, overridden from the command line, every mistake of one told at once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from cirgen import yaml_text
from cirgen.errors import UserError
from cirgen.recipe_errors import RecipeErrors, complaints, did_you_mean
from cirgen.resources import data_folder
from cirgen.settings import Settings

SUFFIX = ".yaml"

Kind = TypeVar("Kind", bound=Settings)


@dataclass(frozen=True)
class SettingsFile(Generic[Kind]):
    """Settings and the text they came from."""

    settings: Kind
    text: str
    """The file, comments included."""
    path: Path
    origins: dict[yaml_text.Path, str]
    """Where each value was set: `recipe.yaml:12`, or `--set`."""

    def problem(self, place: yaml_text.Path, message: str) -> str:
        """Return a line that says what is wrong with the value at a place, and where that was set."""
        return _problem(self.origins, place, message)

    def line(self, place: yaml_text.Path) -> float:
        """Return the line of the file that set the value at a place; what the command line set comes after all."""
        number = _origin(self.origins, place).rpartition(":")[2]
        return int(number) if number.isdigit() else math.inf


@dataclass(frozen=True)
class Override:
    """One `--set key.path=value`."""

    place: yaml_text.Path
    value: Any


@dataclass(frozen=True)
class Shelf:
    """A folder of settings files that ship: `recipes`, or `presets`."""

    folder: str
    noun: str
    """What one is called: recipe."""
    listing: str
    """What lists them: `cirgen recipes ls`."""

    def names(self) -> list[str]:
        """Return the names of the shipped files: their path without suffix."""
        folder = data_folder(self.folder)
        return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob(f"*{SUFFIX}"))

    def find(self, path_or_name: str) -> Path:
        """Return a file: as given, else the shipped one of that name or relative path.

        Raises:
            UserError: there is neither.
        """
        path = Path(path_or_name).expanduser()
        if path.is_file():
            return path
        shipped = self.names()
        name = path_or_name.removeprefix("./").removeprefix(f"{self.folder}/").removesuffix(SUFFIX)
        if name in shipped:
            return data_folder(self.folder) / f"{name}{SUFFIX}"
        what = f"There is no file at {path}" if path.suffix else f"No {self.noun} is called '{path_or_name}'"
        what = f"{path} is a folder" if path.is_dir() else what
        raise UserError(f"{what}{did_you_mean(name, shipped)}; see `{self.listing}`.")


def load_settings(path: Path, kind: type[Kind], noun: str, overrides: Sequence[str] = ()) -> SettingsFile[Kind]:
    """Read a file of settings.

    Args:
        path: the file.
        kind: what it holds.
        noun: what it is called in errors, e.g. recipe.
        overrides: `key.path=value`, the value read as YAML, list items by index: `filter.0.min_words=3`.

    Raises:
        RecipeErrors: every mistake of the file and the overrides, with line numbers.
    """
    text = _text(path, noun)
    source = _parse(text, path.name, noun)
    origins = {place: f"{path.name}:{line}" for place, line in source.lines.items()}
    problems = [_problem({p: f"{path.name}:{n}"}, p, "is given twice; keep one") for p, n in source.duplicates]
    for override in map(_parse_override, overrides):
        problems += _apply(override, source.data, origins)
    try:
        settings = kind.model_validate(source.data)
    except ValidationError as error:
        problems += [_problem(origins, place, message) for place, message in complaints(error, kind)]
        raise RecipeErrors(sorted(problems, key=_line)) from error
    if problems:
        raise RecipeErrors(problems)
    return SettingsFile(settings, text, path, origins)


def _line(problem: str) -> float:
    """Order problems by line, those of the command line last."""
    number = problem.split(":")[1]
    return float(number) if number.isdigit() else math.inf


def _text(path: Path, noun: str) -> str:
    try:
        return path.read_text(encoding="utf8")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise RecipeErrors([f"{path.name}:{line}: this is no UTF-8 text; save the {noun} as UTF-8"]) from error


def _parse(text: str, name: str, noun: str) -> yaml_text.YamlText:
    try:
        source = yaml_text.read_yaml(text)
    except yaml_text.NotYamlError as error:
        raise RecipeErrors([f"{name}:{error.line}: this is not YAML: {error.message}"]) from error
    if not isinstance(source.data, dict):
        found = "empty" if source.data is None else f"a {type(source.data).__name__}"
        raise RecipeErrors([f"{name}:1: a {noun} is a mapping that begins with `name:`, and this is {found}"])
    return source


def _parse_override(text: str) -> Override:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UserError(f"--set needs key.path=value, not '{text}'; for example --set caption.words=5.")
    place = tuple(int(part) if part.isdecimal() else part for part in key.strip().split("."))
    try:
        return Override(place, yaml_text.read_yaml(value).data)
    except yaml_text.NotYamlError as error:
        raise UserError(f"The value of --set {key} is not YAML ({error.message}); quote it.") from error


def _apply(override: Override, data: Any, origins: dict[yaml_text.Path, str]) -> list[str]:
    """Set one value in plain data, making mappings on the way; return what is wrong with the path."""
    *parents, last = override.place
    for depth, part in enumerate(parents, 1):
        if isinstance(data, dict) and data.get(part) is None:
            data[part] = [] if isinstance(override.place[depth], int) else {}
        child = _child(data, part)
        if child is None:
            return [_no_such_item(override.place[:depth], data)]
        data = child
    if not isinstance(data, dict) and _child(data, last) is None:
        return [_no_such_item(override.place, data)]
    data[last] = override.value
    for place in [place for place in origins if place[: len(override.place)] == override.place]:
        del origins[place]
    origins[override.place] = "--set"
    return []


def _child(data: Any, part: str | int) -> Any:
    if isinstance(data, dict):
        return data[part]
    return data[part] if isinstance(data, list) and isinstance(part, int) and part < len(data) else None


def _no_such_item(place: yaml_text.Path, parent: Any) -> str:
    what = f"has {len(parent)} items here; give the whole list" if isinstance(parent, list) else f"is {parent!r}"
    return _problem({place: "--set"}, place, f"there is nothing to set, since {_dotted(place[:-1])} {what}")


def _problem(origins: dict[yaml_text.Path, str], place: yaml_text.Path, message: str) -> str:
    origin = _origin(origins, place)
    what = f"{_dotted(place)}: {message}" if place else message
    return f"{origin}: {what}".encode(errors="backslashreplace").decode()


def _origin(origins: dict[yaml_text.Path, str], place: yaml_text.Path) -> str:
    return next(origins[p] for p in _upwards(place) if p in origins)


def _upwards(place: yaml_text.Path) -> Iterator[yaml_text.Path]:
    for length in range(len(place), -1, -1):
        yield place[:length]


def _dotted(place: yaml_text.Path) -> str:
    return ".".join(map(str, place))
