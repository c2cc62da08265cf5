"""The models of a run: files are found at once, weights are loaded when a stage first needs them, each once."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from cirgen.executors.local import Local
from cirgen.filters.base import Filter
from cirgen.filters.registry import FILTERS
from cirgen.images import RunImages
from cirgen.model_settings import Classifier, Encoder, Model
from cirgen.run_folder import Run

if TYPE_CHECKING:
    from cirgen.backends.base import Backend
    from cirgen.classifiers.transformers import TransformersClassifier
    from cirgen.encoders.base import Encoder as RunsEncoder
    from cirgen.executors.base import Executor
    from cirgen.filters.tools import Embeddings
    from cirgen.stages.embed import RunEmbeddings


class Models:
    """Finds models by their settings.

    Args:
        run: names them in its recipe.
        executor: says who runs them; this process by default.
    """

    def __init__(self, run: Run, executor: Executor | None = None) -> None:
        self._run = run
        self._recipe = run.recipe
        self._executor = executor or Local()
        self._backends: dict[Model, Backend] = {}
        self._encoders: dict[Encoder, RunsEncoder] = {}
        self._embeddings: dict[Encoder, RunEmbeddings] = {}
        self._classifiers: dict[Classifier, TransformersClassifier] = {}

    @property
    def encoder(self) -> RunsEncoder:
        """The run's encoder of images and texts."""
        return self._encoder(self._recipe.encoder)

    @property
    def mllm(self) -> Backend | None:
        """The multimodal model, where the recipe has one."""
        return self.backend(None)

    @property
    def llm(self) -> Backend | None:
        """The language model that rewrites captions: `llm`, else `mllm` without images."""
        return self.backend(self._recipe.llm)

    @cached_property
    def images(self) -> RunImages:
        """The pictures of the run, once it has a catalog."""
        return RunImages(self._run.catalog, self._run.store.root / "ingest")

    def backend(self, model: Model | None) -> Backend | None:
        """Return who runs a model, the run's `mllm` for None; None where the recipe has no such."""
        wanted = model or self._recipe.mllm
        if wanted is None:
            return None
        if wanted not in self._backends:
            self._backends[wanted] = self._executor.backend(wanted)
            self._backends[wanted].price = wanted.price
        return self._backends[wanted]

    def embeddings(self, encoder: Encoder | None) -> Embeddings:
        """Return the embeddings of an encoder, of the run's for None."""
        from cirgen.stages.embed import RunEmbeddings

        own = self._recipe.encoder
        wanted = encoder or own
        if wanted not in self._embeddings:
            images = None if wanted == own else self.images
            self._embeddings[wanted] = RunEmbeddings(self._run, self._encoder(wanted), images)
        return self._embeddings[wanted]

    def classifier(self, classifier: Classifier) -> TransformersClassifier:
        """Return who runs a classifier."""
        if classifier not in self._classifiers:
            from cirgen.classifiers.transformers import TransformersClassifier

            self._classifiers[classifier] = TransformersClassifier(classifier)
        return self._classifiers[classifier]

    def _encoder(self, settings: Encoder) -> RunsEncoder:
        if settings not in self._encoders:
            self._encoders[settings] = self._executor.encoder(settings)
        return self._encoders[settings]

    def check_filters(self) -> None:
        """Make sure, before anything is generated, that every filter that asks for beliefs will get them.

        Raises:
            UserError: a model does not tell its probabilities.
        """
        for settings in self._recipe.filter:
            part = FILTERS.build(settings)
            backend = self.backend(part.model()) if part.chooses else None
            if backend is not None:
                backend.check_choose()

    def tasks(self) -> dict[str, Backend]:
        """Return who runs which task."""
        return {
            task: backend for task, backend in (("change", self.mllm), ("rewrite", self.llm)) if backend is not None
        }

    def contents(self) -> dict[str, str]:
        """Return the content hash of every model, by its role: a recipe's section, or the filter that brings it."""
        return {
            **{name: backend.identity.content for name, backend in self._generative()},
            **{name: encoder.files.content for name, encoder in self._encoding()},
            **{name: classifier.files.content for name, classifier in self._classifying()},
        }

    def revisions(self) -> dict[str, str]:
        """Return the resolved hub commit of every model, by its role; empty for a local folder."""
        return {
            **{name: backend.identity.revision for name, backend in self._generative()},
            **{name: encoder.files.revision for name, encoder in self._encoding()},
            **{name: classifier.files.revision for name, classifier in self._classifying()},
        }

    def _generative(self) -> Iterator[tuple[str, Backend]]:
        for role, model in generative(self._run):
            backend = self.backend(model)
            if backend is not None:
                yield role, backend

    def _encoding(self) -> Iterator[tuple[str, RunsEncoder]]:
        for role, encoder in encoding(self._run):
            yield role, self._encoder(encoder)

    def _classifying(self) -> Iterator[tuple[str, TransformersClassifier]]:
        for role, part, settings in _classifying(self._run):
            classifier = self.classifier(settings)
            part.check_labels(classifier.labels)
            yield role, classifier


def classifying(run: Run) -> Iterator[tuple[str, Classifier]]:
    """Yield the classifiers that a recipe names, by role."""
    for role, _, classifier in _classifying(run):
        yield role, classifier


def _classifying(run: Run) -> Iterator[tuple[str, Filter, Classifier]]:
    for settings in run.recipe.filter:
        part = FILTERS.build(settings)
        classifier = part.classifier()
        if classifier is not None:
            yield f"{getattr(settings, FILTERS.tag)} classifier", part, classifier


def generative(run: Run) -> Iterator[tuple[str, Model]]:
    """Yield the generative models that a recipe names, by role."""
    for role, model in (("mllm", run.recipe.mllm), ("llm", run.recipe.llm or run.recipe.mllm)):
        if model is not None:
            yield role, model
    for settings in run.recipe.filter:
        model = FILTERS.build(settings).model()
        if model is not None:
            yield str(getattr(settings, FILTERS.tag)), model


def encoding(run: Run) -> Iterator[tuple[str, Encoder]]:
    """Yield the encoders that a recipe names, by role."""
    yield "encoder", run.recipe.encoder
    for settings in run.recipe.filter:
        encoders = FILTERS.build(settings).encoders()
        for place, encoder in enumerate(encoders, 1):
            yield f"{getattr(settings, FILTERS.tag)} encoder{f' {place}' if len(encoders) > 1 else ''}", encoder
