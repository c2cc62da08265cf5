"""What a retrieval model is trained on: triplets that name their images, whoever wrote the text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Origin = Literal["human", "synthetic"]


@dataclass(frozen=True)
class Triplet:
    """One query and what it should find.

    Images are named by the ids of the `ImageCollection` that the triplets come with.
    """

    reference: str
    target: str
    texts: tuple[str, ...]
    """At least one; each access to the triplet draws one of them, all as likely."""
    positives: tuple[str, ...] = ()
    """Other images known to be right for the query: never negatives where positives are masked."""
    hard_negatives: tuple[str, ...] = ()
    """Images known to be wrong but near, the nearest first."""
    origin: Origin = "human"
    """`synthetic`: a corpus that is being judged; `human`: what it is added to."""
