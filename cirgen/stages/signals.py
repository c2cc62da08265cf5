"""Mining signals: how each kind chooses the targets of one reference."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cirgen.cosine import Exact
from cirgen.recipe import Signal
from cirgen.stages.mining import distinct_draws
from cirgen.stages.similarities import Mask, Places, Row

BY_RANK = ("rank", "rank_percent")
"""Kinds of signals whose window is in ranks."""
NEAREST = 1_000
"""Of a large pool so many of the nearest are found at most; deeper ranks are those of a sample."""


class Chosen(NamedTuple):
    """The targets of one reference."""

    places: Places
    ranks: NDArray[np.int64]
    """Among its candidates; 1 is the nearest."""


@dataclass
class Seen:
    """What a signal met, for the user who has to set its window."""

    least: float = np.inf  # similarity of any reference with any of its candidates
    most: float = -np.inf
    candidates: int = 0  # of the reference that has most
    references: int = 0
    without_target: int = 0

    def add(self, row: Row, chosen: Chosen) -> None:
        """Count one reference and what was chosen for it."""
        candidates = row.candidates
        self.references += 1
        self.without_target += not len(chosen.places)
        self.candidates = max(self.candidates, candidates)
        if candidates:
            self.least = min(self.least, float(row.fast.min(where=row.fast > -np.inf, initial=np.inf)))
            self.most = max(self.most, float(row.fast.max()))


@dataclass(frozen=True)
class GivenPairs:
    """The pairs of a source as catalog rows, sorted by reference, then target."""

    references: NDArray[np.int64]
    targets: NDArray[np.int64]

    def of(self, reference: int) -> NDArray[np.int64]:
        """Return the targets of a reference."""
        return self.targets[slice(*np.searchsorted(self.references, [reference, reference + 1]))]


class Chooser:
    """One signal of the recipe.

    Args:
        signal: its settings.
        label: what pairs call it.
        seed: the recipe's.
        lower, upper: bounds on the cosine; a signal of ranks has none.
    """

    def __init__(self, signal: Signal, label: str, seed: int, lower: float, upper: float) -> None:
        self.signal = signal
        self.label = label
        self.seen = Seen()
        self._key = ("pair", seed, signal.kind, signal.by, signal.lower, signal.upper, signal.same_category)
        self._lower = lower
        self._upper = upper

    @property
    def depth(self) -> int | None:
        """Return how many of the nearest are enough to choose from; None where far ones are chosen, too."""
        signal = self.signal
        if signal.kind == "rank":
            return int(signal.upper or 0)
        if signal.kind != "neighbours":
            return None
        return signal.per_image if signal.upper is None else max(signal.per_image, NEAREST)

    def choose(self, reference_id: str, row: Row, given: Places, share: float = 1.0) -> Chosen:
        """Return the targets of one reference.

        Args:
            reference_id: its image id, which every draw depends on.
            row: its similarities by this signal's measure.
            given: places of the targets that the source names for it.
            share: of the pool that the row holds, a fair sample; a window of ranks is scaled to it.
        """
        chosen = self._in_rank_window(reference_id, row, share) if self.signal.kind in BY_RANK else None
        if chosen is None:
            places = self._in_window(reference_id, row, given)
            chosen = Chosen(places, np.asarray([row.rank_of(place) for place in places.tolist()], dtype=np.int64))
        self.seen.add(row, chosen)
        return chosen

    def choose_given(self, cosines: Exact, there: Mask, row: Row) -> Chosen:
        """Choose among targets that the source names, by their cosines [k]; `row`, a sample, tells their ranks."""
        within = np.flatnonzero(there & (cosines >= self._lower) & (cosines <= self._upper))
        ranks = [row.rank_at(cosine, len(row.fast)) for cosine in cosines[within].tolist()]
        chosen = Chosen(within, np.asarray(ranks, dtype=np.int64))
        self.seen.add(row, chosen)
        return chosen

    def _in_window(self, reference_id: str, row: Row, given: Places) -> Places:
        within = row.within(self._lower, self._upper)
        if self.signal.kind == "given":
            return given[within[given]]
        if self.signal.kind == "neighbours":
            return row.only(within).nearest(self.signal.per_image)
        window = np.flatnonzero(within)
        return window[distinct_draws(len(window), self.signal.per_image, *self._key, reference_id)]

    def _in_rank_window(self, reference_id: str, row: Row, share: float) -> Chosen:
        """Draw from the part of the window that the candidates reach; nothing where they end before it."""
        first, last = self.ranks(row.candidates, share)
        ranks = first + distinct_draws(max(0, last - first + 1), self.signal.per_image, *self._key, reference_id)
        return Chosen(row.at_ranks(ranks), ranks)

    def ranks(self, candidates: int, share: float = 1.0) -> tuple[int, int]:
        """Return the first and the last rank of the window among so many candidates; 1 is the nearest."""
        lower, upper = self.signal.lower or 0, self.signal.upper or 0
        if self.signal.kind == "rank_percent":
            first = int(lower * candidates / 100) + 1
            return first, min(max(first, int(upper * candidates / 100)), candidates)
        return max(1, ceil(lower * share)), min(int(upper * share), candidates)


def labels(signals: tuple[Signal, ...]) -> list[str]:
    """Name each signal by its kind and measure; a kind listed again gets a number."""
    names: list[str] = []
    for signal in signals:
        name = signal.kind if signal.by == "image" else f"{signal.kind}-by-caption"
        taken = sum(other.split("#")[0] == name for other in names)
        names.append(f"{name}#{taken + 1}" if taken else name)
    return names
