"""Pairs: which target each reference meets, chosen by the recipe's signals, and the hard negatives of each pair.

Everything is exact and independent of block shape, order and machine: similarities are those of `cirgen.cosine`,
draws go by key. A pair is (reference, target): the same two images the other way round are another pair, unless the
recipe asks for texts in both directions. One that is chosen twice is kept once, under the signal that the recipe lists
first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cirgen.cosine import Vectors, cosines, has_vector, on_grid
from cirgen.devices import pick_device
from cirgen.errors import UserError
from cirgen.keys import digest
from cirgen.recipe import Signal
from cirgen.run_folder import Run
from cirgen.schemas import PAIR
from cirgen.shards import distinct, write_rows
from cirgen.stages.given import given_pairs, given_references
from cirgen.stages.mining import BLOCK_BYTES, Histogram, Pool
from cirgen.stages.signals import BY_RANK, Chooser, GivenPairs, labels
from cirgen.stages.similarities import Compared, Gallery, Mask, Places, Row
from cirgen.store import BATCH_ROWS, quoted, stream

_CHOSEN = pa.schema(
    [
        *(field for field in PAIR if field.name != "hard_negatives"),
        pa.field("reference", pa.int64(), nullable=False),  # row of the catalog
        pa.field("target", pa.int64(), nullable=False),
    ]
)


def pair(run: Run, block_bytes: int = BLOCK_BYTES) -> None:
    """Choose the pairs of a run and write them, sorted by pair_id.

    Args:
        run: has a catalog, `image_vectors`, and `caption_vectors` where a signal measures by caption.
        block_bytes: memory for one block of similarities; changes speed alone.

    Raises:
        UserError: no reference has a target by any signal.
    """
    mining = _Mining(run, block_bytes)
    with run.scratch() as folder:
        unsorted = folder / "pairs.parquet"
        write_rows(unsorted, mining.chosen(), _CHOSEN)
        count = write_rows(run.pairs, mining.with_hard_negatives(_kept(run, unsorted, mining.labels)), PAIR)
    run.note_facts(pairs=mining.facts(count))
    if count == 0:
        run.pairs.unlink(missing_ok=True)
        raise UserError(_nothing_found(mining.choosers))


_ONCE = """
QUALIFY row_number() OVER (
    PARTITION BY least(reference_id, target_id), greatest(reference_id, target_id)
    ORDER BY list_position(?::VARCHAR[], signal), pair_id
) = 1
"""
"""With texts in both directions a pair has those of its reverse already."""


def _kept(run: Run, unsorted: Path, labels: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the chosen pairs by pair_id: a hash, so a limit keeps an even sample, and a larger limit keeps it too."""
    both = run.recipe.modify.directions == "both"
    limit = f"LIMIT {run.recipe.pair.max_pairs}" if run.recipe.pair.max_pairs else ""
    chosen = f"SELECT * FROM read_parquet({quoted(str(unsorted))}) {_ONCE if both else ''} ORDER BY pair_id {limit}"
    with run.store.connect() as connection:
        for batch in distinct(stream(connection, chosen, [labels] if both else None), "pair_id"):
            yield from batch.to_pylist()


class _Mining:
    """The images of a run, their similarities, and the signals that choose among them."""

    def __init__(self, run: Run, block_bytes: int) -> None:
        settings = run.recipe.pair
        self._run = run
        self._block_bytes = block_bytes
        self._hard_negatives = settings.hard_negatives
        columns = ["image_id", "split", "group", "category"]
        self._catalog = pq.read_table(run.catalog, columns=columns).combine_chunks()
        self._image_ids = self._catalog.column("image_id").combine_chunks()
        self._vectors: dict[str, Vectors] = {
            by: self._load(by) for by in sorted({"image", *(signal.by for signal in settings.signals)})
        }
        self._there = {by: has_vector(vectors) for by, vectors in self._vectors.items()}
        self._device = pick_device(run.recipe.encoder.device)
        self._pools = self._split_pools()
        self._references = given_references(run) if settings.references == "given" else None
        self._given, self._given_lost = self._load_given(settings.signals)
        self.choosers = [
            Chooser(signal, label, run.recipe.seed, *self._bounds(signal))
            for signal, label in zip(settings.signals, labels(settings.signals), strict=True)
        ]
        self._by_signal: Counter[str] = Counter()

    def _load(self, by: str) -> Vectors:
        path = self._run.image_vectors if by == "image" else self._run.caption_vectors
        vectors: Vectors = np.asarray(np.load(path, mmap_mode="r"))
        if len(vectors) != self._catalog.num_rows:
            raise ValueError(f"{path} has {len(vectors)} rows, the catalog {self._catalog.num_rows}")
        return vectors

    def _split_pools(self) -> list[Pool]:
        splits = np.asarray(self._catalog.column("split").to_pylist())
        groups, categories = (_codes(self._catalog.column(name)) for name in ("group", "category"))
        pools = []
        for split in sorted(set(splits.tolist())):
            members = np.flatnonzero((splits == split) & self._there["image"])
            pools.append(Pool(split, members, groups[members], categories[members]))
        return pools

    def _load_given(self, signals: Sequence[Signal]) -> tuple[GivenPairs, dict[str, int]]:
        if all(signal.kind != "given" for signal in signals):
            nobody = np.empty(0, dtype=np.int64)
            return GivenPairs(nobody, nobody), {}
        return given_pairs(self._run, self._there["image"])

    def _bounds(self, signal: Signal) -> tuple[float, float]:
        """Return the window of a signal as cosines."""
        if signal.kind in BY_RANK:
            return -np.inf, np.inf
        lower = -np.inf if signal.lower is None else signal.lower
        upper = np.inf if signal.upper is None else signal.upper
        if signal.kind != "percentile":
            return lower, upper
        histogram = Histogram()
        for pool, references in self._blocks("Measure similarities", bytes_each=8):  # float64: a bin is a millionth
            queries = on_grid(self._vectors[signal.by][pool.members[references]])
            for place, cosine in zip(
                references, cosines(queries, self._vectors[signal.by], pool.members), strict=True
            ):
                allowed = self._allowed(pool, signal, int(place))
                allowed[pool.same_group(int(place))] = False
                histogram.add(cosine[allowed])
        return histogram.percentile(lower), histogram.percentile(upper)

    def _blocks(self, label: str, bytes_each: int = 4) -> Iterator[tuple[Pool, Places]]:
        """Yield references of one pool."""
        asked = [self._references_of(pool) for pool in self._pools]
        with self._run.progress.step(label, sum(map(len, asked))) as step:
            for pool, places in zip(self._pools, asked, strict=True):
                for block in pool.blocks(len(places), self._block_bytes * 4 // bytes_each):
                    yield pool, places[block]
                    step.advance(len(block))

    def _references_of(self, pool: Pool) -> Places:
        """Return the places of the images of a pool that are references."""
        if self._references is None:
            return np.arange(len(pool.members))
        return np.flatnonzero(np.isin(pool.members, self._references))

    def _allowed(self, pool: Pool, signal: Signal, place: int) -> Mask:
        """Return who may be a target of an image by a signal [n], its group aside."""
        there = self._there[signal.by][pool.members]
        allowed = there & there[place]
        return np.asarray(allowed & pool.same_category(place) if signal.same_category else allowed)

    def chosen(self) -> Iterator[dict[str, Any]]:
        """Yield the pairs that the signals choose (`_CHOSEN`), reference by reference."""
        for pool, references in self._blocks("Mine pairs"):
            compared = {by: self._compared(pool, by, references) for by in self._vectors}
            for number, place in enumerate(references.tolist()):
                rows = {by: block.row(number) for by, block in compared.items()}
                for row in rows.values():
                    row.fast[pool.same_group(place)] = -np.inf
                yield from self._of_reference(pool, place, rows)

    @cached_property
    def _galleries(self) -> dict[tuple[str, str], Gallery]:
        return {
            (pool.split, by): Gallery(vectors, pool.members, self._device)
            for pool in self._pools
            for by, vectors in self._vectors.items()
        }

    def _compared(self, pool: Pool, by: str, references: Places) -> Compared:
        vectors = self._vectors[by][pool.members[references]]
        return self._galleries[pool.split, by].compare(vectors, on_grid(vectors))

    def _of_reference(self, pool: Pool, place: int, rows: Mapping[str, Row]) -> Iterator[dict[str, Any]]:
        reference = int(pool.members[place])
        reference_id = self._image_id(reference)
        given = pool.places(self._given.of(reference))
        taken: set[int] = set()
        for chooser in self.choosers:
            row = self._restricted(pool, chooser.signal, place, rows[chooser.signal.by])
            places, ranks = chooser.choose(reference_id, row, given)
            similarities = rows["image"].exact(places)
            for target_place, rank, similarity in zip(places.tolist(), ranks.tolist(), similarities, strict=True):
                if target_place in taken:
                    continue
                taken.add(target_place)
                target = int(pool.members[target_place])
                yield {
                    "pair_id": digest("pair", reference_id, self._image_id(target)),
                    "reference_id": reference_id,
                    "target_id": self._image_id(target),
                    "split": pool.split,
                    "signal": chooser.label,
                    "similarity": similarity,
                    "rank": rank,
                    "reference": reference,
                    "target": target,
                }

    def _restricted(self, pool: Pool, signal: Signal, place: int, row: Row) -> Row:
        everybody = signal.by == "image" or self._there[signal.by].all()  # who has no image embedding is in no pool
        if everybody and not signal.same_category:
            return row
        return row.only(self._allowed(pool, signal, place))

    def _image_id(self, position: int) -> str:
        return str(self._image_ids[position].as_py())

    def with_hard_negatives(self, pairs: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Yield pairs (`schemas.PAIR`) with their hard negatives, in the order in which they come."""
        pools = {pool.split: pool for pool in self._pools}
        while batch := list(islice(pairs, BATCH_ROWS)):
            negatives: dict[str, list[str]] = {}
            for split in sorted({row["split"] for row in batch}):
                in_split = [row for row in batch if row["split"] == split]
                negatives.update(self._all_mined(pools[split], in_split))
            for row in batch:
                self._by_signal[row["signal"]] += 1
                reference = {"image_id": row["reference_id"], "kind": "reference"}
                hard = [
                    reference,
                    *({"image_id": image_id, "kind": "mined"} for image_id in negatives[row["pair_id"]]),
                ]
                yield {name: row[name] for name in PAIR.names if name != "hard_negatives"} | {"hard_negatives": hard}

    def _all_mined(self, pool: Pool, pairs: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, list[str]]]:
        if not self._hard_negatives:
            yield from ((row["pair_id"], []) for row in pairs)
            return
        for block in pool.blocks(len(pairs), self._block_bytes):
            yield from self._mined(pool, [pairs[number] for number in block])

    def _mined(self, pool: Pool, pairs: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, list[str]]]:
        """Yield per pair the images nearest to the average of reference and target, neither's near duplicates."""
        vectors = self._vectors["image"]
        ends = np.asarray([(row["reference"], row["target"]) for row in pairs])
        one, other = vectors[ends[:, 0]], vectors[ends[:, 1]]
        compared = self._galleries[pool.split, "image"].compare(one + other, on_grid(one) + on_grid(other))
        for number, (pair_row, places) in enumerate(zip(pairs, pool.places(ends), strict=True)):
            row = compared.row(number)
            for place in places.tolist():
                row.fast[pool.same_group(place)] = -np.inf
            mined = row.nearest(self._hard_negatives)
            yield pair_row["pair_id"], [self._image_id(int(position)) for position in pool.members[mined]]

    @property
    def labels(self) -> list[str]:
        """Return the names of the signals, in the order of the recipe."""
        return [chooser.label for chooser in self.choosers]

    def facts(self, count: int) -> dict[str, Any]:
        """Return what the report says of pairing."""
        return {
            "count": count,
            "by_signal": {chooser.label: self._by_signal[chooser.label] for chooser in self.choosers},
            "references_without_target": {chooser.label: chooser.seen.without_target for chooser in self.choosers},
            "without_embedding": int((~self._there["image"]).sum()),
            "given_lost": self._given_lost,
        }


def _codes(column: pa.ChunkedArray) -> Places:
    """Number the distinct values of a text column, -1 for the empty one."""
    codes = column.combine_chunks().dictionary_encode()
    numbers = np.asarray(codes.indices, dtype=np.int64)
    values = codes.dictionary.to_pylist()
    return np.where(numbers == values.index(""), -1, numbers) if "" in values else numbers


def _nothing_found(choosers: Sequence[Chooser]) -> str:
    """Say why no signal chose anything, in the units in which the user sets its window."""
    if not any(chooser.seen.references for chooser in choosers):
        return "No image is the reference of a pair that the source names; set pair.references to all."
    tried = "; ".join(f"{chooser.label} {_window(chooser)}" for chooser in choosers)
    return f"No pair was found ({tried}); change lower and upper in pair.signals, or use more images."


def _window(chooser: Chooser) -> str:
    signal, seen = chooser.signal, chooser.seen
    window = f"lower={signal.lower} upper={signal.upper}"
    if not seen.candidates:
        return f"with {window} saw no candidate: no image shares a split with another that is no near duplicate"
    if signal.kind == "given":
        window += ", of the pairs that the source names,"
    return (
        f"with {window} saw similarities from {seen.least:.3f} to {seen.most:.3f} "
        f"and at most {seen.candidates} candidates per reference"
    )
