"""Trains the arms of a preset, seed by seed, and examines each; what is done is found again."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Literal, NamedTuple

import pyarrow as pa

from cirgen.keys import digest
from cirgen.progress import Progress
from cirgen_benchmark.images import ImageCollection
from cirgen_benchmark.models.base import Retriever
from cirgen_benchmark.models.weights import content
from cirgen_benchmark.protocols.base import Scores
from cirgen_benchmark.protocols.figures import Figure
from cirgen_benchmark.training.features import EncodedImages
from cirgen_benchmark.training.provenance import code_version
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
    queries: pa.Table
    """The protocol's table: one row a query."""
    triplets: tuple[int, int]
    """Human and synthetic ones that the last step of the arm trained on."""


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
        folder: Path,
        progress: Progress,
    ) -> None:
        self._preset = preset
        self._mixture = mixture
        self._base = base
        self._development = development
        self._evaluation = evaluation
        self._folder = folder
        self._progress = progress

    @property
    def evaluated_images(self) -> ImageCollection:
        """The images of the evaluation set."""
        return self._evaluation.images

    def outcomes(self, arm: PlannedArm, seed: int) -> list[Outcome]:
        """Train one arm with one seed, or find it trained, and examine it at its last and at its best step.

        Raises:
            UserError: data for the arm are missing, or the preset's primary metric is none of the protocol's.
        """
        model = self._fresh(arm)
        stages = self._train(model, arm, seed)
        last = stages[-1].trained if stages else None
        steps: list[tuple[At, Path | None, int]] = [("last", last.last, last.steps) if last else ("last", None, 0)]
        if last and last.best is not None and last.best_step is not None:
            steps.append(("best", last.best, last.best_step))
        encoded: EncodedImages | None = None
        found = []
        for at, weights, step in steps:
            if weights is not None:
                load_trained(model, weights)
            if encoded is None or not (stages and stages[-1].frozen):
                encoded = self._evaluation.encode(model)
            found.append(self._outcome(arm, seed, at, step, self._evaluation.scores(model, encoded), stages))
        return found

    def tops(self, arm: PlannedArm, seed: int, depth: int) -> list[Found]:
        """Return what an arm that is trained finds for every query, its references left out, at its last step."""
        model = self._fresh(arm)
        self._train(model, arm, seed)
        return self._evaluation.tops(model, self._evaluation.encode(model), depth)

    def _outcome(
        self, arm: PlannedArm, seed: int, at: At, step: int, scores: Scores, stages: Sequence[_Stage]
    ) -> Outcome:
        primary = metric_key(scores.figures, self._preset.primary)
        triplets = stages[-1].triplets if stages else ()
        human = sum(triplet.origin == "human" for triplet in triplets)
        return Outcome(
            arm, seed, at, step, dict(scores.metrics), scores.figures[primary], scores.queries,
            (human, len(triplets) - human),
        )  # fmt: skip

    def _fresh(self, arm: PlannedArm) -> Retriever:
        model = copy.deepcopy(self._base)
        return model if arm.inputs == "both" else HalfQuery(model, arm.inputs)

    def _train(self, model: Retriever, arm: PlannedArm, seed: int) -> list[_Stage]:
        """Take the model through the steps of an arm; steps that another arm began with are found, not trained."""
        stages: list[_Stage] = []
        path: tuple[str, ...] = (self._beginning, arm.inputs, str(seed))
        for step in arm.steps:
            path = (*path, digest("step", step.stage.model_dump(mode="json"), step.data.model_dump(mode="json")))
            stages.append(self._stage(model, step, seed, self._folder / "stages" / digest("path", path)[:20]))
        return stages

    def _stage(self, model: Retriever, step: PlannedStep, seed: int, folder: Path) -> _Stage:
        triplets = self._mixture.mixed(step.data, seed)
        frozen = step.stage.trains == "query"
        if frozen:
            model.prepare_stage_two()
        examined, evaluate = self._development, None
        if examined is not None:
            evaluate = partial(
                examined.value, self._preset.primary, encoded=examined.encode(model) if frozen else None
            )
        trained = train(
            model, triplets, self._mixture.images, step.stage, folder=folder, seed=seed, evaluate=evaluate,
            extra_images=self._mixture.images.ids, cache=self._folder / "encoded", progress=self._progress,
            provenance={"development": examined.fingerprint if examined else ""},
        )  # fmt: skip
        return _Stage(trained, triplets, frozen)

    @cached_property
    def _beginning(self) -> str:
        """A hash of what every arm depends on: the base model, the data and the code that trains."""
        development = self._development.fingerprint if self._development else ""
        return digest("bench", content(self._base), self._mixture.fingerprints, development, code_version())
