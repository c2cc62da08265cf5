"""Pairs and triplets that come more than once, in one form or another."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence

from rapidfuzz import fuzz

from cirgen.audit.corpus import Row
from cirgen.audit.figures import Figure, Section, count, missing, percent
from cirgen.filters.words import normalised
from cirgen.intervals import share

NEAR = 95
"""Texts of one pair that are so alike (normalised indel similarity, per cent) are nearly the same."""
ABOUT = (
    "Texts are compared by their words. A row counts as repeated if an equal one stands before it. A reversed pair is "
    "there both ways round. A text that leads from one reference to several targets can be right about one of them at "
    "most, unless it is meant to be broad."
)


def pairs_section(rows: Sequence[Row], groups: Mapping[str, str], no_groups: str) -> Section:
    """Return how often triplets repeat.

    Args:
        rows: with targets.
        groups: image to its near-duplicate group.
        no_groups: why there are none.
    """
    texts = [normalised(row.text) for row in rows]
    pairs = [(row.reference, row.target) for row in rows]
    there = set(pairs)
    targets: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for row, text in zip(rows, texts, strict=True):
        targets[row.reference, text].add(row.target)
    said = [(*pair, text) for pair, text in zip(pairs, texts, strict=True)]
    found = set(said)
    references = [row.reference for row in rows]

    def shared(name: str, label: str, hit: Callable[[int], bool]) -> Figure:
        return percent(name, label, share([hit(place) for place in range(len(rows))], references))

    figures = [
        count("pairs", "different ordered pairs", len(there)),
        percent("pair_again", "rows of a pair that was there before", 1 - len(there) / len(rows)),
        percent("triplet_again", "rows equal to one before", 1 - len(found) / len(rows)),
        shared("nearly_again", "rows whose pair has nearly the same text", _nearly(pairs, texts)),
        shared(
            "reversed",
            "rows whose pair is there both ways",
            lambda place: pairs[place][::-1] in there and pairs[place][0] != pairs[place][1],
        ),
        shared(
            "reversed_text",
            "rows with the same text both ways",
            lambda place: (*pairs[place][::-1], texts[place]) in found and pairs[place][0] != pairs[place][1],
        ),
        shared(
            "text_of_many",
            "rows whose text leads to other targets too",
            lambda place: len(targets[rows[place].reference, texts[place]]) > 1,
        ),
        shared("itself", "rows whose target is the reference", lambda place: pairs[place][0] == pairs[place][1]),
        *_grouped(pairs, groups, no_groups, shared, len(rows)),
    ]
    return Section("pairs", "Pairs", tuple(figures), ABOUT)


def _nearly(pairs: Sequence[tuple[str, str]], texts: Sequence[str]) -> Callable[[int], bool]:
    of_pair: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for place, pair in enumerate(pairs):
        of_pair[pair].append(place)

    def hit(place: int) -> bool:
        others = (other for other in of_pair[pairs[place]] if other != place)
        return any(fuzz.ratio(texts[place], texts[other]) >= NEAR for other in others)

    return hit


def _grouped(
    pairs: Sequence[tuple[str, str]],
    groups: Mapping[str, str],
    no_groups: str,
    shared: Callable[[str, str, Callable[[int], bool]], Figure],
    rows: int,
) -> tuple[Figure, ...]:
    names = (
        ("within_group", "rows whose images are near duplicates"),
        ("pair_near_again", "rows of a pair that was there before, or nearly"),
    )
    if not groups:
        return missing(no_groups, names)
    merged = [(groups.get(one, one), groups.get(other, other)) for one, other in pairs]
    again = 1 - len(Counter(merged)) / rows
    return (
        shared(*names[0], lambda place: merged[place][0] == merged[place][1] and pairs[place][0] != pairs[place][1]),
        percent(*names[1], again),
    )
