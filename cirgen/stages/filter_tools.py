"""Gives every filter of a run what its class says that it needs."""

from __future__ import annotations

from typing import Protocol

import pyarrow.parquet as pq

from cirgen.backends.base import Backend, ImageReader
from cirgen.errors import UserError
from cirgen.filters.base import Filter
from cirgen.filters.tools import Classifier as TextClassifier
from cirgen.filters.tools import Embeddings, Gallery, Tools
from cirgen.keys import digest
from cirgen.model_settings import Classifier, Encoder, Model
from cirgen.run_folder import Run
from cirgen.stages.ask import RunAsker
from cirgen.stages.known import RunMatches


class FilterModels(Protocol):
    """The models that filters measure with; weights are loaded when a score first needs them."""

    def embeddings(self, encoder: Encoder | None) -> Embeddings:
        """Return the embeddings of an encoder, of the run's for None."""
        ...

    def classifier(self, classifier: Classifier) -> TextClassifier:
        """Return who runs a classifier."""
        ...

    def backend(self, model: Model | None) -> Backend | None:
        """Return who runs a model, the run's `mllm` for None; None where the recipe has no such."""
        ...


class Toolbox:
    """Makes the tools of filters; a gallery is read once."""

    def __init__(self, run: Run, models: FilterModels, images: ImageReader) -> None:
        self._run = run
        self._models = models
        self.images = images
        self._gallery: Gallery | None = None

    def tools(self, name: str, part: Filter) -> Tools:
        """Return the tools of a filter.

        Raises:
            UserError: it asks a model and the recipe has none.
        """
        encoders: tuple[Encoder | None, ...] = part.encoders() or (None,)
        classifier = part.classifier()
        return Tools(
            tuple(self._models.embeddings(encoder) for encoder in encoders) if part.needs_embeddings else (),
            self._read_gallery() if part.needs_gallery else None,
            self._asker(name, part) if part.asks else None,
            self._models.classifier(classifier) if classifier else None,
            RunMatches(self._run, part.against()) if part.against() else None,
        )

    def _asker(self, name: str, part: Filter) -> RunAsker:
        backend = self._models.backend(part.model())
        if backend is None:
            raise UserError(
                f"Filter '{name}' asks a model; add a section 'mllm', give the filter a model, or take it out."
            )
        return RunAsker(self._run, backend, self.images, part.observed_tokens)

    def _read_gallery(self) -> Gallery:
        if self._gallery is None:
            table = pq.read_table(self._run.catalog, columns=["image_id", "group"])
            ids, groups = (table.column(name).to_numpy().astype("S64") for name in ("image_id", "group"))
            content = digest("gallery", digest(ids.tobytes().hex()), digest(groups.tobytes().hex()))
            self._gallery = Gallery(content, ids, groups)
        return self._gallery
