"""The nearest images among too many to compare all with all: those of the clusters near a query are compared.

An inverted file (Jegou et al. 2011, without the codes) that is multiplied cluster by cluster, with all queries that
look into one at once: the work is products of matrices, and nothing is built that threads or chance could order.

1. Spherical k-means on a sample gives the centres; every image joins the nearest. Vectors are written to a file in the
   order of their clusters, which is mapped.
2. A query looks into the `probes` clusters with the nearest centres. Nearer clusters come first, so that of the later
   ones only what is nearer than the best so far is kept.

What is found is defined exactly, as the nearest in those clusters, and settled by exact cosines where float32 cannot
(`similarities`), as are centres and clusters: the same on every machine and for every block shape.

n: images; m: clusters; b: queries handled at once; "place" is one of the n, "seat" its row in the order of clusters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cirgen.cosine import COLUMN_BLOCK, GRID, Exact, Vectors, on_grid
from cirgen.stages.mining import Pool
from cirgen.stages.similarities import Fast, Gallery, Mask, Places, Row, error_bound, longest

SAMPLE_PER_CLUSTER = 24  # images that k-means sees
ITERATIONS = 5
CHUNK = 32_768
"""Queries that look into clusters together."""
AT_ONCE = 4_096
"""Queries compared with all centres at a time: 64 MiB at 4,096 clusters."""
CHECKED = 512
"""Queries whose exact neighbours say how many clusters to look into; as many others measure the recall."""
RECALL = 0.995
"""Aimed at on the former, so that at least 0.99 are found."""


def clusters_for(count: int) -> int:
    """Return a power of two near four times the square root: centres and images then take about as long to compare."""
    return int(2 ** round(math.log2(4 * math.sqrt(max(1, count)))))


class Queries(NamedTuple):
    """What is looked for."""

    fast: Fast
    """[b, d] embeddings, or sums of two."""
    exact: Exact
    """[b, d] the same, as `on_grid` returns them."""
    groups: NDArray[np.int64]
    """[b, e] near-duplicate groups that are no answer."""

    def part(self, numbers: NDArray[np.int64] | slice) -> Queries:
        """Return some of the queries."""
        return Queries(self.fast[numbers], self.exact[numbers], self.groups[numbers])


class Found(NamedTuple):
    """The candidates of one query."""

    places: Places
    """Ascending."""
    row: Row
    """How near they are."""


class Clusters:
    """The images of a pool by cluster.

    Args:
        pool: whose images are found.
        vectors: [N, d] embeddings of the catalog, L2-normalised.
        path: file for the vectors in the order of clusters; what is mapped outlives it.
    """

    def __init__(self, pool: Pool, vectors: Vectors, path: Path) -> None:
        self._pool = pool
        self._gallery = Gallery(vectors, pool.members)
        self._length = longest(vectors, pool.members)
        self.centres = _centres(vectors, pool.members, clusters_for(len(pool.members)))
        own = _nearest_centres(vectors, pool.members, self.centres)
        self._places = np.argsort(own, kind="stable")  # [n] of each seat
        self._starts = np.searchsorted(own[self._places], np.arange(len(self.centres) + 1))
        self._groups = pool.groups[self._places]
        self._sorted = _sorted_copy(vectors, pool.members[self._places], path)

    @property
    def order(self) -> Places:
        """Return the places of all images, those of one cluster together: the order in which to ask for them."""
        return self._places

    def find(self, queries: Queries, count: int, probes: int) -> Iterator[Found]:
        """Yield for each query the `count` nearest, or all, in the `probes` clusters nearest to it."""
        for start in range(0, len(queries.fast), CHUNK):
            yield from self._find(queries.part(slice(start, start + CHUNK)), count, probes)

    def _find(self, queries: Queries, count: int, probes: int) -> Iterator[Found]:
        lengths = np.linalg.norm(queries.fast, axis=1)
        bound = error_bound(queries.fast.shape[1], float(lengths.max(initial=0.0)), self._length)
        looked = self._probes(queries, probes)
        kept = _Kept(len(queries.fast), count, bound)
        for first, last in _rounds(looked.shape[1]):
            for cluster, asking in _by_cluster(looked[:, first:last]):
                kept.add(asking, *self._compared(queries, asking, cluster, kept.least))
            kept.prune()
        for number, (seats, fast) in enumerate(kept.of_each()):
            yield self._found(queries.exact[number], seats, fast, bound, count)

    def _compared(
        self, queries: Queries, asking: NDArray[np.int64], cluster: int, least: Fast
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], Fast]:
        """Return who (index into `asking`), whose seat, and how near, for what is near enough in one cluster."""
        start, stop = self._starts[cluster : cluster + 2]
        fast = queries.fast[asking] @ self._sorted[start:stop].T
        hits = np.flatnonzero(fast >= least[asking][:, None])
        who, seat = np.divmod(hits, stop - start) if stop > start else (hits, hits)
        seat += start
        answers = (self._groups[seat][:, None] != queries.groups[asking[who]]).all(axis=1)
        return who[answers], seat[answers], fast.ravel()[hits[answers]]

    def _found(self, query: Exact, seats: NDArray[np.int64], fast: Fast, bound: float, count: int) -> Found:
        order = np.argsort(self._places[seats], kind="stable")
        seats, fast = seats[order], fast[order]
        row = Row(fast, bound, lambda chosen: self._exactly(query, seats[chosen]))
        among = row.first(count)
        places = self._places[seats]
        return Found(places[among], _part(row, among))

    def _exactly(self, query: Exact, seats: NDArray[np.int64]) -> Exact:
        return np.asarray(on_grid(self._sorted[seats]) @ query * (GRID * GRID))

    def _probes(self, queries: Queries, probes: int) -> NDArray[np.int64]:
        """Return the clusters that each query looks into [b, probes], roughly the nearest first."""
        centres = Gallery(self.centres, np.arange(len(self.centres)))
        found = []
        for start in range(0, len(queries.fast), AT_ONCE):
            part = queries.part(slice(start, start + AT_ONCE))
            compared = centres.compare(part.fast, part.exact)
            found.append(_first(compared.fast, compared.bound, min(probes, len(self.centres)), compared.row))
        return np.concatenate(found) if found else np.empty((0, probes), dtype=np.int64)

    def probes_for(self, queries: Queries, count: int, recall: float = RECALL) -> int:
        """Return how many clusters to look into, so that the given share of the nearest `count` is found."""
        ranks = np.concatenate([*self._cluster_ranks(queries, count), np.zeros(1, dtype=np.int64)])
        return int(np.sort(ranks)[max(0, math.ceil(recall * len(ranks)) - 1)]) + 1

    def _cluster_ranks(self, queries: Queries, count: int) -> Iterator[NDArray[np.int64]]:
        """Yield of each query, for its true neighbours, how many clusters are nearer than theirs."""
        own = np.empty(len(self._places), dtype=np.int64)
        own[self._places] = np.repeat(np.arange(len(self.centres)), np.diff(self._starts))
        order = self._probes(queries, len(self.centres))
        for number, places in enumerate(self.exactly_nearest(queries, count)):
            rank = np.empty(len(self.centres), dtype=np.int64)
            rank[order[number]] = np.arange(len(self.centres))
            yield rank[own[places]]

    def exactly_nearest(self, queries: Queries, count: int) -> Iterator[Places]:
        """Yield the nearest images of each query among all, by a full look at the pool."""
        for start in range(0, len(queries.fast), 64):
            part = queries.part(slice(start, start + 64))
            compared = self._gallery.compare(part.fast, part.exact)
            for number in range(len(part.fast)):
                row = compared.row(number)
                row.fast[np.isin(self._pool.groups, part.groups[number])] = -np.inf
                yield row.nearest(count)

    def recall(self, queries: Queries, count: int, probes: int) -> float:
        """Return the share of the true nearest `count` that is found, over all queries."""
        hits = total = 0
        for found, places in zip(self.find(queries, count, probes), self.exactly_nearest(queries, count), strict=True):
            hits += int(np.isin(places, found.places).sum())
            total += len(places)
        return hits / total if total else 1.0


class _Kept:
    """What may be among the nearest `count` of each query, while clusters are looked through."""

    def __init__(self, queries: int, count: int, bound: float) -> None:
        self.least = np.full(queries, -np.inf, dtype=np.float32)  # of the cosines that are near enough, so far
        self._count = count
        self._bound = bound
        empty = np.empty(0, dtype=np.int64)
        self._parts = [(empty, empty, np.empty(0, dtype=np.float32))]

    def add(self, asking: NDArray[np.int64], who: NDArray[np.int64], seats: NDArray[np.int64], fast: Fast) -> None:
        """Add what some queries met in a cluster: `who` are indices into `asking`."""
        self._parts.append((asking[who], seats, fast))

    def prune(self) -> None:
        """Drop what is not among the nearest `count`, and raise the bar to the last of them."""
        query, seats, fast = (np.concatenate(column) for column in zip(*self._parts, strict=True))
        order = np.lexsort((-fast, query))
        query, seats, fast = query[order], seats[order], fast[order]
        starts = np.searchsorted(query, np.arange(len(self.least) + 1))
        enough = np.flatnonzero(np.diff(starts) >= self._count)
        bar = fast[starts[enough] + self._count - 1].astype(np.float64) - 2 * self._bound
        self.least[enough] = np.nextafter(bar.astype(np.float32), np.float32(-np.inf))
        kept = fast >= self.least[query]
        self._parts = [(query[kept], seats[kept], fast[kept])]

    def of_each(self) -> Iterator[tuple[NDArray[np.int64], Fast]]:
        """Yield seats and cosines of each query, once pruned."""
        query, seats, fast = self._parts[0]
        starts = np.searchsorted(query, np.arange(len(self.least) + 1))
        for start, stop in pairwise(starts.tolist()):
            yield seats[start:stop], fast[start:stop]


def _rounds(probes: int) -> Iterator[tuple[int, int]]:
    """Cut the probes into rounds, each as long as all before it: the bar rises early, and is set seldom."""
    first = 0
    while first < probes:
        last = min(probes, max(1, 2 * first))
        yield first, last
        first = last


def _by_cluster(looked: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield each cluster with the queries that look into it [b, p]."""
    flat = looked.ravel()
    order = np.argsort(flat, kind="stable")
    clusters, starts = np.unique(flat[order], return_index=True)
    yield from zip(clusters.tolist(), np.split(order // looked.shape[1], starts[1:]), strict=True)


def _part(row: Row, among: Mask) -> Row:
    kept = np.flatnonzero(among)
    return Row(row.fast[among], row.bound, lambda places: row.exact(kept[places]))


def _first(fast: Fast, bound: float, count: int, row_of: Callable[[int], Row]) -> NDArray[np.int64]:
    """Return the places of the `count` nearest of each query [b, count], roughly the nearest first."""
    if count >= fast.shape[1]:
        return np.argsort(-fast, axis=1, kind="stable")
    places = np.argpartition(-fast, count - 1, axis=1)[:, :count]
    last = np.take_along_axis(fast, places, axis=1).min(axis=1)
    close = np.count_nonzero(fast >= (last - np.float32(2.1 * bound))[:, None], axis=1) > count
    for number in np.flatnonzero(close).tolist():
        places[number] = np.flatnonzero(row_of(number).first(count))
    order = np.argsort(-np.take_along_axis(fast, places, axis=1), axis=1, kind="stable")
    return np.take_along_axis(places, order, axis=1)


def _nearest_centres(vectors: Vectors, rows: NDArray[np.int64], centres: Vectors) -> NDArray[np.int64]:
    """Return the nearest centre of some rows of a matrix; of equally near ones, the first [n]."""
    gallery = Gallery(centres, np.arange(len(centres)))
    found = np.empty(len(rows), dtype=np.int64)
    for start in range(0, len(rows), AT_ONCE):
        part = vectors[rows[start : start + AT_ONCE]]
        compared = gallery.compare(part, on_grid(part))
        found[start : start + AT_ONCE] = _first(compared.fast, compared.bound, 1, compared.row)[:, 0]
    return found


def _centres(vectors: Vectors, members: NDArray[np.int64], count: int) -> Vectors:
    """Return centres [m, d] on the grid, by spherical k-means on images drawn evenly from the catalog.

    The catalog is sorted by hash, so every so-many-th image is a fair sample. Sums of whole numbers are exact, and so
    are the roundings of what is derived from them.
    """
    step = max(1, len(members) // (SAMPLE_PER_CLUSTER * count))
    sample = members[::step]
    grid = on_grid(vectors[sample[np.linspace(0, len(sample) - 1, count).astype(np.int64)]])
    for _ in range(ITERATIONS):
        centres = (grid * GRID).astype(np.float32)
        own = _nearest_centres(vectors, sample, centres)
        order = np.argsort(own, kind="stable")
        starts = np.searchsorted(own[order], np.arange(count + 1))
        for cluster in np.flatnonzero(np.diff(starts)).tolist():  # a centre that nobody is near stays where it is
            rows = sample[order[starts[cluster] : starts[cluster + 1]]]
            grid[cluster] = _direction(on_grid(vectors[rows]).sum(axis=0))
    return (grid * GRID).astype(np.float32)


def _direction(total: Exact) -> Exact:
    """Return a sum scaled to length 1, in units of the grid; the length is rounded once, whatever the machine."""
    length = math.sqrt(math.fsum((total * total).tolist()))
    return np.rint(total / length / GRID) if length else total


def _sorted_copy(vectors: Vectors, rows: NDArray[np.int64], path: Path) -> Vectors:
    """Write rows of a matrix to a file, in this order, and map it; the file goes with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mapped = np.lib.format.open_memmap(path, "w+", np.float32, (len(rows), vectors.shape[1]))
    for start in range(0, len(rows), COLUMN_BLOCK):
        mapped[start : start + COLUMN_BLOCK] = vectors[rows[start : start + COLUMN_BLOCK]]
    return np.asarray(mapped)
