"""Versioned prompt templates: one Markdown file each, front matter first, then a Jinja2 body rendered in a sandbox.

A row of a corpus carries the hash of the template that made it, so a body may never change under an unchanged version:
shipped templates are held to `prompts.lock`, a user's own to the hashes that the run folder remembers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal

from jinja2 import Template
from pydantic import BaseModel, ConfigDict, ValidationError

from cirgen.errors import UserError, one_line
from cirgen.prompt_language import NoPromptError, compiled, slots_of
from cirgen.resources import data_folder, local_path
from cirgen.yaml_text import NotYamlError, read_yaml

Task = Literal["caption", "change", "rewrite", "template", "judge", "compare", "split", "check", "pick"]
LOCK_NAME = "prompts.lock"
FIELDS = {
    "name": "my-change",
    "version": "1",
    "task": "change",
    "images": "2",
    "slots": "[]",
    "note": "What it is for.",
    "author": "Your name",
}
"""Fields that every front matter has, with a value that would do."""

IMAGE_MARK = "<image>"
"""Where a body says that its next image goes; a body without marks has all images first."""


class Prompt(BaseModel):
    """A prompt template: what is asked, of which images, with which slots."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: int
    task: Task
    images: int
    """Number of images the model sees."""
    slots: tuple[str, ...]
    note: str
    author: str
    body: str
    examples: tuple[str, ...] = ()
    """In-context examples to draw from."""
    intents: dict[str, str] = {}
    """Intent name to the words that ask for it."""

    @property
    def reference(self) -> str:
        """Return `name@version`, the way recipes and rows name a prompt."""
        return f"{self.name}@{self.version}"

    @cached_property
    def hash(self) -> str:
        """Return the sha256 of everything that can reach the model: body, examples and intents."""
        content = {"body": self.body, "examples": self.examples, "intents": self.intents}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def render(self, **values: object) -> str:
        """Fill the slots.

        Raises:
            UserError: a slot has no value, or the rendered prompt is empty.
        """
        missing = [slot for slot in self.slots if slot not in values or values[slot] is None]
        if missing:
            raise UserError(
                f"Prompt '{self.reference}' needs {', '.join(missing)}, which these rows do not have; "
                "choose another prompt or a source that fills the slot."
            )
        try:
            filled = {slot: _without_marks(values[slot]) for slot in self.slots}
            text = _compiled(self.body).render(filled).strip()
        except Exception as error:  # a body may do anything wrong with a value
            raise UserError(
                f"Prompt '{self.reference}' cannot be rendered: {one_line(error)}; mend its body."
            ) from error
        if not text:
            raise UserError(f"Prompt '{self.reference}' renders empty for {values}; mend its body or its slots.")
        return text


@lru_cache(maxsize=256)
def _compiled(body: str) -> Template:
    """Compile a body once: a filter renders it for every triplet, several times."""
    return compiled(body)


def _without_marks(value: object) -> object:
    """Keep a text that fills a slot from placing images: captions and file names are not to be trusted."""
    if isinstance(value, str):
        return value.replace(IMAGE_MARK, IMAGE_MARK.strip("<>"))
    return [_without_marks(item) for item in value] if isinstance(value, list | tuple) else value


def parse_prompt(text: str, origin: str) -> Prompt:
    """Parse a prompt file; `origin` names it in errors."""
    parts = text.split("---\n", 2)
    if len(parts) != 3 or parts[0].strip():
        fields = ", ".join(f"`{name}: {example}`" for name, example in FIELDS.items())
        raise UserError(
            f"{origin} has no front matter; begin it with a line '---', a line for each of {fields}, and a line '---'."
        )
    try:
        prompt = Prompt.model_validate({**_front_matter(parts[1], origin), "body": parts[2].strip()})
    except ValidationError as error:
        raise UserError(f"The front matter of {origin} {_complaints(error)}.") from error
    _check_slots(prompt, origin)
    _check_marks(prompt, origin)
    return prompt


def _complaints(error: ValidationError) -> str:
    missing = [str(e["loc"][0]) for e in error.errors() if e["type"] == "missing"]
    wrong = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors() if e["type"] != "missing"]
    parts = [f"lacks {', '.join(f'`{name}: {FIELDS[name]}`' for name in missing)}; add them"] if missing else []
    return " and ".join([*parts, *([f"is wrong ({'; '.join(wrong)}); mend those fields"] if wrong else [])])


def _front_matter(text: str, origin: str) -> dict[str, Any]:
    try:
        fields = read_yaml(text).data
    except NotYamlError as error:
        raise UserError(f"Line {error.line + 1} of {origin} is not YAML: {error.message}; mend it.") from error
    if not isinstance(fields, dict):
        raise UserError(f"The front matter of {origin} has no fields; give it {', '.join(FIELDS)}.")
    return fields


def _check_slots(prompt: Prompt, origin: str) -> None:
    try:
        used = slots_of(prompt.body)
    except NoPromptError as error:
        raise UserError(f"The body of {origin} {error}.") from error
    undeclared = sorted(used - set(prompt.slots))
    if undeclared:
        raise UserError(f"{origin} uses {', '.join(undeclared)} without listing it under 'slots'; add it there.")


def _check_marks(prompt: Prompt, origin: str) -> None:
    marks = prompt.body.count(IMAGE_MARK)
    if marks not in (0, prompt.images):
        raise UserError(
            f"The body of {origin} places {marks} images with {IMAGE_MARK} and 'images' says {prompt.images}; "
            f"write {IMAGE_MARK} once for each, or leave it out to have them all first."
        )


def load_prompt(reference: str, folder: Path | None = None) -> Prompt:
    """Load a prompt by `name` (newest version), `name@version`, or path of a `.md` file.

    Args:
        reference: which prompt.
        folder: where shipped templates lie; the package's own by default.

    Raises:
        UserError: no such prompt or version, a shipped body that changed under its version, or a file that gives
            itself the name and version of a shipped prompt with other words.
    """
    folder = folder or data_folder("prompts")
    if reference.endswith(".md"):
        return _own(local_path(reference), folder)
    return _shipped(reference, folder)


def _own(path: Path, folder: Path) -> Prompt:
    prompt = _from_file(path)
    shipped = {other.reference: other.hash for other in list_prompts(folder)}
    if shipped.get(prompt.reference, prompt.hash) != prompt.hash:
        raise UserError(
            f"{path} calls itself '{prompt.reference}', which ships with cirgen in other words: "
            f"either give it a name of its own, or name the shipped one, '{prompt.reference}', in its place."
        )
    return prompt


def _shipped(reference: str, folder: Path) -> Prompt:
    name, _, version = reference.partition("@")
    candidates = {prompt.version: prompt for prompt in list_prompts(folder) if prompt.name == name}
    if not candidates:
        raise UserError(f"No prompt is called '{name}'{_suggestion(name, folder)}; see `cirgen prompts ls`.")
    if version and (not version.isdecimal() or int(version) not in candidates):
        known = ", ".join(f"{name}@{v}" for v in sorted(candidates))
        raise UserError(f"Prompt '{name}' has no version {version}; choose one of {known}.")
    prompt = candidates[int(version) if version else max(candidates)]
    check_lock(prompt, read_lock(folder), folder / LOCK_NAME)
    return prompt


def _from_file(path: Path) -> Prompt:
    if not path.is_file():
        raise UserError(f"There is no prompt file at {path}; correct the path, or name a shipped prompt.")
    try:
        text = path.read_text(encoding="utf8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not text in UTF-8 ({error.reason}); save it as such.") from error
    return parse_prompt(text, str(path))


def _suggestion(name: str, folder: Path) -> str:
    from rapidfuzz import process

    match = process.extractOne(name, sorted({p.name for p in list_prompts(folder)}), score_cutoff=60)
    return f" (did you mean '{match[0]}'?)" if match else ""


@cache
def list_prompts(folder: Path | None = None) -> tuple[Prompt, ...]:
    """Return every shipped prompt, by name, then version."""
    files = sorted((folder or data_folder("prompts")).glob("*.md"))
    return tuple(sorted((_from_file(path) for path in files), key=lambda p: (p.name, p.version)))


def read_lock(folder: Path) -> dict[str, str]:
    """Return the locked hashes, `name@version` to sha256; empty where the folder has no lock."""
    path = folder / LOCK_NAME
    return json.loads(path.read_text(encoding="utf8")) if path.is_file() else {}


def check_lock(prompt: Prompt, locked: Mapping[str, str], lock_origin: Path) -> None:
    """Refuse a prompt whose text changed under an unchanged version.

    Raises:
        UserError: with both ways out.
    """
    expected = locked.get(prompt.reference, prompt.hash)
    if expected != prompt.hash:
        raise UserError(
            f"The text of prompt '{prompt.reference}' changed under an unchanged version ({lock_origin} remembers "
            f"another): either restore the text, or raise its version to {prompt.version + 1}."
        )
