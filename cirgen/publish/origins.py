"""Where a corpus comes from: sources, models and prompts, for manifest, card and report."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import PurePath
from typing import Any

from ruamel.yaml import YAML

from cirgen.filters.registry import FILTERS
from cirgen.model_settings import Classifier, Encoder, Model
from cirgen.models import classifying, encoding, generative
from cirgen.prompts import Prompt
from cirgen.publish.places import public_fields, public_name
from cirgen.resources import SHIPPED_PREFIX
from cirgen.run_folder import Run


@dataclass(frozen=True)
class ModelFact:
    """One model of a run."""

    role: str
    """Section of the recipe: `mllm`, `llm`, `encoder`, or the filter that brings its own (`judge`)."""
    model: str
    """Hub id, what ships with cirgen, or the name of a local folder without the way to it."""
    revision: str
    """The resolved hub commit; empty for a local folder, whose content hash says more."""
    content: str
    """Hash of weights, tokenizer and processor."""


def models(run: Run) -> list[ModelFact]:
    """Return the models of a run, those without a content hash in `run.json` with an empty one."""
    facts = run.read_facts()
    contents, revisions = facts.get("models", {}), facts.get("revisions", {})
    named: dict[str, Model | Encoder | Classifier] = {
        **dict(generative(run)),
        **dict(encoding(run)),
        **dict(classifying(run)),
    }
    return [
        ModelFact(
            role,
            public_name(settings.model),
            revisions.get(role) or settings.revision or "",
            contents.get(role, ""),
        )
        for role, settings in named.items()
        if role != "llm" or run.recipe.llm is not None
    ]


def prompts(run: Run) -> list[Prompt]:
    """Return every prompt that a recipe names, captions first, each once."""
    return [run.prompt(reference) for reference in dict.fromkeys(_prompt_references(run))]


def _prompt_references(run: Run) -> Iterator[str]:
    yield from run.recipe.caption.prompts
    yield from run.recipe.modify.prompts
    if run.recipe.modify.regenerate.prompt:
        yield run.recipe.modify.regenerate.prompt
    for settings in run.recipe.filter:
        yield from (prompt.reference for prompt in FILTERS.build(settings).prompts().values())


def is_diagnostic(run: Run) -> bool:
    """Return whether a run uses the embedded world: its figures, or its small models."""
    return shows_toy_figures(run) or bool(embedded_roles(run))


_WORLDS = {"cirgen:furniture": "furniture"}
"""Path of shipped pictures to what they show, toy figures unless it is told here."""


def shows_toy_figures(run: Run) -> bool:
    """Return whether the pictures are those of the embedded world that ship with cirgen."""
    return bool(embedded_pictures(run))


def embedded_pictures(run: Run) -> str:
    """Return what the pictures of the embedded world show, `toy figures` or `furniture`; empty for other pictures."""
    path = str(getattr(run.recipe.images, "path", ""))
    return _WORLDS.get(path, "toy figures") if path.startswith(SHIPPED_PREFIX) else ""


def source_folder(run: Run) -> str:
    """Return the folder of the originals as `load_triplets` may be given it, as far as a corpus may say.

    That is `cirgen:images` for what ships, else the name of a folder: of a table of images, the one that it lies in.
    """
    fields = run.recipe.images.model_dump()
    place = str(fields.get("path") or fields.get("root") or "")
    if place.startswith(SHIPPED_PREFIX):
        return place
    folder = PurePath(place).parent if fields["kind"] == "manifest" else PurePath(place)
    return folder.name or "originals"


def embedded_roles(run: Run) -> list[str]:
    """Return the roles that small models of the embedded world play in a run."""
    return [fact.role for fact in models(run) if fact.model.startswith(SHIPPED_PREFIX)]


def is_foreign_to_its_models(run: Run) -> bool:
    """Return whether a small model of the embedded world writes about pictures that it was never shown the like of."""
    recipe = run.recipe
    embedded = any(m is not None and m.model.startswith(SHIPPED_PREFIX) for m in (recipe.mllm, recipe.llm))
    return embedded and not shows_toy_figures(run)


_HEAD = "# To run: cirgen run recipe.yaml\n"
_CUT = "# Of paths on the machine that made it, only the last parts are here: set them to where your copies lie.\n"


def recipe_yaml(run: Run) -> str:
    """Return the resolved recipe, ready to run again."""
    return f"{_HEAD}{to_yaml(run.recipe.resolved())}"


def public_recipe_yaml(run: Run) -> str:
    """Return the resolved recipe without the paths of this machine, and say so where there were any."""
    whole = run.recipe.resolved()
    public = public_fields(whole)
    return f"{_HEAD}{_CUT if public != whole else ''}{to_yaml(public)}"


def to_yaml(fields: dict[str, Any]) -> str:
    """Return plain data as YAML, in its own order."""
    yaml, text = YAML(), io.StringIO()
    yaml.default_flow_style = False
    yaml.width = 4096  # columns: never break a text, since a broken line is harder to compare
    yaml.dump(fields, text)
    return text.getvalue()


def model_records(run: Run) -> list[dict[str, str]]:
    """Return the models as plain data."""
    return [asdict(fact) for fact in models(run)]
