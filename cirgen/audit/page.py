"""audit.html: an audit, or two side by side, in one file that needs no other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cirgen import __version__
from cirgen.audit.audit import Findings
from cirgen.audit.figures import Audit, Figure, Section
from cirgen.audit.plots import plots
from cirgen.audit.table import comparable, label, paired_sections
from cirgen.audit.words import compared, listed, not_measured, plain, shown
from cirgen.audit.worst import worst
from cirgen.report.page import render
from cirgen.report.thumbnails import Thumbnails
from cirgen.shards import write_text

TEMPLATE = Path(__file__).with_name("audit.html.j2")
COMPARISON = Path(__file__).with_name("comparison.html.j2")
HEADLINES = (
    ("size.rows", "rows"),
    ("images.images", "images"),
    ("shortcuts.rate", "shortcut rate at 10"),
    ("shortcuts.gap", "Composition Gap, points"),
    ("texts.unique_share", "unique texts"),
    ("texts.opening_share", "share the commonest opening"),
    ("judged.accuracy", "judged right"),
    ("judged.control", "of foreign texts judged right"),
    ("truth.good", "good, by exact truth"),
)


def write_page(path: Path, found: Findings) -> None:
    """Write the page of one audit."""
    audit = found.audit
    page = render(
        TEMPLATE,
        version=__version__,
        audit=audit,
        headlines=list(headlines(audit)),
        sections=[section for section in audit.sections if any(not figure.absent for figure in section.figures)],
        shown=shown,
        present=_present,
        absent=[(listed(labels, 99), reason) for reason, labels in not_measured(audit).items()],
        plots=plots(audit),
        worst=worst(found),
        picture=Thumbnails(found.corpus).uri,
        pictured=found.corpus.pictures is not None,
        short=_short,
    )
    write_text(path, page)


def headlines(audit: Audit) -> Iterator[tuple[str, str]]:
    """Yield the figures to begin with, as far as they are there, and what they are."""
    known = dict(audit.figures())
    for key, words in HEADLINES:
        figure = known.get(key)
        if figure is not None and figure.value is not None:
            yield plain(figure).removesuffix(" points"), words


def _present(section: Section) -> list[Figure]:
    return [figure for figure in section.figures if not figure.absent]


def _short(image_id: str) -> str:
    return image_id if len(image_id) <= 24 else f"{image_id[:10]}\u2026"


def write_comparison(path: Path, one: Audit, other: Audit, pages: tuple[str, str]) -> None:
    """Write the page of two audits.

    Args:
        path: the file.
        one: A.
        other: B.
        pages: where the pages of A and B lie, from there; empty where they do not.
    """
    sections: list[dict[str, Any]] = []
    for section, figures in paired_sections(one, other):
        rows = [
            {
                "label": label(a, b),
                "a": shown(a),
                "b": shown(b),
                "difference": compared(a, b) if comparable(section.name, one, other) else "other encoders",
            }
            for a, b in figures
            if (a is not None and not a.absent) or (b is not None and not b.absent)
        ]
        if rows:
            sections.append({"title": section.title, "about": section.about, "rows": rows})
    page = render(
        COMPARISON,
        version=__version__,
        audits=(one, other),
        pages=pages,
        sections=sections,
        plots=_paired_plots(one, other),
        absent=[
            [(listed(labels, 99), reason) for reason, labels in not_measured(audit).items()] for audit in (one, other)
        ],
    )
    write_text(path, page)


def _paired_plots(one: Audit, other: Audit) -> list[tuple[str, list[Any]]]:
    """Return the plots that both have, side by side, then those that one has."""
    ours, theirs = dict(plots(one)), dict(plots(other))
    return [(title, [ours.get(title, ""), theirs.get(title, "")]) for title in dict.fromkeys((*ours, *theirs))]
