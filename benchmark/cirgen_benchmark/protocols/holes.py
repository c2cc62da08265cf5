"""What is missing, said in full: images and queries without an embedding, and what they take with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cirgen.errors import UserError

EXAMPLES = 3
PARTIAL = "partial"
"""Part of every metric key of a benchmark with holes."""


@dataclass(frozen=True)
class Holes:
    """What one gallery and its queries lack."""

    gallery: str
    """Name of the tensor, e.g. `gallery.dress`."""
    images: int
    """That the gallery should have."""
    missing: Sequence[str]
    """Ids of images that are on no disk or have no embedding."""
    queries: str
    """Name of the tensor, e.g. `queries.dress`."""
    asked: int
    """Queries that there should be."""
    unanswered: Sequence[str]
    """Ids of queries that have no embedding."""
    lost: int = 0
    """Queries whose target is missing."""

    def sentences(self) -> list[str]:
        """Say what is missing: how many, and which."""
        said = []
        if self.missing:
            taken = f", and with them the targets of {self.lost:,} of {self.asked:,} queries" if self.lost else ""
            which = f"{self.images:,} images of {self.gallery}{such_as(self.missing)}"
            said.append(f"{len(self.missing):,} of {which}{taken}")
        if self.unanswered:
            said.append(f"{len(self.unanswered):,} of {self.asked:,} rows of {self.queries}{such_as(self.unanswered)}")
        return said


def chosen(ids: Sequence[str], which: NDArray[np.bool_]) -> list[str]:
    """Return the ids of the rows that are true."""
    return [ids[row] for row in np.flatnonzero(which).tolist()]


def repeated(ids: Iterable[str]) -> list[str]:
    """Return what comes more than once, each once, in order."""
    return [one for one, times in Counter(ids).items() if times > 1]


def such_as(ids: Sequence[str]) -> str:
    """Name a few of some ids, in brackets."""
    examples = ", ".join(ids[:EXAMPLES])
    return f" ({examples})" if len(ids) <= EXAMPLES else f" (such as {examples})"


def settled(name: str, holes: Sequence[Holes], allowed: bool) -> tuple[str, tuple[str, ...]]:
    """Return the prefix of metric keys, and a sentence for each hole.

    Raises:
        UserError: there are holes and that is not allowed.
    """
    said = tuple(sentence for hole in holes for sentence in hole.sentences())
    if not said:
        return name, ()
    if not allowed:
        raise UserError(
            f"Missing: {'; '.join(said)}; fetch and encode them, or go on without them, each figure marked as "
            f"{PARTIAL}: --allow-missing (of cirgen bench: --set allow_missing=true)."
        )
    return f"{name}.{PARTIAL}", tuple(f"Missing: {sentence}." for sentence in said)
