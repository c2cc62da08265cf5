"""Which rows of a corpus train: what was accepted, and what it is compared with."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from cirgen.errors import UserError
from cirgen.keys import draw
from cirgen_benchmark.data.corpus import Corpus, CorpusRow
from cirgen_benchmark.triplets import Triplet
from cirgen_benchmark.verdict.preset import Selection

if TYPE_CHECKING:
    from cirgen_benchmark.verdict.world import Truth

SIMILARITY_BINS = 10
"""Tenths of all pairs by similarity, within which matched rows are drawn."""


class Selector:
    """Selects rows of one corpus; every draw depends on the seed alone.

    Args:
        corpus: accepted and, as far as published, rejected rows.
        truth: exact truth of the corpus's images; None where there is none.
    """

    def __init__(self, corpus: Corpus, truth: Truth | None) -> None:
        self._corpus = corpus
        self._truth = truth

    def triplets(self, selection: Selection, seed: int, weighted: bool = False) -> list[Triplet]:
        """Return the triplets of a selection.

        Args:
            selection: which rows.
            seed: of the draws.
            weighted: keep each row with the probability of its weight alone.

        Raises:
            UserError: it needs rejected rows, truth or weights that this corpus does not have.
        """
        if selection == "truth_text":
            rewritten = [self._known_truth.rewritten(row) for row in self._corpus.accepted]
            return [triplet for triplet in rewritten if triplet is not None]
        rows = self._rows(selection, seed)
        return [row.triplet for row in (self._thinned(rows, seed) if weighted else rows)]

    def _thinned(self, rows: Sequence[CorpusRow], seed: int) -> Iterator[CorpusRow]:
        """Yield rows as often, over seeds, as their weights say; one that was never weighted always."""
        if all(row.weight is None for row in rows):
            raise UserError(
                f"The rows of the corpus '{self._corpus.name}' have no weights; give its recipe the filter shortcut "
                "with action: weight, or leave weighted out."
            )
        for row in rows:
            if row.weight is None or draw("weight", seed, row.triplet_id) < row.weight:
                yield row

    def _rows(self, selection: Selection, seed: int) -> Sequence[CorpusRow]:
        if selection == "accepted":
            return self._corpus.accepted
        if selection == "good":
            return self._good
        if selection == "random":
            return random.Random(f"random {seed}").sample(self._everything, len(self._corpus.accepted))
        return matched(self._corpus.accepted, self._everything, seed) if selection == "matched" else self._everything

    @cached_property
    def _everything(self) -> Sequence[CorpusRow]:
        return sorted((*self._corpus.accepted, *self._rejected), key=lambda row: row.triplet_id)

    @cached_property
    def _good(self) -> Sequence[CorpusRow]:
        return [row for row in self._everything if self._known_truth.good(row)]

    @property
    def _rejected(self) -> Sequence[CorpusRow]:
        if not self._corpus.rejected:
            raise UserError(
                f"The corpus '{self._corpus.name}' publishes no rejected rows, so nothing tells what filtering is "
                "worth; leave out the arms on data all, random, matched and good, or export it with rejected rows."
            )
        return self._corpus.rejected

    @property
    def _known_truth(self) -> Truth:
        if self._truth is None:
            raise UserError(
                f"There is no exact truth of the images of '{self._corpus.name}'; leave out the arms on data good and "
                "truth_text."
            )
        return self._truth


def by_pair(triplets: Sequence[Triplet]) -> list[Triplet]:
    """Return one triplet for each pair of images, in the order in which pairs come, with all texts of the pair."""
    rows: defaultdict[tuple[str, str], list[Triplet]] = defaultdict(list)
    for triplet in triplets:
        rows[triplet.reference, triplet.target].append(triplet)
    return [_together(of_pair) for of_pair in rows.values()]


def _together(triplets: Sequence[Triplet]) -> Triplet:
    texts = dict.fromkeys(text for triplet in triplets for text in triplet.texts)
    positives = dict.fromkeys(image for triplet in triplets for image in triplet.positives)
    return replace(triplets[0], texts=tuple(texts), positives=tuple(positives))


def matched(accepted: Sequence[CorpusRow], everything: Sequence[CorpusRow], seed: int) -> list[CorpusRow]:
    """Draw as many rows as are accepted, with as many of every change type and tenth of pair similarity."""
    scores = [row.similarity for row in everything if row.similarity is not None]
    edges = np.quantile(scores, np.linspace(0, 1, SIMILARITY_BINS + 1)[1:-1]) if scores else np.array([])

    def kind(row: CorpusRow) -> Hashable:
        bin_number = -1 if row.similarity is None else int(np.searchsorted(edges, row.similarity))
        return row.change_type, bin_number

    pools: defaultdict[Hashable, list[CorpusRow]] = defaultdict(list)
    for row in everything:
        pools[kind(row)].append(row)
    rng = random.Random(f"matched {seed}")
    counts = Counter(kind(row) for row in accepted)
    return [row for name in pools for row in rng.sample(pools[name], counts[name])]
