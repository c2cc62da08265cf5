"""manifest.json: what made a dataset, and the hash of every file in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cirgen import __version__
from cirgen.publish.counts import Counts
from cirgen.publish.origins import model_records, prompts
from cirgen.publish.parquet import Written
from cirgen.run_folder import Run

MANIFEST_NAME = "manifest.json"


def manifest(run: Run, root: Path, counts: Counts, written: Iterable[Written], scores: dict[str, str]) -> str:
    """Return the manifest of the files under `root`, as JSON.

    Args:
        run: the run.
        root: the finished dataset folder, less the manifest.
        counts: its funnel.
        written: its configs and splits.
        scores: column of a score to `filter.score`.
    """
    facts: dict[str, Any] = {
        "cirgen": __version__,
        "name": run.recipe.name,
        "recipe_hash": run.read_facts()["recipe_hash"],
        "seed": run.recipe.seed,
        "models": model_records(run),
        "prompts": {prompt.reference: prompt.hash for prompt in prompts(run)},
        "score_columns": scores,
        "counts": {
            "images_found": counts.found,
            "images_unique": counts.unique,
            "pairs": counts.pairs,
            "texts": counts.written,
            "accepted": counts.accepted,
            "rejected": counts.rejected,
            "reasons": counts.reasons,
        },
        "rows": {f"{one.config}/{one.split}": one.rows for one in written},
        "files": file_hashes(root),
    }
    return json.dumps(facts, indent=1, ensure_ascii=False) + "\n"


def file_hashes(root: Path) -> dict[str, str]:
    """Return the sha256 of every file under a folder but the manifest, by relative path."""
    files = sorted(path for path in root.rglob("*") if path.is_file() and path.name != MANIFEST_NAME)
    return {path.relative_to(root).as_posix(): _sha256(path) for path in files}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
