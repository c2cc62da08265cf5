"""Monotone phrasing: too many texts that open with the same three words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from cirgen.filters.base import FilterSettings, Rule
from cirgen.filters.words import words
from cirgen.keys import digest

OPENING_WORDS = 3


class DiversitySettings(FilterSettings):
    """How common an opening may be."""

    name: Literal["diversity"] = "diversity"
    max_share: float = Field(0.15, gt=0, le=1)
    """Of the texts that this filter accepts; in Laion-CIR 27 % open with "change the color"."""
    always: int = Field(10, ge=1, le=1_000_000_000)
    """So many texts of one opening always stay: a share of a small corpus is no measure."""


class Diversity(Rule):
    """Thins out openings; put it last, as what later filters drop moves the shares."""

    Settings = DiversitySettings
    decides_on = ("text",)

    def __init__(self, settings: DiversitySettings) -> None:
        self.settings = settings

    def decide(self, triplets: pa.Table) -> list[str]:
        """Reject what exceeds the cap of its opening, in the order of a hash of triplet_id."""
        ids = triplets.column("triplet_id").to_pylist()
        openings: defaultdict[str, list[str]] = defaultdict(list)
        for triplet_id, text in zip(ids, triplets.column("text").to_pylist(), strict=True):
            openings[" ".join(words(text)[:OPENING_WORDS])].append(triplet_id)
        cap = self._cap([len(members) for members in openings.values()])
        kept = {
            triplet_id
            for members in openings.values()
            for triplet_id in sorted(members, key=lambda member: digest("diversity", member))[:cap]
        }
        return ["" if triplet_id in kept else "common opening" for triplet_id in ids]

    def _cap(self, counts: Sequence[int]) -> int:
        """Return the largest cap m at which no opening exceeds its share of the sum over openings of min(count, m).

        m over that sum never falls as m grows, so the caps that hold are those up to one that is found by bisection.
        """
        sizes = np.asarray(counts)
        low, high = self.settings.always, max([self.settings.always, *counts])
        while low < high:
            middle = (low + high + 1) // 2
            if middle <= self.settings.max_share * np.minimum(sizes, middle).sum():
                low = middle
            else:
                high = middle - 1
        return low
