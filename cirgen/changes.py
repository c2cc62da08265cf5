"""A run folder and the recipe it was made with: what differs from today's, and what will therefore run again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from cirgen.errors import UserError
from cirgen.keys import MODEL_LEFT_OUT
from cirgen.publish.origins import prompts
from cirgen.recipe import Recipe
from cirgen.run_folder import Run
from cirgen.shards import write_text

RECIPE_NAME = "recipe.yaml"

PAIRS_ON = "pairs, the texts of new pairs, the decision"
CONSEQUENCES: Mapping[str, str] = {
    "seed": f"every text, {PAIRS_ON}",
    "images": f"nothing for images already taken in; new ones, {PAIRS_ON}",
    "mllm": "captions and texts by that model",
    "llm": "texts by that model",
    "encoder": f"embeddings, {PAIRS_ON}",
    "caption": "captions, and the texts written from them",
    "pair": PAIRS_ON,
    "modify": "texts",
    "modify.regenerate.tries": "texts written anew for those that filters reject",
    "modify.directions": PAIRS_ON,
    "modify.strip_tails": "the decision, and scores of the texts that it changes",
    "filter": "the decision, and scores never measured",
    "export": "the split, the dataset folder and the layouts beside it",
    "publish": "nothing",
    "ray": "nothing",
}
"""Section or field of the recipe to what a change in it runs again; what has a row is never generated twice."""

NOTHING_BUT_SPEED = frozenset(MODEL_LEFT_OUT) - {"model", "revision"}


@dataclass(frozen=True)
class Change:
    """A field whose value differs."""

    path: str
    """Dotted, list items by index: `filter.0.min_words`."""
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{self.path}: {_shown(self.before)} -> {_shown(self.after)}"

    @property
    def consequence(self) -> str:
        """Return what runs again because of it."""
        section, _, field = self.path.partition(".")
        if any(field == name or field.startswith(f"{name}.") for name in NOTHING_BUT_SPEED):
            return "nothing"
        return CONSEQUENCES.get(self.path) or CONSEQUENCES.get(section, "everything")


_ABSENT = object()


def _shown(value: Any) -> str:
    if isinstance(value, dict) and (name := _name(value)):
        return name
    return "(absent)" if value is _ABSENT else "null" if value is None else str(value)


def _name(item: Any) -> str | None:
    """Return what a filter, a signal or a layout is called, None for what has no name."""
    named = isinstance(item, dict) and (item.get("name") or item.get("kind"))
    return str(named) if named else None


def changes(before: Any, after: Any, path: str = "") -> Iterator[Change]:
    """Yield the fields of two resolved recipes that differ, in recipe order."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys([*before, *after]):
            yield from changes(before.get(key, _ABSENT), after.get(key, _ABSENT), f"{path}.{key}".lstrip("."))
    elif isinstance(before, list) and isinstance(after, list):
        for index, one, other in _aligned(before, after):
            yield from changes(one, other, f"{path}.{index}")
    elif before != after:
        yield Change(path, before, after)


def _aligned(before: Sequence[Any], after: Sequence[Any]) -> Iterator[tuple[int, Any, Any]]:
    """Yield index, old and new item of two lists: those of one name face each other, others stand alone."""
    names = [[_name(item) or "" for item in items] for items in (before, after)]
    if "" in names[0] or "" in names[1]:
        for index in range(max(len(before), len(after))):
            items = [values[index] if index < len(values) else _ABSENT for values in (before, after)]
            yield index, items[0], items[1]
        return
    for kind, first, last, start, end in SequenceMatcher(None, names[0], names[1], autojunk=False).get_opcodes():
        if kind == "equal":
            yield from ((start + at, before[first + at], after[start + at]) for at in range(end - start))
        else:
            yield from ((index, before[index], _ABSENT) for index in range(first, last))
            yield from ((index, _ABSENT, after[index]) for index in range(start, end))


def enter(run: Run) -> list[Change]:
    """Make sure that a run folder belongs to the recipe; return what changed since it was last used.

    Raises:
        UserError: the folder holds a run of another name, or a prompt changed under its version.
    """
    prompts(run)
    before = read_recipe(run.folder)
    if before is None:
        return []
    if before.get("name") != run.recipe.name:
        raise UserError(
            f"{run.folder} holds the run '{before.get('name')}', and this recipe is called '{run.recipe.name}': "
            "either choose another folder with --output, or give the recipe that name."
        )
    return list(changes(before, run.recipe.resolved()))


def read_recipe(folder: Path) -> dict[str, Any] | None:
    """Return the resolved recipe of a run folder, None where no run began.

    Raises:
        UserError: the file was damaged by hand.
    """
    from cirgen.yaml_text import NotYamlError, read_yaml

    path = folder / RECIPE_NAME
    if not path.is_file():
        return None
    try:
        fields = read_yaml(path.read_text(encoding="utf8")).data
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not text in UTF-8; restore it or delete it.") from error
    except NotYamlError as error:
        raise UserError(f"{path}:{error.line} is not YAML ({error.message}); restore it or delete it.") from error
    if not isinstance(fields, dict):
        raise UserError(f"{path} is no recipe; restore it or delete it.")
    return fields


def save_recipe(folder: Path, recipe: Recipe) -> None:
    """Write the resolved recipe, every default filled in, into the run folder."""
    from cirgen.yaml_text import write_yaml

    text = write_yaml(recipe.resolved())
    write_text(folder / RECIPE_NAME, f"# The recipe of this run with every default filled in.\n{text}")
