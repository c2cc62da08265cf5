"""Tables of what filters catch and cost, for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.table import Table

from cirgen.world.filter_matrix import ACCEPT_ALL, MEASURES, RANDOM, WHOLE, Line, Matrix
from cirgen.world.flawed import GOOD
from cirgen.world.shares import Share

COLUMNS = 80
FIRST = 14
"""Widths of a table in the terminal, and of its first column."""


def matrix_tables(matrix: Matrix) -> list[Table]:
    """Return tables in percent, for 80 columns: what is caught, then what is accepted."""
    return [
        _table(f"{matrix.name}: rejected, in %", *_caught(matrix)),
        _table(f"{matrix.name}: of the accepted, in % / lower end of the 95 % interval", *_accepted(matrix, _lower)),
    ]


def _table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Return a table whose first column wraps and whose others are cut, so that all of them fit."""
    table = Table(title=title, box=None, title_justify="left")
    table.add_column(header[0], max_width=FIRST)
    widest = (COLUMNS - FIRST - 1) // (len(header) - 1) - 1
    for name in header[1:]:
        table.add_column(name[:widest], justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def markdown(matrix: Matrix) -> str:
    """Return both tables as Markdown."""
    return "\n\n".join(
        f"**{title}**\n\n{_markdown(*part)}"
        for title, part in (
            (f"{matrix.name}: rejected, in %", _caught(matrix)),
            (f"{matrix.name}: of the accepted, in % [95 % interval, by reference]", _accepted(matrix, _percent)),
        )
    )


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows))


def _caught(matrix: Matrix) -> tuple[list[str], list[list[str]]]:
    """Return a row for every flaw, a column for every stack."""
    lines = [line for line in matrix.lines if line.name != ACCEPT_ALL]
    header = ["flaw", "n", *(_short(line.name) for line in lines)]
    rows = [
        [flaw, str(count), *(_whole(line.lost if flaw == GOOD else line.caught.get(flaw)) for line in lines)]
        for flaw, count in sorted(matrix.flaws.items(), key=lambda item: (item[0] == GOOD, item[0]))
    ]
    asked = ["questions asked a triplet", "", *(f"{line.questions:.1f}" for line in lines)]
    return header, [*rows, asked]


def _accepted(matrix: Matrix, written: Callable[[Share | None], str]) -> tuple[list[str], list[list[str]]]:
    """Return a row for every stack, a column for every measure."""
    return ["stack", "accepted", *MEASURES], [
        [_short(line.name), f"{line.passed:,}", *(written(line.accepted.get(measure)) for measure in MEASURES)]
        for line in matrix.lines
    ]


def _short(name: str) -> str:
    return {WHOLE: "stack", RANDOM: "random drop"}.get(name, name.removesuffix(" alone"))


def _whole(value: Share | None) -> str:
    return f"{100 * value.share:.0f}" if value else ""


def _percent(value: Share | None) -> str:
    return f"{100 * value.share:.1f} [{100 * value.low:.1f}, {100 * value.high:.1f}]" if value else ""


def _lower(value: Share | None) -> str:
    return f"{100 * value.share:.1f}/{100 * value.low:.1f}" if value else ""


def verdict(matrix: Matrix) -> str:
    """Say in plain words what the whole stack achieves."""
    by_name = {line.name: line for line in matrix.lines}
    whole, nothing = by_name[WHOLE], by_name[ACCEPT_ALL]
    best = max((line for line in matrix.lines if line.name.endswith(" alone")), key=_good, default=nothing)
    lost = f"{100 * whole.lost.share:.0f} % of the good triplets" if whole.lost else "no good triplet"
    return (
        f"{matrix.name}: {100 * _good(nothing):.1f} % of all triplets are good, {100 * _good(whole):.1f} % of those "
        f"that the whole stack accepts, {100 * _good(best):.1f} % of those that its best filter by itself accepts "
        f"({_short(best.name)}); the stack drops {lost}."
    )


def _good(line: Line) -> float:
    found = line.accepted.get(GOOD)
    return found.share if found else 0.0
