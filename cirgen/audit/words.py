"""Figures as people read them."""

from __future__ import annotations

from collections.abc import Iterable

from cirgen.audit.figures import Audit, Figure, Unit
from cirgen.intervals import Interval, difference

NOTHING = "\u2013"
"""Stands for a figure that is not there."""


def shown(figure: Figure | None) -> str:
    """Return a figure with its unit and interval, such as `69.7 % [67.9, 71.4]`."""
    if figure is None or figure.value is None:
        return NOTHING
    limits = "" if figure.interval is None else f" {_limits(figure.interval, figure.unit)}"
    return f"{plain(figure)}{limits}"


def plain(figure: Figure | None) -> str:
    """Return a figure with its unit, without an interval."""
    if figure is None or figure.value is None:
        return NOTHING
    return f"{_bare(figure.value, figure.unit)}{_after(figure.unit)}"


def _limits(interval: Interval, unit: Unit) -> str:
    return f"[{_bare(interval.low, unit)}, {_bare(interval.high, unit)}]"


def _bare(value: float, unit: Unit) -> str:
    if unit == "count":
        return f"{value:,.0f}"
    if unit == "percent":
        return f"{value:.2f}" if 0.005 <= value < 0.095 else f"{round(value, 1) + 0.0:.1f}"  # rare, yet there
    if unit == "points":
        return f"{round(value, 1) + 0.0:+.1f}"  # no minus before nothing
    if unit == "ratio":
        return f"{value:.2f}"
    return f"{value:,.1f}" if abs(value) >= 100 else f"{value:.3g}"


def _after(unit: Unit) -> str:
    return {"percent": " %", "points": " points"}.get(unit, "")


def compared(one: Figure | None, other: Figure | None) -> str:
    """Return the second figure less the first, with an interval where both have one."""
    if one is None or other is None or one.value is None or other.value is None:
        return ""
    if one.unit == "count":
        return f"{other.value - one.value:+,.0f}"
    if one.interval is None or other.interval is None:
        return _signed(other.value - one.value, one.unit)
    found = difference(other.interval, one.interval)
    limits = ", ".join(_signed(limit, one.unit) for limit in (found.low, found.high))
    return f"{_signed(found.value, one.unit)} [{limits}]"


def _signed(value: float, unit: Unit) -> str:
    if unit in ("percent", "points"):
        return f"{round(value, 1) + 0.0:+.1f}"
    return f"{round(value, 2) + 0.0:+.2f}" if unit == "ratio" else f"{value:+.3g}"


def not_measured(audit: Audit) -> dict[str, list[str]]:
    """Return each reason with the labels of the figures that are absent for it."""
    found: dict[str, list[str]] = {}
    for _, figure in audit.figures():
        if figure.absent:
            found.setdefault(figure.absent, []).append(figure.label)
    return found


def listed(labels: Iterable[str], most: int = 6) -> str:
    """Return labels in a row, the first ones only where there are many."""
    names = list(labels)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"
