"""Mining signals: how each kind chooses the targets of one reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cirgen.recipe import Signal
from cirgen.stages.mining import distinct_draws
from cirgen.stages.similarities import Places, Row

BY_RANK = ("rank", "rank_percent")
"""Kinds of signals whose window is in ranks."""


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

    def choose(self, reference_id: str, row: Row, given: Places) -> Chosen:
        """Return the targets of one reference.

        Args:
            reference_id: its image id, which every draw depends on.
            row: its similarities by this signal's measure.
            given: places of the targets that the source names for it.
        """
        chosen = self._in_rank_window(reference_id, row) if self.signal.kind in BY_RANK else None
        if chosen is None:
            places = self._in_window(reference_id, row, given)
            chosen = Chosen(places, np.asarray([row.rank_of(place) for place in places.tolist()], dtype=np.int64))
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

    def _in_rank_window(self, reference_id: str, row: Row) -> Chosen:
        """Draw from the part of the window that the candidates reach; nothing where they end before it."""
        first, last = self._ranks(row.candidates)
        ranks = first + distinct_draws(max(0, last - first + 1), self.signal.per_image, *self._key, reference_id)
        return Chosen(row.at_ranks(ranks), ranks)

    def _ranks(self, candidates: int) -> tuple[int, int]:
        """Return the first and the last rank of the window among so many candidates; 1 is the nearest."""
        lower, upper = self.signal.lower or 0, self.signal.upper or 0
        if self.signal.kind == "rank_percent":
            return int(lower * candidates / 100) + 1, int(upper * candidates / 100)
        return max(1, int(lower)), min(int(upper), candidates)


def labels(signals: tuple[Signal, ...]) -> list[str]:
    """Name each signal by its kind and measure; a kind listed again gets a number."""
    names: list[str] = []
    for signal in signals:
        name = signal.kind if signal.by == "image" else f"{signal.kind}-by-caption"
        taken = sum(other.split("#")[0] == name for other in names)
        names.append(f"{name}#{taken + 1}" if taken else name)
    return names
