"""The command that loads a finished dataset, with its pictures where they can be had."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from cirgen.publish.tables import SPLITS
from cirgen.resources import local_path
from cirgen.sources.registry import SOURCES

if TYPE_CHECKING:
    from cirgen.run_folder import Run


def loading(run: Run) -> list[str]:
    """Return why the dataset of a run has no pictures, if so, and the command that loads it."""
    if _has_pictures(run.dataset):
        return [f"load it: {_python(_triplets(run))}"]
    originals = _originals(run)
    reason = f"The dataset has no pictures in it, {_reason(run)}"
    if originals is None:
        texts = f'import datasets; print(datasets.load_dataset("{run.dataset}", "triplets"))'
        return [reason, f"load its texts: {_python(texts)}"]
    return [f"{reason} They are loaded from their folder.", f"load it: {_python(_triplets(run, images=originals))}"]


def _triplets(run: Run, **options: Path) -> str:
    split = _first_split(run.dataset)
    named: Mapping[str, object] = {**({"split": split} if split != "train" else {}), **options}
    arguments = [_text(run.dataset), *(f"{name}={_text(value)}" for name, value in named.items())]
    shown = 'print(t["reference"], t["text"], t["target"])'
    return f"import cirgen; t = cirgen.load_triplets({', '.join(arguments)})[0]; {shown}"


def _text(value: object) -> str:
    """Write a Python string in double quotes: the whole goes into single ones."""
    return json.dumps(str(value), ensure_ascii=False)


def _first_split(dataset: Path) -> str:
    return next(split for split in SPLITS if any((dataset / "triplets").glob(f"{split}-*.parquet")))


def _has_pictures(dataset: Path) -> bool:
    return any("image" in pq.read_schema(file).names for file in (dataset / "images").glob("*.parquet"))


def _originals(run: Run) -> Path | None:
    """Return the folder under which the source's names lie, None where the source is no folder."""
    images = run.recipe.images
    path = local_path(str(getattr(images, "path", "")))
    return {"folder": path, "manifest": path.parent}.get(str(getattr(images, SOURCES.tag)))


def _reason(run: Run) -> str:
    if run.recipe.export.images == "none":
        return "as export.images: none of the recipe says; embed would take them in."
    return (
        "since no licence is known for some of them: name it under images.license of the recipe, "
        "or set export.images to embed."
    )


def _python(code: str) -> str:
    return f"{interpreter()} -c {shlex.quote(code)}"


def interpreter() -> str:
    """Return how to call the Python that runs this, as short as it can be typed here."""
    running = Path(sys.executable)
    found = shutil.which("python")
    if found and Path(found).parent == running.parent and running.samefile(found):
        return "python"
    inside = running.is_relative_to(Path.cwd())
    return shlex.quote(str(running.relative_to(Path.cwd()) if inside else running))
