"""The verdict in one plain sentence."""

from __future__ import annotations

from cirgen_benchmark.verdict.results import Contrast, Results
from cirgen_benchmark.verdict.statistics import Estimate

WORTH = 1.0
"""Points of the primary metric that are worth having: an interval that reaches them does not rule out a help."""


def sentence(results: Results) -> str:
    """Say what the corpus did, and how sure that is."""
    found = results.verdict()
    if found is None:
        return "The preset asks no question that a verdict could answer."
    return f"{_answer(found, results.preset.primary)}{_doubt(results)}"


def _answer(found: Contrast, metric: str) -> str:
    change = f"{metric} changed by {points(found.difference)}"
    if found.significant and found.difference.value > 0:
        return f"This corpus helped: {change}."
    if found.significant:
        return f"This corpus did harm: {change}."
    if found.difference.high < WORTH:
        return f"This corpus did not help: {change}, at most {found.difference.high:.1f}."
    return f"Too few queries or seeds to tell: {change}, which may be chance."


def _doubt(results: Results) -> str:
    seeds, queries = _number(len(results.preset.seeds), "seed"), _number(results.queries, "query", "queries")
    asked = f" {seeds}, {queries} of {_number(results.references, 'reference')}"
    alone = "; what another seed would give is not known" if len(results.preset.seeds) == 1 else ""
    return f"{asked}{alone}{'; indicative only' if results.preset.is_indicative else ''}."


def _number(count: int, one: str, several: str = "") -> str:
    return f"{count:,} {one if count == 1 else several or f'{one}s'}"


def points(difference: Estimate) -> str:
    """Return a difference as `+3.1 points [1.2, 5.0]`."""
    value, low, high = (_rounded(one) for one in difference[:3])
    return f"{value:+.1f} points [{low:.1f}, {high:.1f}]"


def per_cent(figure: Estimate) -> str:
    """Return a figure as `41.2 [38.0, 44.1]`."""
    value, low, high = (_rounded(one) for one in figure[:3])
    return f"{value:.1f} [{low:.1f}, {high:.1f}]"


def _rounded(value: float) -> float:
    return round(value, 1) + 0.0  # no minus before nothing
