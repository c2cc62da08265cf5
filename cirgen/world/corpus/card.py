"""What the card of the corpus says beyond that of any run: counts by slice and kind, searches, oracles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any

from cirgen.publish.tables import SPLITS
from cirgen.world.corpus.questions import Question
from cirgen.world.corpus.rankings import ALL, GOOD, METHODS, RECALLS, Ranked, Recall
from cirgen.world.corpus.subject import Subject
from cirgen.world.corpus.tables import CorpusTables
from cirgen.world.oracle import TOP, Solved
from cirgen.world.shares import Share

SHOWN_SPLIT = "test"
SHOWN_RECALL = 10
FEWEST = 10
"""Queries of a slice that the card has a line for."""


def corpus_facts(
    subject: Subject,
    tables: CorpusTables,
    questions: Mapping[str, Sequence[Question]],
    split_of: Mapping[str, str],
    found: Sequence[Recall],
    solved: Sequence[Solved],
    ranked: Sequence[Ranked],
) -> dict[str, Any]:
    """Return what the template knows as `corpus`.

    Args:
        subject: what the corpus shows.
        tables: of the mined part.
        questions: text-first queries by split.
        split_of: image id to split.
        found: recall of every search by slice.
        solved: what the oracles solve.
        ranked: the rankings themselves.
    """
    accepted = [one for one in tables.truths if not tables.reasons[one.triplet_id]]
    asked = [(split, one) for split, some in questions.items() for one in some]
    images = Counter(split_of.values())
    return {
        **subject.facts(),
        "splits": [(split, images[split], subject.families[split]) for split in SPLITS],
        "images": len(split_of),
        "left_out": tables.left_out,
        "mined": len(accepted),
        "asked": len(asked),
        "many": sum(len(one.targets) > 1 for _, one in asked),
        "most": max((len(one.targets) for _, one in asked), default=0),
        "good": sum(one.verdict.good for one in accepted),
        "refused": _refused(tables),
        "unsaid_positives": sum(bool(one.positive_ids) for one in accepted),
        "cleared": sum(one.cleared for one in accepted),
        "cleared_rows": sum(bool(one.cleared) for one in accepted),
        "slices": _slice_rows(
            subject.slices,
            [(split, one.slices) for split, one in asked],
            [(one.split, one.slices) for one in accepted],
        ),
        "kinds": _kind_rows(subject.negatives, [wrong["kind"] for one in accepted for wrong in one.hard_negatives]),
        "encoder": subject.encoder,
        "depth": subject.depth,
        "top": TOP,
        "recalls": RECALLS,
        "whole": _whole(found, ranked),
        "by_slice": _by_slice(subject.slices, found),
        "mined_recall": _mined_recall(found),
        "fewest": FEWEST,
        "oracles": solved,
        "loaded": _loaded(ranked),
    }


def _slice_rows(
    meanings: Mapping[str, str],
    asked: Iterable[tuple[str, Iterable[str]]],
    mined: Iterable[tuple[str, Iterable[str]]],
) -> list[tuple[str, str, list[int]]]:
    """Return (slice, meaning, rows of each split of text_first, then of triplets)."""
    counts = [Counter((split, name) for split, names in part for name in names) for part in (asked, mined)]
    return [
        (name, meaning, [part[split, name] for part in counts for split in SPLITS])
        for name, meaning in meanings.items()
        if any(part[split, name] for part in counts for split in SPLITS)
    ]


def _kind_rows(meanings: Mapping[str, str], kinds: Iterable[str]) -> list[tuple[str, str, int]]:
    counts = Counter(kinds)
    return [(kind, meaning, counts[kind]) for kind, meaning in meanings.items()]


def _refused(tables: CorpusTables) -> dict[str, tuple[int, float]]:
    """Return, by filter, how many rows it refused, and which share of them (0 to 1) is good."""
    found: dict[str, list[bool]] = {}
    for one in tables.truths:
        if reason := tables.reasons[one.triplet_id]:
            found.setdefault(reason.partition(":")[0], []).append(one.verdict.good)
    return {name: (len(good), sum(good) / len(good)) for name, good in found.items()}


def percent(value: Share) -> str:
    """Return a share in per cent with its interval."""
    return f"{100 * value.share:.1f} [{100 * value.low:.1f}, {100 * value.high:.1f}]"


def _whole(found: Sequence[Recall], ranked: Sequence[Ranked]) -> list[list[str]]:
    """Return one line for each search of the shown split: who, queries, recalls, mAP."""
    precision = {(*one.part[:3], one.method): one.precision for one in ranked}
    return [
        [
            f"`{one.config}`, {one.wording}",
            one.method.replace("_", " "),
            f"{one.queries:,}",
            *(f"{100 * one.recalls[k].share:.1f}" for k in RECALLS),
            f"{precision[one.config, one.split, one.wording, one.method]:.1f}",
        ]
        for one in found
        if one.split == SHOWN_SPLIT and one.slice == ALL
    ]


def _by_slice(meanings: Mapping[str, str], found: Sequence[Recall]) -> list[list[str]]:
    """Return one line for each slice of the shown split: recall of the three searches, and what composing gains."""
    shown = {
        (one.config, one.slice, one.method): one for one in found if one.split == SHOWN_SPLIT and one.wording == "text"
    }
    lines = []
    names = (ALL, *meanings, GOOD)
    for config, name in product(dict.fromkeys(config for config, _, _ in shown), names):
        if (config, name, METHODS[0]) not in shown or shown[config, name, METHODS[0]].queries < FEWEST:
            continue
        three = [shown[config, name, method] for method in METHODS]
        shares = [one.recalls[SHOWN_RECALL] for one in three]
        gap = 100 * (shares[0].share - max(shares[1].share, shares[2].share))
        lines.append([f"`{config}`", name, f"{three[0].queries:,}", *map(percent, shares), f"{gap:+.1f}"])
    return lines


def _mined_recall(found: Sequence[Recall]) -> dict[str, str]:
    """Return R@10 of each search of all mined queries of the shown split; nothing where it has none."""
    return {
        one.method: percent(one.recalls[SHOWN_RECALL])
        for one in found
        if (one.config, one.split, one.slice) == ("triplets", SHOWN_SPLIT, ALL)
    }


def _loaded(ranked: Sequence[Ranked]) -> str:
    """Return what the card's program prints of the baselines: recall of the three searches of text-first queries."""
    lines = []
    for one in ranked:
        if (one.part.config, one.part.split, one.part.wording) == ("text_first", SHOWN_SPLIT, "text"):
            hits = sum(rank <= SHOWN_RECALL for rank in one.ranks)
            lines.append(f"{one.method} {100 * hits / len(one.ranks):.1f}")
    return "\n".join(lines)
