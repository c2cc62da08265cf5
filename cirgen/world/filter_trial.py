"""Puts triplets of known worth through filters, in a folder of its own beside a finished run of the embedded world.

The filters are the real ones, by the real stage: they see the run's pictures, captions and hard negatives, and never
the attributes, which are joined to their verdicts afterwards.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from cirgen.backends.base import Backend, Choice, ImageReader, Likelihood, Request, Result
from cirgen.errors import UserError
from cirgen.images import RunImages
from cirgen.model_settings import Model
from cirgen.models import Models
from cirgen.progress import Progress, Silent
from cirgen.recipe import Recipe
from cirgen.run_folder import Run
from cirgen.schemas import TRIPLET
from cirgen.shards import write_rows
from cirgen.stages.filter import filter_triplets
from cirgen.stages.filter_tools import Toolbox
from cirgen.store import Store

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Trial:
    """What a stack of filters made of triplets."""

    reasons: Mapping[str, str]
    """triplet_id to the reason of rejection, '' for accepted."""
    questions: int
    """That a model was asked."""
    seen: Mapping[str, int]
    """Triplets that reached each filter."""


class Counting(Backend):
    """A backend that counts what it is asked."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.identity = backend.identity
        self.asked = 0

    def _counted(self, requests: Iterable[Any]) -> Iterator[Any]:
        for request in requests:
            self.asked += 1
            yield request

    def generate(self, requests: Iterable[Request], images: ImageReader) -> Iterator[Result]:
        """Pass on."""
        return self._backend.generate(self._counted(requests), images)

    def choose(self, requests: Iterable[Request], options: Sequence[str], images: ImageReader) -> Iterator[Choice]:
        """Pass on."""
        return self._backend.choose(self._counted(requests), options, images)

    def likelihood(self, requests: Iterable[tuple[Request, str]], images: ImageReader) -> Iterator[Likelihood]:
        """Pass on."""
        return self._backend.likelihood(self._counted(requests), images)


class CountingModels(Models):
    """The models of a run; generative ones count."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._counting: dict[int, Counting] = {}

    @property
    def asked(self) -> int:
        """Questions so far."""
        return sum(one.asked for one in self._counting.values())

    def backend(self, model: Model | None) -> Backend | None:
        """Return who runs a model, counting."""
        backend = super().backend(model)
        return None if backend is None else self._counting.setdefault(id(backend), Counting(backend))


class Trials:
    """Runs filters on triplets beside a finished run.

    Args:
        finished: a run of the embedded world, from ingest to modify.
        folder: where scores go; those that are there are not measured again, and ask no model.
        progress: tells what is going on.

    Raises:
        UserError: the run is not finished.
    """

    def __init__(self, finished: Run, folder: Path, progress: Progress | None = None) -> None:
        if not finished.triplets.is_file():
            raise UserError(f"{finished.folder} has no triplets; finish it with `cirgen run` first.")
        self._finished = finished
        self._folder = folder
        self._progress = progress or Silent()
        folder.joinpath("derived").mkdir(parents=True, exist_ok=True)
        for path in (finished.catalog, finished.image_vectors):
            shutil.copy2(path, folder / "derived" / path.name)
        self._images = RunImages(finished.catalog, finished.store.root / "ingest")

    def rows(self) -> list[Row]:
        """Return the run's own triplets that have a text (`schemas.TRIPLET`)."""
        return [row for row in pq.read_table(self._finished.triplets).to_pylist() if row["status"] == "ok"]

    def run(self, filters: Sequence[Mapping[str, Any]], rows: Iterable[Row]) -> Trial:
        """Put triplets (`schemas.TRIPLET`) through a stack of filters, given as in a recipe."""
        fields = self._finished.recipe.model_dump(mode="json")
        recipe = Recipe.model_validate({**fields, "filter": list(filters)})
        run = Run(self._folder, recipe, Store(self._folder / "store"), self._progress)
        by_id = sorted((dict(row) for row in rows), key=lambda row: str(row["triplet_id"]))
        write_rows(run.triplets, by_id, TRIPLET)
        models = CountingModels(run)
        filter_triplets(run, Toolbox(run, models, self._images).tools)
        verdicts = pq.read_table(run.verdicts, columns=["triplet_id", "reason"]).to_pylist()
        steps = run.read_facts()["funnel"]["filters"]
        return Trial(
            {row["triplet_id"]: row["reason"] for row in verdicts},
            models.asked,
            {step["name"]: step["seen"] for step in steps},
        )
