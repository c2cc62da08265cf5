"""Every arm that a preset trains: its own, and one for each point of its curves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from cirgen_benchmark.training.settings import StageSettings
from cirgen_benchmark.verdict.preset import ArmSettings, CurveSettings, DataSettings, Inputs, Preset, StepSettings


class PlannedStep(NamedTuple):
    """One stage on one mix, with all numbers filled in."""

    name: str
    """Of the stage."""
    stage: StageSettings
    data: DataSettings
    epochs_of: DataSettings | None = None
    """Where epochs are counted, if not on `data`."""


class PlannedArm(NamedTuple):
    """What is trained for one figure."""

    name: str
    steps: tuple[PlannedStep, ...]
    inputs: Inputs
    curve: str = ""
    """The curve that this is a point of; empty for an arm of the preset."""
    of: str = ""
    """The arm that the point varies."""
    value: float = 0.0
    """Where on the curve."""


def planned(preset: Preset) -> list[PlannedArm]:
    """Return the arms of a preset, then the points of its curves."""
    arms = [_arm(preset, name, settings) for name, settings in preset.arms.items()]
    by_name = {arm.name: arm for arm in arms}
    points = [point for name, curve in preset.curves.items() for point in _points(name, curve, by_name)]
    return [*arms, *points]


def _arm(preset: Preset, name: str, settings: ArmSettings) -> PlannedArm:
    return PlannedArm(name, tuple(_step(preset, step) for step in settings.steps), settings.inputs)


def _step(preset: Preset, step: StepSettings) -> PlannedStep:
    counted = None if step.epochs_of is None else preset.data[step.epochs_of]
    return PlannedStep(step.stage, preset.stages[step.stage], preset.data[step.on], counted)


def _points(name: str, curve: CurveSettings, arms: dict[str, PlannedArm]) -> Iterator[PlannedArm]:
    for of in curve.arms:
        for value in curve.values:
            steps = tuple(_varied(step, curve, value) for step in arms[of].steps)
            yield PlannedArm(curve.point(name, of, value), steps, arms[of].inputs, name, of, value)


def _varied(step: PlannedStep, curve: CurveSettings, value: float) -> PlannedStep:
    if curve.vary == "negatives":
        bank = step.stage.bank.model_copy(update={"negatives": int(value)})
        return step._replace(
            stage=step.stage.model_copy(update={"bank": bank}) if step.stage.loss == "bank" else step.stage
        )
    human = int(value) if curve.vary == "human" else curve.human
    changed = {"human": human} if step.data.human and human else {}
    if curve.vary == "ratio" and step.data.corpus is not None:
        changed["ratio"] = value  # type: ignore[assignment]
    return step._replace(data=step.data.model_copy(update=changed))
