"""Queries that half of them solves, and what putting both halves together adds.

Shortcut rate at 10: the share of queries whose target is among the first ten for the text alone or for the image
alone, by any encoder (CIRCUS, arXiv 2605.14787). Composition Gap: R@10 of both, less the larger of R@10 of the text
and R@10 of the image. Chance is what a random order of the gallery would give.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from cirgen.audit.figures import Figure, Histogram, Listed, Section, count, missing, percent, points, ratio
from cirgen.audit.ranking import KINDS, Ranks, chance
from cirgen.intervals import of_means, share

TOP = 10
RANK_EDGES = (1, 2, 3, 6, 11, 21, 51, 101, 201, 501, 1001, 10_001, 100_001, 1_000_001)
"""First rank of each bar."""
NAMES = {"both": "image and text", "text": "text alone", "image": "image alone"}
ABOUT = (
    f"A shortcut is a query whose target is among the first {TOP} for the text alone or the image alone, by any "
    "encoder named. The gallery is the corpus's own images without the reference; composed queries are the normalised "
    "sum of both embeddings, not a trained model. Chance is a random order; for the shortcut rate, as many "
    "independent random orders as rankings are tried. Of a corpus that was filtered for shortcuts the rate says that "
    "the filter works on its own encoder's kind, and nothing about what a trained model can do."
)
Bools = NDArray[np.bool_]


def shortcuts_section(ranks: Ranks, left_out: int, name: str = "shortcuts", title: str = "Shortcuts") -> Section:
    """Return the shortcut rate, the composition gap, and what they are made of.

    Args:
        ranks: of the queries that could be asked.
        left_out: other rows with a target.
        name: of the section.
        title: of the section.
    """
    hits = ranks.ranks <= TOP  # [encoders, kinds, queries]
    references = [query.row.reference for query in ranks.queries]
    by_chance = chance(ranks.candidates, ranks.rights, TOP)
    tried = (len(KINDS) - 1) * len(ranks.encoders)
    alone = hits[:, 1:].reshape(tried, -1)
    sizes = sorted(ranks.galleries.values())
    figures = [
        count("queries", "queries", len(ranks.queries)),
        count("left_out", "rows left out (no picture, or target = reference)", left_out),
        count(
            "gallery", "pictures in the gallery" if len(sizes) == 1 else "pictures in the smallest gallery", sizes[0]
        ),
        *([count("gallery_largest", "pictures in the largest gallery", sizes[-1])] if len(sizes) > 1 else []),
        percent("chance", f"chance of R@{TOP}", float(by_chance.mean())),
        percent("rate", f"shortcut rate at {TOP}", share(_any(alone), references)),
        percent("rate_chance", "chance of that rate", float((1 - (1 - by_chance) ** tried).mean())),
        percent("rate_text", "by text alone", share(_any(hits[:, 1]), references)),
        percent("rate_image", "by image alone", share(_any(hits[:, 2]), references)),
        *(f for number in range(len(ranks.encoders)) for f in _of_encoder(ranks, number, hits[number], references)),
    ]
    listed = Listed("Galleries", tuple(sorted(ranks.galleries.items())))
    return Section(name, title, tuple(figures), ABOUT, (listed,), _histograms(ranks))


def _any(hits: Bools) -> Bools:
    """Return whether a query is found by any ranking [queries]."""
    return np.asarray(hits.any(axis=0))


def label_of(encoder: str, ranks: Ranks) -> str:
    """Return what tells figures of one encoder from those of others; nothing where it is alone."""
    return f", {encoder}" if len(ranks.encoders) > 1 else ""


def _of_encoder(ranks: Ranks, number: int, hits: Bools, references: Sequence[str]) -> Iterator[Figure]:
    suffix = f"_{number + 1}" if len(ranks.encoders) > 1 else ""
    encoder = label_of(ranks.encoders[number], ranks)
    for kind, of_kind in zip(KINDS, hits, strict=True):
        yield percent(f"recall_{kind}{suffix}", f"R@{TOP}, {NAMES[kind]}{encoder}", share(of_kind, references))
    columns = hits.T.astype(np.float64)  # [queries, kinds]
    gap = of_means(columns, references, lambda m: m[..., 0] - np.maximum(m[..., 1], m[..., 2]))
    yield points(f"gap{suffix}", f"Composition Gap{encoder}", gap)
    name, label = f"text_ratio{suffix}", f"text alone / both{encoder}"
    if not hits[0].any():
        yield from missing("no composed query finds its target, so there is nothing to compare with", ((name, label),))
        return
    with np.errstate(divide="ignore", invalid="ignore"):
        yield ratio(name, label, of_means(columns, references, lambda m: m[..., 1] / m[..., 0]))


def _histograms(ranks: Ranks) -> tuple[Histogram, ...]:
    top = int(ranks.candidates.max(initial=1)) + 1
    edges = [*(edge for edge in RANK_EDGES if edge < top), top]
    found = []
    for encoder, of_encoder in zip(ranks.encoders, ranks.ranks, strict=True):
        counts = {
            NAMES[kind]: tuple(map(float, np.histogram(values, edges)[0]))
            for kind, values in zip(KINDS, of_encoder, strict=True)
        }
        title = f"rank of the target{label_of(encoder, ranks)}"
        found.append(Histogram(title, tuple(map(float, edges)), counts))
    return tuple(found)


def no_shortcuts(reason: str) -> Section:
    """Return the section of a corpus that cannot be ranked."""
    names = (
        ("rate", f"shortcut rate at {TOP}"),
        ("gap", "Composition Gap"),
        ("text_ratio", "text alone / both"),
    )
    return Section("shortcuts", "Shortcuts", missing(reason, names), ABOUT)
