"""An audit in a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from cirgen.audit.figures import Audit, Figure, Section
from cirgen.audit.words import compared, listed, not_measured, plain, shown

LABEL, FIGURE = 48, 26
"""Widths in characters, so that the tables of all sections stand in line."""


def tables(audit: Audit) -> Iterator[Table]:
    """Yield a table for every section that has a figure."""
    for section in audit.sections:
        there = [figure for figure in section.figures if not figure.absent]
        if there:
            table = _table(section.title)
            table.add_column(min_width=LABEL)
            table.add_column(justify="right", no_wrap=True, min_width=FIGURE)
            for figure in there:
                table.add_row(Text(figure.label), shown(figure))
            yield table


def comparison(one: Audit, other: Audit) -> Iterator[Table]:
    """Yield a table for every section that either has a figure of: the first, the second, and their difference."""
    for section, figures in paired_sections(one, other):
        there = [(a, b) for a, b in figures if not (_missing(a) and _missing(b))]
        if there:
            table = _table(section.title, header=True)
            table.add_column("", min_width=30)
            table.add_column("A", justify="right", no_wrap=True, min_width=12)
            table.add_column("B", justify="right", no_wrap=True, min_width=12)
            table.add_column("B \u2212 A", justify="right", no_wrap=True, min_width=20)
            for a, b in there:
                difference = compared(a, b) if comparable(section.name, one, other) else ""
                table.add_row(Text(label(a, b)), plain(a), plain(b), difference)
            yield table


def paired_sections(one: Audit, other: Audit) -> Iterator[tuple[Section, list[tuple[Figure | None, Figure | None]]]]:
    """Yield every section of either audit, with the figures of both under one name side by side."""
    names = dict.fromkeys(section.name for audit in (one, other) for section in audit.sections)
    for name in names:
        a, b = one.section(name), other.section(name)
        ours = {figure.name: figure for figure in a.figures} if a else {}
        theirs = {figure.name: figure for figure in b.figures} if b else {}
        some = a or b
        assert some is not None
        yield some, [(ours.get(key), theirs.get(key)) for key in dict.fromkeys((*ours, *theirs))]


EMBEDDED = ("shortcuts", "false_negatives", "similarity", "true_queries")
"""Sections whose figures depend on the encoders."""


def comparable(section: str, one: Audit, other: Audit) -> bool:
    """Return whether the figures of a section can be compared: embeddings of other encoders cannot."""
    return section not in EMBEDDED or _encoders(one) == _encoders(other)


def _encoders(audit: Audit) -> list[str]:
    return [encoder["content"] for encoder in audit.settings.get("encoders", ())]


def label(one: Figure | None, other: Figure | None) -> str:
    """Return the label of a figure that either has."""
    return one.label if one is not None else other.label if other is not None else ""


def _missing(figure: Figure | None) -> bool:
    return figure is None or bool(figure.absent)


def _table(title: str, header: bool = False) -> Table:
    return Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, show_header=header)


def remarks(audit: Audit) -> Iterator[str]:
    """Yield what a reader must know, and what was not measured and why."""
    yield from audit.notes
    for reason, labels in not_measured(audit).items():
        yield f"Not measured: {listed(labels)}: {reason}."
