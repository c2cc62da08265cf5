"""What would stop a verdict after hours of training, looked for before anything is trained."""

from __future__ import annotations

from cirgen_benchmark.training.batches import Batches
from cirgen_benchmark.verdict.examiner import Examiner, metric_key
from cirgen_benchmark.verdict.mixture import Mixture
from cirgen_benchmark.verdict.plan import planned
from cirgen_benchmark.verdict.preset import Preset


def check_data(preset: Preset, mixture: Mixture) -> None:
    """Check that every arm has its data.

    Raises:
        UserError: a corpus is not there, or lacks rows that an arm trains on, or a batch is larger than what it is
            drawn from.
    """
    _ = mixture.fingerprints  # reads every corpus and its images, whether an arm trains on them or not
    seed = preset.seeds[0]
    for step in (step for arm in planned(preset) for step in arm.steps):
        for data in filter(None, (step.data, step.epochs_of)):
            Batches(len(mixture.mixed(data, seed)), step.stage, seed)


def check_metrics(preset: Preset, evaluation: Examiner, development: Examiner | None) -> None:
    """Check that every metric exists.

    Raises:
        UserError: one is none of its protocol's, or images are missing and that is not allowed.
    """
    metric_key(evaluation.metrics, preset.primary)
    if development is not None:
        metric_key(development.metrics, preset.chosen_by)
