"""Human triplets that are kept out of training, to choose a step by."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from cirgen_benchmark.data.human import HumanTriplets
from cirgen_benchmark.triplets import Triplet


@dataclass(frozen=True)
class Holdout:
    """Human triplets in two parts that share no reference."""

    training: tuple[Triplet, ...]
    development: tuple[Triplet, ...]

    @classmethod
    def of(cls, people: HumanTriplets, share: float) -> Holdout:
        """Put about `share` of the references, by a hash of their content, into development."""
        kept = {reference: _unit(people, reference) < share for reference in {t.reference for t in people.triplets}}
        return cls(
            tuple(triplet for triplet in people.triplets if not kept[triplet.reference]),
            tuple(triplet for triplet in people.triplets if kept[triplet.reference]),
        )


def _unit(people: HumanTriplets, reference: str) -> float:
    """Return a number from 0 to 1 that the picture decides."""
    return int(sha256(people.images.content(reference).encode()).hexdigest()[:8], 16) / 2**32
