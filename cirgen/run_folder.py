"""The folder of one run: the store, what is derived from it, and what comes out."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cirgen.progress import Progress, Silent
from cirgen.recipe import Recipe
from cirgen.shards import write_text
from cirgen.store import Store


@dataclass
class Run:
    """A recipe and the folder it fills; all under `derived/` can be made again from store and recipe."""

    folder: Path
    recipe: Recipe
    store: Store
    progress: Progress = field(default_factory=Silent)
    limit: int | None = None
    """First so many images of the source."""
    retry: tuple[str, ...] = ()
    """Statuses that run again this time."""

    @property
    def derived(self) -> Path:
        """Folder of everything that is a pure function of store and recipe."""
        return self.folder / "derived"

    @property
    def catalog(self) -> Path:
        """Unique pictures (`schemas.CATALOG`)."""
        return self.derived / "catalog.parquet"

    @property
    def caption_plan(self) -> Path:
        """Captions to have (`schemas.CAPTION_PLAN`)."""
        return self.derived / "caption_plan.parquet"

    @property
    def image_vectors(self) -> Path:
        """Image embeddings [N, d] float32, L2-normalised, in catalog order, memory-mapped."""
        return self.derived / "image_vectors.npy"

    @property
    def caption_vectors(self) -> Path:
        """Embeddings of the first captions, as `image_vectors`; only where a signal needs them."""
        return self.derived / "caption_vectors.npy"

    @property
    def pairs(self) -> Path:
        """Mined pairs (`schemas.PAIR`)."""
        return self.derived / "pairs.parquet"

    @property
    def modify_plan(self) -> Path:
        """Modification texts to have (`schemas.MODIFY_PLAN`)."""
        return self.derived / "modify_plan.parquet"

    @property
    def triplets(self) -> Path:
        """Planned triplets with their current texts (`schemas.TRIPLET`)."""
        return self.derived / "triplets.parquet"

    @property
    def verdicts(self) -> Path:
        """Accepted or the reason (`schemas.VERDICT`)."""
        return self.derived / "verdicts.parquet"

    @property
    def dataset(self) -> Path:
        """The dataset repository folder."""
        return self.folder / "dataset"

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.folder / "report.html"

    @property
    def facts(self) -> Path:
        """What the last run knew: models with content hashes, prompts, versions, seconds per stage (JSON)."""
        return self.folder / "run.json"

    def read_facts(self) -> dict[str, Any]:
        """Return the facts of the last run, empty before the first."""
        return json.loads(self.facts.read_text(encoding="utf8")) if self.facts.is_file() else {}

    def note_facts(self, **facts: Any) -> None:
        """Add facts to `run.json`; dictionaries are merged one level deep."""
        known = self.read_facts()
        for name, value in facts.items():
            merged = {**known.get(name, {}), **value} if isinstance(value, dict) else value
            known[name] = merged
        write_text(self.facts, json.dumps(known, indent=1, sort_keys=True) + "\n")
