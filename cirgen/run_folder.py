"""The folder of one run: the store, what is derived from it, and what comes out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cirgen.backends.speed import together
from cirgen.blobs import remove_orphans
from cirgen.damage import DERIVED
from cirgen.errors import UserError
from cirgen.file_locks import alone, remove_unclaimed
from cirgen.lock import GATE_NAME
from cirgen.progress import Progress, Silent
from cirgen.prompts import Prompt, check_lock, load_prompt
from cirgen.recipe import Recipe
from cirgen.scratch import remove_leftover_folders, scratch_folder
from cirgen.shards import TEMPORARY_SUFFIX, write_text
from cirgen.spending import Spending, Usage, summed
from cirgen.store import Store

PROMPT_LOCK = "prompt_lock"
"""Fact of a run: the hash of every prompt version that it ever used."""

SPEED = "speed"
"""Fact of a run: by stage, what was counted of its model's work."""

SCRATCH = "scratch"
FACTS_NAME = "run.json"
Facts = dict[str, Any]


def read_facts(folder: Path) -> Facts:
    """Return what a run folder's `run.json` holds, nothing where there is none.

    Raises:
        UserError: it was damaged.
    """
    path = folder / FACTS_NAME
    if not path.is_file():
        return {}
    try:
        facts = json.loads(path.read_bytes())
    except ValueError as error:
        facts = error
    if isinstance(facts, dict):
        return facts
    raise UserError(
        f"{path} is damaged: move it away and give your `cirgen run` command again, which writes it anew "
        "(lost are the time spent so far and which prompt versions were used)."
    )


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
    spending: Spending = field(default_factory=Spending)
    """Of this call."""
    _prompts: dict[str, Prompt] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Keep what is spent in the run's facts, as often as rows are kept."""
        self.spending.save = self._add_usage
        self.spending.save_seconds = min(self.spending.save_seconds, self.store.flush_seconds)

    def prompt(self, reference: str) -> Prompt:
        """Return a prompt of the recipe; a file is read once, so that what is edited meanwhile mixes no words.

        Raises:
            UserError: there is no such prompt, or its words changed since this run used that version of it.
        """
        if reference not in self._prompts:
            self._prompts[reference] = load_prompt(reference)
        prompt = self._prompts[reference]
        check_lock(prompt, self.read_facts().get(PROMPT_LOCK, {}), self.facts)
        return prompt

    @property
    def derived(self) -> Path:
        """Folder of everything that is a pure function of store and recipe."""
        return self.folder / DERIVED

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
    def layouts(self) -> Path:
        """The triplets in file formats of others (`export.layouts`)."""
        return self.folder / "layouts"

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.folder / "report.html"

    @property
    def facts(self) -> Path:
        """What the last run knew (JSON): hashes of its recipe's models and prompts, versions, seconds per stage.

        `prompt_lock` alone remembers every prompt that any run of this folder used.
        """
        return self.folder / FACTS_NAME

    def scratch(self) -> AbstractContextManager[Path]:
        """Yield a folder for tables that this process alone reads; it is gone afterwards."""
        return scratch_folder(self.derived / SCRATCH)

    def read_facts(self) -> dict[str, Any]:
        """Return the facts of the last run, empty before the first.

        Raises:
            UserError: the file was damaged.
        """
        return read_facts(self.folder)

    def note_facts(self, **facts: Any) -> None:
        """Write facts to `run.json`; each replaces what the last run knew under its name."""
        self._change_facts(lambda known: {**known, **facts})

    def add_to_fact(self, name: str, values: Mapping[str, Any]) -> None:
        """Merge values into a fact of `run.json` that is never forgotten, such as the prompts ever used."""
        self._change_facts(lambda known: {**known, name: {**known.get(name, {}), **values}})

    def add_seconds(self, stage: str, seconds: float) -> None:
        """Add to the time that a stage took over all runs of this folder."""

        def added(known: Facts) -> Facts:
            spent = known.get("seconds", {})
            return {**known, "seconds": {**spent, stage: round(spent.get(stage, 0.0) + seconds, 3)}}

        self._change_facts(added)

    def _add_usage(self, spent: Mapping[str, Usage]) -> None:
        """Add to what models were asked over all runs of this folder."""
        self._change_facts(lambda known: {**known, "usage": summed(known.get("usage", {}), spent)})

    def add_speed(self, stage: str, counts: Mapping[str, float]) -> None:
        """Add to what was counted of a stage's model over all runs of this folder (`backends.speed.Speed`)."""

        def more(known: Facts) -> Facts:
            counted = known.get(SPEED, {})
            return {**known, SPEED: {**counted, stage: together(counted.get(stage, {}), counts)}}

        self._change_facts(more)

    def _change_facts(self, change: Callable[[Facts], Facts]) -> None:
        """Read, change and write the facts, with every other process that would kept waiting."""
        with alone(self.folder / GATE_NAME):
            write_text(self.facts, json.dumps(change(self.read_facts()), indent=1, sort_keys=True) + "\n")

    def remove_leftovers(self) -> None:
        """Remove what killed runs left unfinished; what live ones are writing stays."""
        for path in (self.derived / SCRATCH, self.dataset, self.layouts):
            remove_leftover_folders(path)
        for path in (*self.folder.glob(f"*{TEMPORARY_SUFFIX}"), *self.derived.glob(f"*{TEMPORARY_SUFFIX}")):
            if path.is_file():
                remove_unclaimed(path)
        self.store.remove_leftovers()
        remove_orphans(self.store, "ingest")
