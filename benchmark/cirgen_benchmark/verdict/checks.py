"""What would stop a verdict after hours of training, looked for before anything is trained."""

from __future__ import annotations

from cirgen.errors import UserError
from cirgen_benchmark.training.batches import Batches
from cirgen_benchmark.training.indexed import check_triplets
from cirgen_benchmark.verdict.examiner import Examiner, metric_key
from cirgen_benchmark.verdict.mixture import Mixture
from cirgen_benchmark.verdict.plan import PlannedArm, planned
from cirgen_benchmark.verdict.preset import Preset


def check_preset(preset: Preset, mixture: Mixture, evaluation: Examiner, development: Examiner | None) -> None:
    """Check that every arm has its data, and that every metric exists.

    Raises:
        UserError: the corpus lacks rows or images that an arm trains on, or a batch is larger than what it is drawn
            from, with the name of the arm; or a metric is none of the protocol's.
    """
    metric_key(evaluation.metrics, preset.primary)
    if development is not None:
        metric_key(development.metrics, preset.chosen_by)
    for arm in planned(preset):
        try:
            _check_arm(arm, mixture, preset.seeds[0])
        except UserError as error:
            raise UserError(f"Arm '{arm.name}': {error}") from error


def _check_arm(arm: PlannedArm, mixture: Mixture, seed: int) -> None:
    for step in arm.steps:
        for data in filter(None, (step.data, step.epochs_of)):
            triplets = mixture.mixed(data, seed)
            check_triplets(triplets, mixture.images, step.stage.hard_negatives)
            Batches(len(triplets), step.stage, seed)
