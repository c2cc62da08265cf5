"""Which triplets a step learns from, and with which texts: decided by the seed alone, whatever runs before or beside.

Every number is drawn from a generator that is keyed by the seed and the epoch, so that step k of a resumed run, or of
one on more devices, is step k of an undisturbed run on one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from cirgen.errors import UserError
from cirgen_benchmark.training.indexed import Numbers
from cirgen_benchmark.training.settings import StageSettings

ORDER, TEXT, NEGATIVES, DROPOUT = range(4)
"""What a random number is drawn for: each purpose has a stream of its own."""


@dataclass(frozen=True)
class Part:
    """What is encoded at once: a part of a step's batch, over all processes."""

    triplets: Numbers
    """Of the whole part, [P]."""
    draws: NDArray[np.float64]
    """A number in [0, 1) for each of them, [P], that picks one of its texts."""
    own: slice
    """This process's share of the part."""
    step: int


class Batches:
    """The batches of a stage.

    An epoch is a new permutation of the triplets, cut into batches; what is left at its end is dropped (arXiv
    2404.11317, released code).

    Args:
        triplets: how many there are.
        settings: of the stage.
        seed: of the stage.
        processes: that share each batch.
        process: which of them this is.

    Raises:
        UserError: there are fewer triplets than a batch has queries, or a batch cannot be shared evenly.
    """

    def __init__(
        self, triplets: int, settings: StageSettings, seed: int, processes: int = 1, process: int = 0
    ) -> None:
        _check(triplets, settings, processes)
        self._triplets = triplets
        self._batch = settings.batch
        self._parts = settings.accumulate
        self._seed = seed
        share = settings.batch // settings.accumulate // processes
        self._own = slice(process * share, (process + 1) * share)
        self._epoch = lru_cache(maxsize=1)(self._drawn)
        self.steps_per_epoch = steps_per_epoch(triplets, settings)
        self.steps = settings.steps or (settings.epochs or 0) * self.steps_per_epoch

    def parts(self, step: int) -> Iterator[Part]:
        """Yield the parts of the batch of a step (0 is the first)."""
        epoch, place = divmod(step, self.steps_per_epoch)
        order, draws = self._epoch(epoch)
        size = self._batch // self._parts
        for start in range(place * self._batch, (place + 1) * self._batch, size):
            triplets = order[start : start + size]
            yield Part(triplets, draws[triplets], self._own, step)

    def _drawn(self, epoch: int) -> tuple[Numbers, NDArray[np.float64]]:
        order = np.random.default_rng([self._seed, ORDER, epoch]).permutation(self._triplets)
        return order, np.random.default_rng([self._seed, TEXT, epoch]).random(self._triplets)


def steps_per_epoch(triplets: int, settings: StageSettings) -> int:
    """Return the optimiser steps of one pass over the triplets."""
    return triplets // settings.batch


def _check(triplets: int, settings: StageSettings, processes: int) -> None:
    if triplets < settings.batch:
        raise UserError(
            f"A batch of {settings.batch} queries cannot be drawn from {triplets:,} triplets; "
            f"set batch to {triplets} or less, or give more triplets."
        )
    pieces = settings.accumulate * processes
    if settings.batch % pieces:
        raise UserError(
            f"A batch of {settings.batch} queries cannot be shared by {processes} processes in {settings.accumulate} "
            f"parts; set batch to a multiple of {pieces}."
        )
