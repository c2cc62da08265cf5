"""What a signal chooses from: the whole pool, or what stands for it in a split of more than `EXACT_UP_TO` images.

There, signals that choose among the nearest look into clusters (`stages.clusters`). Those that choose further away, by
deep ranks, percentiles or at random, meet a fair sample: the pool is dealt out into parts of at most `SAMPLE` images,
and an image meets its own part, with windows of ranks scaled to it. Every image is in one part, so every image can
still be a target. A rank in a part, times the number of parts, estimates the rank in the pool.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cirgen.cosine import Vectors, on_grid
from cirgen.stages.clusters import CHECKED, CHUNK, Clusters, Found, Queries
from cirgen.stages.mining import Pool
from cirgen.stages.signals import NEAREST, Chooser
from cirgen.stages.similarities import Places

EXACT_UP_TO = 200_000
"""Images of a split that are all compared with each other: ten minutes of one core at 768 dimensions."""
SAMPLE = 32_768
"""Images that stand for a larger pool: the share of it that is nearer than some image is then known to 0.3 %."""


class Check(NamedTuple):
    """What the run measured of a search that looks at a part of the images only."""

    search: str
    split: str
    images: int
    queries: int
    share: float
    """Of the true nearest that was found, or of the targets that lie in the window of ranks asked for."""
    looked: str
    """What was looked at, in words."""

    def told(self) -> str:
        """Return what the report says."""
        return (
            f"{self.split}: {self.images:,} images are too many to compare all with all, so the search for "
            f"{self.search} looked at {self.looked}. Measured on {self.queries:,} queries against a search of all "
            f"images: {self.share:.1%} are right."
        )


class Drawn(NamedTuple):
    """Targets that were drawn from a sample of a pool, all as rows of the catalog."""

    chooser: Chooser
    reference: int
    targets: NDArray[np.int64]


def window_check(label: str, pool: Pool, references: int, inside: Sequence[bool]) -> Check:
    """Return what is to be told of targets some of which lie in their window of ranks."""
    looked = f"a part of at most {SAMPLE:,} images, whose ranks were scaled"
    return Check(f"window of {label}", pool.name, len(pool.members), references, sum(inside) / len(inside), looked)


@dataclass(frozen=True)
class Field:
    """Images that some signals choose among."""

    pool: Pool
    choosers: Sequence[Chooser]
    share: float = 1.0
    """Of the images of a split that the pool holds, where it is a sample."""
    clustered: bool = False

    @property
    def every(self) -> int:
        """Return how many images one of the sample stands for."""
        return round(1 / self.share)

    def rank(self, rank: int) -> int:
        """Return the rank in the whole pool, estimated from a rank in the sample."""
        return round((rank - 0.5) / self.share + 0.5) if self.share < 1 else rank

    def blocks(self, count: int, budget: int) -> Iterator[Places]:
        """Cut so many references into blocks that fit the budget (bytes); a clustered field takes them all."""
        return iter([np.arange(count)]) if self.clustered else self.pool.blocks(count, budget)


def fields_of(pool: Pool, choosers: Sequence[Chooser], exact_up_to: int) -> Iterator[Field]:
    """Yield what each signal chooses from in a split; together they hold every signal once for each reference."""
    if len(pool.members) <= exact_up_to:
        yield Field(pool, choosers)
        return
    near = [chooser for chooser in choosers if chooser.depth is not None and chooser.depth <= NEAREST]
    for same_category, alike in groupby(sorted(near, key=_by_category), key=_by_category):
        fitting = list(alike)
        for part in _categories(pool) if same_category else [pool]:
            yield Field(part, fitting, clustered=len(part.members) > exact_up_to)
    far = [chooser for chooser in choosers if chooser not in near]
    if far:
        yield from (Field(part, far, share) for part, share in samples_of(pool, exact_up_to))


def _by_category(chooser: Chooser) -> bool:
    return chooser.signal.same_category


def _categories(pool: Pool) -> Iterator[Pool]:
    for category in np.unique(pool.categories[pool.categories >= 0]).tolist():
        yield pool.only(pool.categories == category, f"category-{category}")


def samples_of(pool: Pool, exact_up_to: int) -> Iterator[tuple[Pool, float]]:
    """Deal a pool out into parts, each with its share; a small pool is one part.

    Members come in the order of their hashes, so every so-many-th is a fair sample.
    """
    if len(pool.members) <= exact_up_to:
        yield pool, 1.0
        return
    parts = ceil(len(pool.members) / min(SAMPLE, exact_up_to))
    for number in range(parts):
        yield pool.only(slice(number, None, parts), f"part-{number}"), 1 / parts


class Search:
    """Looks for the nearest images of a large pool, and measures what it misses.

    Args:
        pool: whose images are found; all have an embedding.
        vectors: [N, d] embeddings of the catalog.
        clusters: of the pool.
        by: measure of these vectors.
        checks: each kind of query adds what was measured of it.
    """

    def __init__(self, pool: Pool, vectors: Vectors, clusters: Clusters, by: str, checks: list[Check]) -> None:
        self.pool = pool
        self.clusters = clusters
        self._vectors = vectors
        self._by = by
        self._checks = checks
        self._probes: dict[str, int] = {}

    def of_images(self, references: Places, count: int) -> Iterator[tuple[int, Found]]:
        """Yield references with their nearest images, none of their group; `references` best in `clusters.order`."""
        sample = np.sort(references)[_evenly(len(references), 2 * CHECKED)]
        probes = self._settled(f"neighbours by {self._by}", self._queries(sample), count)
        for start in range(0, len(references), CHUNK):
            part = references[start : start + CHUNK]
            yield from zip(part.tolist(), self.clusters.find(self._queries(part), count, probes), strict=True)

    def of_middles(self, middles: Queries, count: int) -> Iterator[Found]:
        """Yield what is nearest to each of some pairs' middles, which come in an order that is as good as random."""
        probes = self._settled("hard negatives", middles.part(slice(0, 2 * CHECKED)), count)
        yield from self.clusters.find(middles, count, probes)

    def _queries(self, places: Places) -> Queries:
        vectors = self._vectors[self.pool.members[places]]
        return Queries(vectors, on_grid(vectors), self.pool.groups[places][:, None])

    def _settled(self, search: str, sample: Queries, count: int) -> int:
        """Return how many clusters to look into, settled on half of a sample once, and measured on the other half."""
        if search not in self._probes:
            tried, measured = (sample.part(slice(first, None, 2)) for first in (0, 1))
            probes = self._probes[search] = self.clusters.probes_for(tried, count)
            recall = self.clusters.recall(measured, count, probes)
            looked = f"{probes:,} of {len(self.clusters.centres):,} clusters for the nearest {count:,}"
            found = len(self.pool.members), len(measured.fast), round(recall, 5)
            self._checks.append(Check(search, self.pool.name, *found, looked))
        return self._probes[search]


def _evenly(size: int, count: int) -> NDArray[np.int64]:
    """Return at most `count` numbers below `size`, evenly spaced."""
    return np.unique(np.linspace(0, max(0, size - 1), min(size, count)).astype(np.int64))
