"""The section of a dataset card that an audit fills."""

from __future__ import annotations

from collections.abc import Iterator

from cirgen.audit.figures import Audit
from cirgen.audit.words import listed, not_measured, shown
from cirgen.publish.card import cell, code
from cirgen.publish.places import public_name

KEYS = (
    "shortcuts.queries",
    "shortcuts.gallery",
    "shortcuts.rate",
    "shortcuts.rate_chance",
    "shortcuts.rate_text",
    "shortcuts.rate_image",
    "shortcuts.recall_both",
    "shortcuts.gap",
    "shortcuts.text_ratio",
    "true_queries.rate",
    "true_queries.gap",
    "false_negatives.share",
    "false_negatives.control",
    "false_negatives.estimate",
    "texts.unique_share",
    "texts.words_mean",
    "texts.distinct_2_sample",
    "texts.opening_share",
    "texts.meta_talk",
    "leaks.target_full",
    "leaks.reference_full",
    "pairs.reversed",
    "pairs.text_of_many",
    "pairs.within_group",
    "degrees.reference_max",
    "degrees.target_max",
    "images.near",
    "changes.largest",
    "licences.known",
    "overlap.near",
    "judged.accuracy",
    "judged.control",
)
"""What a card tells, in the order of the audit; figures of several encoders or benchmarks have a number behind.

Exact truth is left out: a card of the embedded world says that nothing that made it has read that.
"""
MEANINGS = (
    "- **Shortcut rate**: queries whose target is among the first ten for the text alone or the image alone. "
    "**Composition Gap**: R@10 of both less the better of the two. Chance is a random order of the gallery.",
    "- **Rival** of a target: an image that every encoder puts at least as near to text and reference. A screen for "
    "false negatives, not a count of them: it means nothing unless it is smaller than its control.",
    "- Intervals are 95 %, from a bootstrap over references: they tell of the rows, not of the choice of encoder.",
)


def card_section(audit: Audit) -> str:
    """Return the section as Markdown, its heading first, a newline last."""
    lines = [
        "## Audit",
        "",
        f"By `cirgen audit` of cirgen {audit.version}, of all rows{_split(audit)}{_models(audit)}.",
        *(cell(note) for note in audit.notes),
        "",
        "| figure | |",
        "|---|---:|",
        *_rows(audit),
        "",
        *MEANINGS,
        *_missing(audit),
    ]
    return "\n".join(lines) + "\n"


def _split(audit: Audit) -> str:
    split = audit.settings.get("split")
    return f" of the split {split}" if split else ""


def _models(audit: Audit) -> str:
    models = [one["model"] for one in audit.settings.get("encoders", ())]
    judge = audit.settings.get("judge")
    named = [*models, *([judge["model"]] if judge else [])]
    return f", with {' and '.join(code(public_name(model)) for model in named)}" if named else ""


def _rows(audit: Audit) -> Iterator[str]:
    titles = {section.name: section.title for section in audit.sections}
    for key, figure in audit.figures():
        if figure.value is None or not any(key == known or _numbered(key, known) for known in KEYS):
            continue
        section = key.partition(".")[0]
        prefix = f"{titles[section]}: " if section in ("true_queries", "overlap") else ""
        yield f"| {cell(prefix + figure.label)} | {cell(shown(figure))} |"


def _numbered(key: str, known: str) -> bool:
    return key.startswith(f"{known}_") and key.removeprefix(f"{known}_").isdecimal()


def _missing(audit: Audit) -> Iterator[str]:
    for reason, labels in not_measured(audit).items():
        yield f"- Not measured: {cell(listed(labels, 99))} ({cell(reason)})."
