"""The verdict in one plain sentence."""

from __future__ import annotations

from cirgen_benchmark.verdict.results import Contrast, Results
from cirgen_benchmark.verdict.statistics import Estimate

WORTH = 1.0
"""Points of the primary metric that are worth having: an interval that reaches them does not rule out a help."""
FEWEST_REFERENCES = 50
"""With fewer, a bootstrap over references is too sure of itself (Cameron and Miller 2015: few clusters)."""
LARGEST_UNSEEN = 3.7
"""Divided by the number of references: the share of which none may be seen by chance (97.5 %; "rule of three")."""


def sentence(results: Results) -> str:
    """Say what the corpus did, and how sure that is."""
    found = results.verdict()
    if found is None:
        return "The preset asks no question that a verdict could answer."
    return f"{_answer(found, results.preset.primary, results.references)}{_doubt(results)}"


def _answer(found: Contrast, metric: str, references: int) -> str:
    change = f"{metric} changed by {points(found.difference)}"
    if references < FEWEST_REFERENCES:
        return f"Too few queries to tell: {change}, and {FEWEST_REFERENCES} different references are the least."
    if found.significant and found.difference.value > 0:
        return f"This corpus helped: {change}."
    if found.significant:
        return f"This corpus did harm: {change}."
    if max(found.difference.high, 100 * LARGEST_UNSEEN / references) < WORTH:
        return f"This corpus did not help: {change}, at most {found.difference.high:.1f}."
    return f"Too few queries or seeds to tell: {change}, which may be chance."


def _doubt(results: Results) -> str:
    seeds, queries = counted(len(results.preset.seeds), "seed"), counted(results.queries, "query", "queries")
    asked = f" {seeds}, {queries} of {counted(results.references, 'reference')}"
    alone = "; what another seed would give is not known" if len(results.preset.seeds) == 1 else ""
    return f"{asked}{alone}{'; indicative only' if results.preset.is_indicative else ''}."


def counted(count: int, one: str, several: str = "") -> str:
    """Return `1 seed`, or `3 seeds`."""
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
