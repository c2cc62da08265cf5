"""A verdict in a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.table import Table
from rich.text import Text

from cirgen_benchmark.verdict.preset import Preset
from cirgen_benchmark.verdict.results import ArmResult, Contrast, Results
from cirgen_benchmark.verdict.runner import At
from cirgen_benchmark.verdict.words import per_cent, points


def at_words(preset: Preset) -> Mapping[At, str]:
    """Say at which steps arms were examined."""
    on = "these very queries" if preset.selects_on_reported_split else "development"
    return {"last": "last step", "best": f"step chosen on {on}"}


SHORT: Mapping[At, str] = {"last": "last", "best": "chosen"}
"""Steps, for a narrow column."""
EXPLAINED = "In brackets: 95 % intervals. p: of primary questions, corrected for one another (Holm); * below 0.05."


def tables(results: Results) -> Iterator[Table]:
    """Yield the arms, then the contrasts."""
    yield _arms(results)
    if results.preset.contrasts:
        yield _contrasts(results.contrasts())


def _arms(results: Results) -> Table:
    table = Table("arm", box=None, pad_edge=False, title=f"{results.preset.primary}, per cent", title_justify="left")
    for at in results.ats():
        table.add_column(at_words(results.preset)[at], justify="right")
    table.add_column("human + synthetic", justify="right", max_width=11)
    by_name: dict[str, dict[str, ArmResult]] = {}
    for arm in results.arms():
        by_name.setdefault(arm.arm, {})[arm.at] = arm
    for name, found in by_name.items():
        figures = [per_cent(found[at].primary) if at in found else "" for at in results.ats()]
        table.add_row(Text(name), *figures, f"{found['last'].human:,.0f} + {found['last'].synthetic:,.0f}")
    return table


def _contrasts(contrasts: list[Contrast]) -> Table:
    table = Table("question", "step", box=None, pad_edge=False, title="Contrasts", title_justify="left")
    table.add_column("difference", justify="right")
    table.add_column("p", justify="right")
    for one in contrasts:
        question = Text(one.question if one.primary else f"{one.question} (exploratory)")
        table.add_row(question, SHORT[one.at], points(one.difference), f"{one.p:.4f}{'*' if one.significant else ''}")
    return table
