"""What the arms of a preset came to, and what follows: figures with intervals, contrasts, curves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cirgen_benchmark.verdict.preset import Preset
from cirgen_benchmark.verdict.runner import At, Outcome
from cirgen_benchmark.verdict.statistics import LEVEL, Estimate, contrast_weights, estimate, holm

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class ArmResult:
    """One arm over all seeds."""

    arm: str
    at: At
    primary: Estimate
    steps: tuple[int, ...]
    """Of each seed: at which step."""
    metrics: Mapping[str, float]
    """Means over seeds, in per cent."""
    human: float
    """Triplets that its last stage trained on, mean over seeds."""
    synthetic: float


@dataclass(frozen=True)
class Contrast:
    """The answer to one question, in points of the primary metric."""

    name: str
    question: str
    at: At
    difference: Estimate
    p: float
    """Corrected for the other primary contrasts (Holm) where this is one; as it is elsewhere."""
    primary: bool

    @property
    def significant(self) -> bool:
        """Whether the difference is there, at the 5 % level."""
        return self.p < LEVEL


@dataclass(frozen=True)
class CurvePoint:
    """One arm of a curve at one value."""

    curve: str
    arm: str
    value: float
    at: At
    primary: Estimate


class Results:
    """All outcomes of a preset.

    Args:
        preset: whose outcomes these are.
        outcomes: every arm with every seed.
        remarks: what training lacks, in whole sentences.
    """

    def __init__(self, preset: Preset, outcomes: Sequence[Outcome], remarks: Sequence[str] = ()) -> None:
        self.preset = preset
        self.outcomes = tuple(outcomes)
        self._by_arm: dict[tuple[str, At], list[Outcome]] = {}
        for outcome in sorted(outcomes, key=lambda one: preset.seeds.index(one.seed)):
            self._by_arm.setdefault((outcome.arm.name, outcome.at), []).append(outcome)
        self._counted = _counting(self.outcomes[0])
        self._parts = _parts(self.outcomes[0])[self._counted]
        references = _references(self.outcomes[0])
        self._clusters = _numbered([references[place] for place in np.flatnonzero(self._counted)])
        self.notes = (*remarks, *outcomes[0].notes, *self._unequal())
        """What is missing or unequal, in whole sentences."""

    @property
    def queries(self) -> int:
        """Queries that count."""
        return len(self._clusters)

    @property
    def references(self) -> int:
        """Different references among them: the clusters of the bootstrap."""
        return int(self._clusters.max()) + 1

    def first(self, arm: str) -> Outcome:
        """Return what an arm came to with the first seed, at its last step."""
        return next(one for one in self._by_arm[arm, "last"] if one.seed == self.preset.seeds[0])

    def ats(self) -> tuple[At, ...]:
        """Return at which steps arms were examined."""
        return ("last", "best") if any(at == "best" for _, at in self._by_arm) else ("last",)

    def arms(self) -> list[ArmResult]:
        """Return the preset's own arms, each at its last and, where one was chosen, at its best step."""
        return list(self._arms)

    def contrasts(self) -> list[Contrast]:
        """Return the preset's contrasts at the last step, then at the chosen one."""
        return list(self._all_contrasts)

    def curves(self) -> list[CurvePoint]:
        """Return the points of the preset's curves."""
        return list(self._points)

    def verdict(self) -> Contrast | None:
        """Return the contrast that the last sentence is about, at the last step."""
        if self.preset.verdict is None:
            return None
        return next(c for c in self.contrasts() if c.name == self.preset.verdict and c.at == "last")

    def _unequal(self) -> Iterator[str]:
        """Say where a contrast is between arms that are trained for unequally long, the base model apart."""
        for name, contrast in self.preset.contrasts.items():
            arms = (self._by_arm[arm, "last"] for arm in (*contrast.plus, *contrast.minus))
            steps = sorted({one.steps for found in arms for one in found if one.steps})
            if len(steps) > 1:
                yield f"Arms of contrast {name} take {steps[0]:,} to {steps[-1]:,} steps, which may be what differs."

    @cached_property
    def _arms(self) -> tuple[ArmResult, ...]:
        return tuple(self._arm(found) for found in self._by_arm.values() if not found[0].arm.curve)

    @cached_property
    def _all_contrasts(self) -> tuple[Contrast, ...]:
        return tuple(contrast for at in self.ats() for contrast in self._contrasts(at))

    @cached_property
    def _points(self) -> tuple[CurvePoint, ...]:
        return tuple(
            CurvePoint(one.arm.curve, one.arm.of, one.arm.value, one.at, self._recall(found))
            for found in self._by_arm.values()
            if (one := found[0]).arm.curve
        )

    def _arm(self, found: Sequence[Outcome]) -> ArmResult:
        metrics = {key: float(np.mean([one.metrics[key] for one in found])) for key in found[0].metrics}
        human, synthetic = np.mean([one.triplets for one in found], axis=0)
        return ArmResult(
            found[0].arm.name, found[0].at, self._recall(found), tuple(one.step for one in found),
            metrics, float(human), float(synthetic),
        )  # fmt: skip

    def _contrasts(self, at: At) -> list[Contrast]:
        differences = {
            name: self._difference(contrast_weights(c.plus, c.minus, c.interaction), at)
            for name, c in self.preset.contrasts.items()
        }
        primary = {name: d.p for name, d in differences.items() if self.preset.contrasts[name].primary}
        corrected = holm(primary)
        return [
            Contrast(
                name, self.preset.contrasts[name].question, at, difference, corrected.get(name, difference.p),
                self.preset.contrasts[name].primary,
            )
            for name, difference in differences.items()
        ]  # fmt: skip

    def _difference(self, weights: Mapping[str, float], at: At) -> Estimate:
        total = sum(weight * self._values(self._examined(name, at)) for name, weight in weights.items())
        return self._estimate(np.asarray(total))

    def _examined(self, name: str, at: At) -> list[Outcome]:
        """Return an arm's outcomes; one that trained nothing has its last step alone."""
        return self._by_arm.get((name, at)) or self._by_arm[name, "last"]

    def _values(self, found: Sequence[Outcome]) -> Floats:
        """Return the primary metric [S, Q] of the queries that count, seeds in the preset's order."""
        rows = [np.concatenate(list(one.primary.values.values())) for one in found]
        return np.stack(rows)[:, self._counted]

    def _recall(self, found: Sequence[Outcome]) -> Estimate:
        """Estimate an arm's figure; no interval of a share leaves 0 to 100 %."""
        one = self._estimate(self._values(found))
        return one._replace(low=max(0.0, one.low), high=min(100.0, one.high))

    def _estimate(self, values: Floats) -> Estimate:
        return estimate(values, self._clusters, self._parts)


def _counting(outcome: Outcome) -> NDArray[np.bool_]:
    return np.asarray(~np.isnan(np.concatenate(list(outcome.primary.values.values()))))


def _parts(outcome: Outcome) -> Numbers:
    """Number the part of each query of the primary metric [Q]."""
    sizes = [len(values) for values in outcome.primary.values.values()]
    return np.repeat(np.arange(len(sizes)), sizes)


def _references(outcome: Outcome) -> list[tuple[str, str]]:
    """Return part and reference of each query of the primary metric, which may leave parts out [Q]."""
    table = outcome.queries
    found: dict[str, list[tuple[str, str]]] = {}
    for part, reference in zip(table["part"].to_pylist(), table["reference"].to_pylist(), strict=True):
        found.setdefault(part, []).append((part, reference))
    return [name for part in outcome.primary.values for name in found[part]]


def _numbered(names: Sequence[tuple[str, str]]) -> Numbers:
    """Return the number of each name, from 0 in order of appearance."""
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names], dtype=np.int64)
