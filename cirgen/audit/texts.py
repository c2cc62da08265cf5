"""Figures of the texts alone: how many differ, how they open, how long they are, what must not be in them.

A word is a run of letters and digits, apostrophes inside included; case and compatibility forms are folded. A text
counts as unique by its words, so that "Red." and "red" are one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from cirgen.audit.corpus import Row
from cirgen.audit.figures import Figure, Histogram, Listed, Section, count, number, percent
from cirgen.filters.lint import Lint, LintSettings
from cirgen.filters.tools import Tools
from cirgen.filters.words import words
from cirgen.intervals import share
from cirgen.keys import digest

OPENING_WORDS = 3
SAMPLE = 1_000
"""Texts of the sample that every corpus has alike: distinct-n and vocabulary change with the number of texts."""
LONGEST = 60
"""Words; longer texts share the last bar of the histogram."""
SHOWN = 15
PERCENTILES = (5, 50, 95)
FAULTS = {
    "meta-talk": ("meta_talk", "talk about the images"),
    "taxonomy": ("taxonomy", "name their kind of change"),
    "residue": ("residue", "residue of prompts or markup"),
}
ABOUT = (
    "Words are runs of letters and digits, case folded; texts with the same words are one. distinct-n is the number "
    f"of different runs of n words over all runs. It falls as a corpus grows, so compare the figures of {SAMPLE:,} "
    "texts drawn by hash, which every corpus has alike. Faults are found by the patterns of the filter 'lint'."
)


def texts_section(rows: Sequence[Row]) -> Section:
    """Return what the texts of some rows are like."""
    spoken = [words(row.text) for row in rows]
    said = [" ".join(tokens) for tokens in spoken]
    sample = [spoken[place] for place in _drawn(rows)]
    references = [row.reference for row in rows]
    unique = len(set(said))
    openings = Counter(" ".join(tokens[:OPENING_WORDS]) for tokens in spoken)
    figures = [
        count("texts", "texts", len(rows)),
        percent("empty", "empty", share([not one for one in said], references)),
        count("unique", "unique texts", unique),
        percent("unique_share", "unique texts, share", unique / len(said)),
        count("vocabulary", "different words", len({word for tokens in spoken for word in tokens})),
        *_lengths(spoken),
        *(_distinct(spoken, n, "", "") for n in (1, 2, 3)),
        *_opening(openings, len(rows)),
        *_sample_figures(sample),
        *_faults(rows, references),
    ]
    return Section("texts", "Texts", tuple(figures), ABOUT, _lists(openings, said), (_histogram(spoken),))


def _drawn(rows: Sequence[Row]) -> list[int]:
    """Draw places of the sample by hash of the rows, whatever their order."""
    if len(rows) <= SAMPLE:
        return list(range(len(rows)))
    lots = [digest("audit-sample", row.row_id, row.text) for row in rows]
    return sorted(range(len(rows)), key=lots.__getitem__)[:SAMPLE]


def _lengths(spoken: Sequence[Sequence[str]]) -> Iterator[Figure]:
    lengths = np.array([len(tokens) for tokens in spoken])
    yield number("words_mean", "words in a text, mean", lengths.mean())
    for level, value in zip(PERCENTILES, np.percentile(lengths, PERCENTILES), strict=True):
        yield number(f"words_p{level}", f"words, {level}th percentile", value)


def _distinct(spoken: Sequence[Sequence[str]], n: int, suffix: str, of: str) -> Figure:
    runs = [run for tokens in spoken for run in ngrams(tokens, n)]
    return number(f"distinct_{n}{suffix}", f"distinct-{n}{of}", len(set(runs)) / len(runs) if runs else 0.0)


def ngrams(tokens: Sequence[str], n: int) -> list[tuple[str, ...]]:
    """Return the runs of n words within a text."""
    return list(zip(*(tokens[start:] for start in range(n)), strict=False))


def _opening(openings: Counter[str], texts: int) -> Iterator[Figure]:
    _, most = _most(openings, 1)[0]
    yield percent("opening_share", "open with the commonest three words", most / texts)
    yield count("openings", "different openings of three words", len(openings))


def _most(found: Counter[str], number: int) -> list[tuple[str, int]]:
    """Return the most frequent, ties by alphabet."""
    return sorted(found.items(), key=lambda item: (-item[1], item[0]))[:number]


def _sample_figures(sample: Sequence[Sequence[str]]) -> Iterator[Figure]:
    of = f", of {len(sample):,} texts"
    for n in (1, 2, 3):
        yield _distinct(sample, n, "_sample", of)
    yield count("vocabulary_sample", f"different words{of}", len({word for tokens in sample for word in tokens}))
    yield percent("unique_sample", f"unique texts{of}", len({tuple(tokens) for tokens in sample}) / len(sample))


def faults(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return what the filter `lint` counts in each text."""
    batch = pa.RecordBatch.from_pydict({"text": [row.text for row in rows]})
    return [dict(score.values) for score in Lint(LintSettings()).score(batch, Tools())]


def _faults(rows: Sequence[Row], references: Sequence[str]) -> Iterator[Figure]:
    found = faults(rows)
    for pattern, (name, label) in FAULTS.items():
        yield percent(name, label, share([one[pattern] > 0 for one in found], references))


def _lists(openings: Counter[str], said: Sequence[str]) -> tuple[Listed, ...]:
    again = Counter({text: times for text, times in Counter(said).items() if times > 1})
    return (
        Listed("Commonest openings", tuple(_most(openings, SHOWN)), len(said)),
        Listed("Commonest texts", tuple(_most(again, SHOWN)), len(said)),
    )


def _histogram(spoken: Sequence[Sequence[str]]) -> Histogram:
    lengths = np.minimum([len(tokens) for tokens in spoken], LONGEST)
    counts = np.bincount(lengths, minlength=int(lengths.max()) + 1)
    edges = tuple(float(edge) for edge in range(len(counts) + 1))
    return Histogram("words in a text", edges, {"texts": tuple(map(float, counts))})
