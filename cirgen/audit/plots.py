"""The plots of an audit: histograms with equal bars, a curve each."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from markupsafe import Markup

from cirgen.audit.figures import Audit, Histogram
from cirgen.report.plots import ACCEPTED, NEUTRAL, REJECTED, WINDOW, canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLORS = {
    "image and text": ACCEPTED,
    "text alone": WINDOW,
    "image alone": REJECTED,
    "pairs": ACCEPTED,
    "any two images": NEUTRAL,
    "texts": ACCEPTED,
    "references": WINDOW,
    "targets": ACCEPTED,
}
MOST_BARS = 20
"""More bars become a line."""
SIZE = (5.2, 2.9)  # inches


def plots(audit: Audit) -> list[tuple[str, Markup]]:
    """Return every histogram of an audit, with its title."""
    return [(one.title, _plot(one)) for section in audit.sections for one in section.histograms]


def _plot(histogram: Histogram) -> Markup:
    drawn: list[Markup] = []
    with canvas(histogram.title, drawn, SIZE) as axes:
        bars = len(histogram.edges) - 1
        if bars <= MOST_BARS:
            _bars(axes, histogram)
        else:
            whole = all(float(edge).is_integer() for edge in histogram.edges)
            edges = [edge - 0.5 for edge in histogram.edges] if whole else list(histogram.edges)
            for name, counts in histogram.counts.items():
                axes.stairs(_shares(counts), edges, label=name, color=COLORS.get(name, NEUTRAL), linewidth=1.5)
        axes.set_xlabel(histogram.title.replace("$", r"\$"))  # no formula: a model's path may hold one
        axes.set_ylabel("share, %")
    return drawn[0]


def _bars(axes: Axes, histogram: Histogram) -> None:
    bars, curves = len(histogram.edges) - 1, len(histogram.counts)
    width = 0.86 / curves
    for place, (name, counts) in enumerate(histogram.counts.items()):
        at = [bar + width * (place - (curves - 1) / 2) for bar in range(bars)]
        axes.bar(at, _shares(counts), width=width, color=COLORS.get(name, NEUTRAL), label=name)
    axes.set_xticks(range(bars), labels(histogram.edges), fontsize=7.5, rotation=30 if bars > 8 else 0)


def labels(edges: tuple[float, ...]) -> list[str]:
    """Name bars by the whole numbers in them, `3` or `3-5`."""
    found = []
    for low, high in pairwise(edges):
        last = high - 1
        found.append(f"{low:,.0f}" if last <= low else f"{low:,.0f}\u2013{last:,.0f}")
    return found


def _shares(counts: tuple[float, ...]) -> list[float]:
    whole = sum(counts) or 1.0
    return [100 * count / whole for count in counts]
