"""Plots of the report: SVG that takes its text colour from the page, so that it reads in dark and in light."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from cirgen.filters.fit import LEAST_PASSING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from cirgen.filters.fit import Curve

ACCEPTED, REJECTED, NEUTRAL, WINDOW = "#2f9e6e", "#d9624f", "#8b93a1", "#e0a93b"
_INK = "#010203"  # stands for the page's text colour until the SVG is written
SIZE = (5.2, 2.7)  # inches: at 390 px the text is still 9 px high
LONGEST_SHOWN = 40
"""Words; longer texts share the last bar."""
BINS = 50


@dataclass(frozen=True)
class Window:
    """A range of similarities that a recipe asks for, open where None."""

    label: str
    lower: float | None
    upper: float | None

    @property
    def bounds(self) -> str:
        """Return the label with the bounds that are set."""
        parts = [f"from {self.lower:.3f}"] if self.lower is not None else []
        parts += [f"to {self.upper:.3f}"] if self.upper is not None else []
        return f"{self.label} ({' '.join(parts)})" if parts else self.label


def word_plot(counts: Mapping[bool, Mapping[int, int]]) -> Markup:
    """Plot how many words texts have, accepted and rejected ones on top of each other."""
    from matplotlib.ticker import MaxNLocator

    longest = min(max((n for by_length in counts.values() for n in by_length), default=1), LONGEST_SHOWN)
    lengths = np.arange(1, longest + 1)
    drawn: list[Markup] = []
    with canvas("words", drawn) as axes:
        bottom = np.zeros(longest)
        for is_accepted, color, label in ((True, ACCEPTED, "accepted"), (False, REJECTED, "rejected")):
            heights = _by_length(counts[is_accepted], longest)
            axes.bar(lengths, heights, bottom=bottom, color=color, label=label, width=0.85)
            bottom += heights
        axes.set_xlabel(f"words in the text{' (last bar: and more)' if longest == LONGEST_SHOWN else ''}")
        axes.set_ylabel("texts")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return drawn[0]


def _by_length(counts: Mapping[int, int], longest: int) -> NDArray[np.float64]:
    heights = np.zeros(longest)
    for length, number in counts.items():
        heights[min(length, longest) - 1] += number
    return heights


def similarity_plot(
    random: NDArray[np.float32] | None,
    pairs: NDArray[np.float32],
    accepted: NDArray[np.float32],
    windows: list[Window],
) -> Markup:
    """Plot how alike the two images of a pair are, and what the recipe asked for.

    Args:
        random: cosines of image pairs drawn at random, or None where there are no embeddings.
        pairs: of mined pairs.
        accepted: of accepted triplets.
        windows: ranges to shade.
    """
    kinds = [(random, NEUTRAL, "any two images"), (pairs, WINDOW, "mined pairs"), (accepted, ACCEPTED, "accepted")]
    shown = [(values, color, label) for values, color, label in kinds if values is not None and len(values)]
    lowest = min(float(values.min()) for values, _, _ in shown)
    highest = max(float(values.max()) for values, _, _ in shown)
    edges = np.linspace(lowest, max(highest, lowest + 0.01), BINS).tolist()
    drawn: list[Markup] = []
    with canvas("similarity", drawn) as axes:
        for window in windows:
            _shade(axes, window, lowest, edges[-1])
        for values, color, label in shown:
            weights = np.full(len(values), 100 / len(values))
            axes.hist(values, edges, weights=weights, histtype="step", linewidth=1.5, color=color, label=label)
        axes.set_xlabel("cosine similarity of the two images")
        axes.set_ylabel("share, %")
    return drawn[0]


def fit_plot(name: str, score: str, curve: Curve) -> Markup:
    """Plot precision and share kept of the labels against the threshold, with the point that was chosen."""
    drawn: list[Markup] = []
    with canvas(name, drawn) as axes:
        counted = curve.passing >= LEAST_PASSING
        for values, color, label in ((curve.precision, ACCEPTED, "precision"), (curve.kept, NEUTRAL, "good kept")):
            axes.step(curve.thresholds, 100 * values, where=_side(curve), color=color, linewidth=1.5, label=label)
        if curve.lower is not None:
            low = np.where(counted, 100 * curve.lower, np.nan)
            style: dict[str, Any] = {"color": WINDOW, "linewidth": 1.2, "label": "lower end"}
            axes.step(curve.thresholds, low, where=_side(curve), **style)
        asked = curve.fit.keep if curve.fit.precision is None else curve.fit.precision
        axes.axhline(100 * (asked or 0), color=REJECTED, linewidth=1, linestyle=":", label=f"asked for: {asked:.0%}")
        axes.axvline(curve.threshold, color=REJECTED, linewidth=1.2, linestyle="--")
        held = (curve.precision[curve.chosen], curve.kept[curve.chosen])
        axes.plot([curve.threshold] * 2, [100 * share for share in held], "o", color=REJECTED, markersize=4)
        axes.set_xlabel(f"{'smallest' if curve.least else 'largest'} {score} that passes")
        axes.set_ylabel("of the labels, %")
        axes.set_ylim(0, 104)
    return drawn[0]


def _side(curve: Curve) -> Literal["pre", "post"]:
    """Return where a step changes: what lies between two scores passes as the stricter one does."""
    return "pre" if curve.least else "post"


def _shade(axes: Axes, window: Window, lowest: float, highest: float) -> None:
    """Shade a window, with a line at each bound that lies within what is drawn."""
    lower = lowest if window.lower is None else max(lowest, window.lower)
    upper = highest if window.upper is None else min(highest, window.upper)
    axes.axvspan(lower, upper, color=WINDOW, alpha=0.15, linewidth=0, label=window.bounds)
    for bound in (window.lower, window.upper):
        if bound is not None and lowest <= bound <= highest:
            axes.axvline(bound, color=WINDOW, linewidth=1.2, linestyle="--")


@contextmanager
def canvas(name: str, drawn: list[Markup], size: tuple[float, float] = SIZE) -> Iterator[Axes]:
    """Yield axes; what is drawn on them is appended to `drawn` as SVG; `size` is in inches."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    inked = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    settings: Any = {**dict.fromkeys(inked, _INK), "svg.fonttype": "none", "svg.hashsalt": name, "font.size": 9}
    with mpl.rc_context(settings):
        figure = Figure(figsize=size)
        axes = figure.subplots()
        yield axes
        axes.spines[["top", "right"]].set_visible(False)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False)
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, bbox_inches="tight", metadata={"Date": None})
    svg = text.getvalue()
    drawn.append(Markup(svg[svg.index("<svg") :].replace(_INK, "currentColor")))
