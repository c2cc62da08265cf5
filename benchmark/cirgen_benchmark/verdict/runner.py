"""Trains the arms of a preset, seed by seed, and examines each; what is done is found again."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pyarrow as pa
import torch
import transformers

from cirgen.keys import digest
from cirgen.progress import Progress
from cirgen_benchmark.images import ImageCollection
from cirgen_benchmark.models.base import Retriever
from cirgen_benchmark.models.weights import content
from cirgen_benchmark.protocols.base import Scores
from cirgen_benchmark.protocols.figures import Figure
from cirgen_benchmark.protocols.submissions import Submission
from cirgen_benchmark.training.batches import steps_per_epoch
from cirgen_benchmark.training.features import EncodedImages
from cirgen_benchmark.training.indexed import index_triplets
from cirgen_benchmark.training.provenance import code_version
from cirgen_benchmark.training.settings import StageSettings
from cirgen_benchmark.training.trainer import Trained, load_trained, train
from cirgen_benchmark.triplets import Triplet
from cirgen_benchmark.verdict.examiner import Examiner, Found, metric_key
from cirgen_benchmark.verdict.halves import HalfQuery
from cirgen_benchmark.verdict.mixture import Mixture
from cirgen_benchmark.verdict.plan import PlannedArm, PlannedStep
from cirgen_benchmark.verdict.preset import Preset

At = Literal["last", "best"]
"""`last`: after an arm's last step; `best`: after the step that was best on the development set."""


@dataclass(frozen=True)
class Outcome:
    """What one arm with one seed comes to on the evaluation set, at one of its steps."""

    arm: PlannedArm
    seed: int
    at: At
    step: int
    metrics: Mapping[str, float]
    primary: Figure
    """The primary metric, query by query."""
    steps: int
    """Optimiser steps of all stages."""
    triplets: tuple[int, int]
    """Human and synthetic ones that the last step of the arm trained on."""
    queries: pa.Table
    """The protocol's table: one row a query."""
    notes: tuple[str, ...]
    """What the evaluation set lacks, in whole sentences."""


class _Taken(NamedTuple):
    """An arm at one of its steps."""

    at: At
    step: int
    model: Retriever
    """With the weights of the step; the next one changes it."""
    stages: Sequence[_Stage]


class _Stage(NamedTuple):
    """A step of an arm that is trained, and what it was trained on."""

    trained: Trained
    triplets: Sequence[Triplet]
    frozen: bool
    """Whether the encodings of images are those of the step before."""


class Runner:
    """Trains and examines.

    Args:
        preset: what is done.
        mixture: training data.
        base: the model that every arm begins with; it is never changed.
        development: questions that choose a step; None where nothing is chosen.
        evaluation: questions that are reported.
        server: questions that their server alone can score; None where nothing is sent to one.
        folder: what is trained and encoded is kept here.
        progress: where arms are shown.
    """

    def __init__(
        self,
        preset: Preset,
        mixture: Mixture,
        base: Retriever,
        development: Examiner | None,
        evaluation: Examiner,
        server: Examiner | None,
        folder: Path,
        progress: Progress,
    ) -> None:
        self._preset = preset
        self._mixture = mixture
        self._base = base
        self._development = development
        self._evaluation = evaluation
        self._server = server
        self._folder = folder
        self._progress = progress

    @property
    def evaluated_images(self) -> ImageCollection:
        """The images of the evaluation set."""
        return self._evaluation.images

    @cached_property
    def base(self) -> Mapping[str, str]:
        """The model that every arm begins with: its class, and a hash of what it answers."""
        return {"class": type(self._base).__name__, "content": content(self._base)}

    def outcomes(self, arm: PlannedArm, seed: int) -> list[Outcome]:
        """Train one arm with one seed, or find it trained, and examine it at its last and at its best step.

        Raises:
            UserError: data for the arm are missing, or the preset's primary metric is none of the protocol's.
        """
        encoded: EncodedImages | None = None
        found = []
        for taken in self._taken(arm, seed):
            if encoded is None or not (taken.stages and taken.stages[-1].frozen):
                encoded = self._evaluation.encode(taken.model)
            found.append(self._outcome(arm, seed, taken, self._evaluation.scores(taken.model, encoded)))
        return found

    def submissions(self, arm: PlannedArm, seed: int) -> Iterator[tuple[At, Sequence[Submission]]]:
        """Yield what an arm that is trained sends to the server, at its last and at its best step."""
        assert self._server is not None
        for taken in self._taken(arm, seed):
            yield taken.at, self._server.submissions(taken.model, self._server.encode(taken.model))

    def _taken(self, arm: PlannedArm, seed: int) -> Iterator[_Taken]:
        """Yield a trained arm at its last step, then at its best."""
        model = self._fresh(arm)
        stages = self._train(model, arm, seed)
        if not stages:
            yield _Taken("last", 0, model, stages)
            return
        trained = stages[-1].trained
        load_trained(model, trained.last)
        yield _Taken("last", trained.steps, model, stages)
        if trained.best is not None and trained.best_step is not None:
            load_trained(model, trained.best)
            yield _Taken("best", trained.best_step, model, stages)

    def tops(self, arm: PlannedArm, seed: int, depth: int) -> list[Found]:
        """Return what an arm that is trained finds for every query, its references left out, at its last step."""
        model = next(self._taken(arm, seed)).model
        return self._evaluation.tops(model, self._evaluation.encode(model), depth)

    def seen(self, arms: Sequence[PlannedArm]) -> int:
        """Return how many pictures that evaluation asks about were trained on as references or targets."""
        data = {step.data for arm in arms for step in arm.steps}
        mixes = (self._mixture.mixed(one, seed) for one in data for seed in self._preset.seeds)
        named = {name for mix in mixes for triplet in mix for name in (triplet.reference, triplet.target)}
        return len(self._evaluation.asked_about & {self._mixture.images.content(name) for name in named})

    def _outcome(self, arm: PlannedArm, seed: int, taken: _Taken, scores: Scores) -> Outcome:
        primary = metric_key(scores.figures, self._preset.primary)
        triplets = taken.stages[-1].triplets if taken.stages else ()
        human = sum(triplet.origin == "human" for triplet in triplets)
        return Outcome(
            arm, seed, taken.at, taken.step, dict(scores.metrics), scores.figures[primary],
            sum(stage.trained.steps for stage in taken.stages[:-1]) + taken.step,
            (human, len(triplets) - human), scores.queries, tuple(scores.notes),
        )  # fmt: skip

    def _fresh(self, arm: PlannedArm) -> Retriever:
        model = copy.deepcopy(self._base)
        return model if arm.inputs == "both" else HalfQuery(model, arm.inputs)

    def _train(self, model: Retriever, arm: PlannedArm, seed: int) -> list[_Stage]:
        """Take the model through the steps of an arm; steps that another arm began with are found, not trained."""
        stages: list[_Stage] = []
        path: tuple[str, ...] = (self._beginning, arm.inputs, str(seed))
        for step in arm.steps:
            settings, triplets = self._settings(step, seed), self._mixture.mixed(step.data, seed)
            learned = index_triplets(triplets, self._mixture.images, settings.hard_negatives).digest()
            path = (*path, digest("step", settings.model_dump(mode="json"), learned))
            folder = self._folder / "stages" / digest("path", path)[:20]
            stages.append(self._stage(model, triplets, settings, seed, folder))
        return stages

    def _settings(self, step: PlannedStep, seed: int) -> StageSettings:
        """Return the settings of a step, in steps where its epochs are counted on other data."""
        if step.epochs_of is None or step.stage.epochs is None:
            return step.stage
        each = steps_per_epoch(len(self._mixture.mixed(step.epochs_of, seed)), step.stage)
        looks = step.stage.evaluate_every or each
        return step.stage.model_copy(
            update={"epochs": None, "steps": step.stage.epochs * each, "evaluate_every": looks}
        )

    def _stage(
        self, model: Retriever, triplets: Sequence[Triplet], settings: StageSettings, seed: int, folder: Path
    ) -> _Stage:
        frozen = settings.trains == "query"
        if frozen:
            model.prepare_stage_two()
        examined, evaluate = self._development, None
        if examined is not None:
            evaluate = partial(
                examined.value, self._preset.chosen_by, encoded=examined.encode(model) if frozen else None
            )
        trained = train(
            model, triplets, self._mixture.images, settings, folder=folder, seed=seed, evaluate=evaluate,
            extra_images=self._unasked if settings.bank.extra_images else (), cache=self._folder / "encoded",
            provenance=self._provenance, progress=self._progress,
        )  # fmt: skip
        return _Stage(trained, triplets, frozen)

    @cached_property
    def _provenance(self) -> dict[str, Any]:
        """What a checkpoint says of where it comes from, beside what training itself records."""
        development = self._development.fingerprint if self._development else ""
        return {"development": development, "corpora": self._mixture.fingerprints}

    @cached_property
    def _unasked(self) -> list[str]:
        """Images that a bank may hold beside those of its triplets: none that a query is about."""
        examiners = (self._development, self._evaluation)
        asked = frozenset().union(*(examiner.asked_about for examiner in examiners if examiner))
        images = self._mixture.images
        return [name for name in images.ids if images.content(name) not in asked]

    @cached_property
    def _beginning(self) -> str:
        """A hash of what every arm depends on beside its triplets: base model, choice of a step, code that trains."""
        looks = [self._development.fingerprint, self._preset.chosen_by] if self._development else []
        libraries = [torch.__version__, transformers.__version__]
        return digest("bench", self.base["content"], self._mixture.fingerprints, looks, code_version(), libraries)
