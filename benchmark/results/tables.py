"""The tables of benchmark/README.md from a committed verdict.

Run: python benchmark/results/tables.py [benchmark/results/demo-full.json]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

DEMO_FULL = Path(__file__).with_name("demo-full.json")


def main() -> None:
    """Print every table of a `bench.json`."""
    found = json.loads(Path(sys.argv[1] if sys.argv[1:] else DEMO_FULL).read_text(encoding="utf8"))
    print("\n\n".join("\n".join(table) for table in tables(found)))


def tables(found: dict[str, Any]) -> list[list[str]]:
    """Return the lines of a table of arms, one of contrasts, and one of each curve; figures are in per cent."""
    return [list(_arms(found["arms"])), list(_contrasts(found["contrasts"])), *_curves(found["curves"])]


def _arms(arms: Sequence[dict[str, Any]]) -> Iterator[str]:
    chosen = {arm["arm"]: _interval(arm["primary"]) for arm in arms if arm["at"] == "best"}
    yield from _head("arm", "last step", "step chosen on development", "human + synthetic")
    for arm in arms:
        if arm["at"] == "last":
            rows = f"{arm['human']:,.0f} + {arm['synthetic']:,.0f}"
            yield _row(arm["arm"], _interval(arm["primary"]), chosen.get(arm["arm"], ""), rows)


def _contrasts(contrasts: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield from _head("question", "difference, points", "p", "")
    for one in contrasts:
        if one["at"] == "last":
            sure = f"{one['p']:.4f}{'*' if one['significant'] else ''}"
            asked = "primary" if one["primary"] else "exploratory"
            yield _row(one["question"], _interval(one["difference"], "+"), sure, asked)


def _curves(points: Sequence[dict[str, Any]]) -> Iterator[list[str]]:
    last = [point for point in points if point["at"] == "last"]
    for curve in dict.fromkeys(point["curve"] for point in last):
        of_curve = [point for point in last if point["curve"] == curve]
        values = sorted({point["value"] for point in of_curve})
        lines = list(_head(curve, *(f"{value:,g}" for value in values)))
        for arm in dict.fromkeys(point["arm"] for point in of_curve):
            shown = {point["value"]: _interval(point["primary"]) for point in of_curve if point["arm"] == arm}
            lines.append(_row(arm, *(shown[value] for value in values)))
        yield lines


def _interval(found: dict[str, float], sign: str = "") -> str:
    value, low, high = (round(found[name], 1) + 0.0 for name in ("value", "low", "high"))  # of -0.0 it makes 0.0
    return f"{value:{sign}.1f} [{low:.1f}, {high:.1f}]"


def _head(*titles: str) -> tuple[str, str]:
    return _row(*titles), "|---" * len(titles) + "|"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
