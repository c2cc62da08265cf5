"""The plots of a verdict: contrasts with their intervals, and curves."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

from markupsafe import Markup

from cirgen.report.plots import ACCEPTED, NEUTRAL, REJECTED, WINDOW, canvas
from cirgen_benchmark.verdict.results import ArmResult, Contrast, CurvePoint

COLORS = (ACCEPTED, REJECTED, WINDOW, NEUTRAL, "#5b7fd1", "#9b6bc4")
AXES = {
    "human": "human triplets",
    "ratio": "synthetic triplets for each human one",
    "negatives": "negatives drawn from the bank",
}
ROW_INCHES = 0.32


def arm_plot(arms: Sequence[ArmResult], metric: str) -> Markup:
    """Plot every arm with its interval, in the preset's order."""
    return _forest("arms", [(arm.arm, arm.primary) for arm in arms], f"{metric}, %", None)


def contrast_plot(contrasts: Sequence[Contrast], metric: str) -> Markup:
    """Plot every contrast with its interval, and where nothing would be."""
    return _forest("contrasts", [(one.name, one.difference) for one in contrasts], f"{metric}, points", 0.0)


def _forest(
    name: str, rows: Sequence[tuple[str, tuple[float, float, float, float]]], label: str, zero: float | None
) -> Markup:
    drawn: list[Markup] = []
    with canvas(name, drawn, (5.2, 0.7 + ROW_INCHES * len(rows))) as axes:
        for place, (_, (value, low, high, _)) in enumerate(rows):
            axes.plot([low, high], [place, place], color=COLORS[4], linewidth=2)
            axes.plot([value], [place], "o", color=COLORS[4], markersize=5)
        if zero is not None:
            axes.axvline(zero, color=NEUTRAL, linewidth=1, linestyle="--")
        axes.set_yticks(range(len(rows)), [text for text, _ in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlabel(label)
    return drawn[0]


def curve_plot(points: Sequence[CurvePoint], vary: str, metric: str) -> Markup:
    """Plot the arms of one curve against what is varied, on a logarithmic axis, with their intervals."""
    drawn: list[Markup] = []
    with canvas(f"curve {vary}", drawn) as axes:
        for arm, color in zip(dict.fromkeys(point.arm for point in points), cycle(COLORS), strict=False):
            of_arm = sorted((point for point in points if point.arm == arm), key=lambda point: point.value)
            values = [point.value for point in of_arm]
            axes.plot(values, [point.primary.value for point in of_arm], "o-", color=color, label=arm, markersize=4)
            axes.fill_between(
                values, [point.primary.low for point in of_arm], [point.primary.high for point in of_arm],
                color=color, alpha=0.15, linewidth=0,
            )  # fmt: skip
        axes.set_xscale("log")
        ticks = sorted({point.value for point in points})
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.set_xlabel(AXES[vary])
        axes.set_ylabel(f"{metric}, %")
    return drawn[0]
