"""The folder of one run: the store, what is derived from it, and what comes out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cirgen.blobs import remove_orphans
from cirgen.file_locks import remove_unclaimed
from cirgen.progress import Progress, Silent
from cirgen.recipe import Recipe
from cirgen.shards import TEMPORARY_SUFFIX, write_text
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
    def ingest_plan(self) -> Path:
        """Items that the source has now (`stages.ingest.INGEST_PLAN`)."""
        return self.derived / "ingest_plan.parquet"

    @property
    def catalog(self) -> Path:
        """Unique pictures (`schemas.CATALOG`)."""
        return self.derived / "catalog.parquet"

    @property
    def caption_plan(self) -> Path:
        """Captions to have (`schemas.CAPTION_PLAN`)."""
        return self.derived / "caption_plan.parquet"

    @property
    def embed_plan(self) -> Path:
        """Image embeddings to have (`stages.embed.IMAGE_PLAN`)."""
        return self.derived / "embed_plan.parquet"

    @property
    def image_vectors(self) -> Path:
        """Image embeddings [N, d] float32, L2-normalised, in catalog order, memory-mapped."""
        return self.derived / "image_vectors.npy"

    @property
    def caption_vectors(self) -> Path:
        """Embeddings of the first captions, as `image_vectors`; only where a signal needs them."""
        return self.derived / "caption_vectors.npy"

    @property
    def text_vectors(self) -> Path:
        """Embeddings of the texts that a filter measures, as `image_vectors`, in the order of `text_keys`."""
        return self.derived / "text_vectors.npy"

    @property
    def text_keys(self) -> Path:
        """Sorted keys of the rows of `text_vectors` [N] S64."""
        return self.derived / "text_keys.npy"

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
        """What the last run knew (JSON): hashes of its recipe's models and prompts, versions, seconds per stage.

        `prompt_lock` alone remembers every prompt that any run of this folder used.
        """
        return self.folder / "run.json"

    def read_facts(self) -> dict[str, Any]:
        """Return the facts of the last run, empty before the first."""
        return json.loads(self.facts.read_text(encoding="utf8")) if self.facts.is_file() else {}

    def note_facts(self, **facts: Any) -> None:
        """Write facts to `run.json`; each replaces what the last run knew under its name."""
        self._write_facts({**self.read_facts(), **facts})

    def add_to_fact(self, name: str, values: Mapping[str, Any]) -> None:
        """Merge values into a fact of `run.json` that is never forgotten, such as the seconds of every stage."""
        known = self.read_facts()
        self._write_facts({**known, name: {**known.get(name, {}), **values}})

    def _write_facts(self, facts: Mapping[str, Any]) -> None:
        write_text(self.facts, json.dumps(facts, indent=1, sort_keys=True) + "\n")

    def remove_leftovers(self) -> None:
        """Remove what killed runs left unfinished; what live ones are writing stays."""
        for path in (*self.folder.glob(f"*{TEMPORARY_SUFFIX}"), *self.derived.glob(f"*{TEMPORARY_SUFFIX}")):
            if path.is_file():
                remove_unclaimed(path)
        self.store.remove_leftovers()
        remove_orphans(self.store, "ingest")
