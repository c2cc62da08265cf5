"""Pairs: which target each reference meets, chosen by the recipe's signals, and the hard negatives of each pair.

Everything is independent of block shape, order and machine: similarities are those of `cirgen.cosine`, draws go by
key. Up to `EXACT_UP_TO` images in a split, every image is compared with every other; beyond, `stages.fields` says what
stands for that, and the run measures what it misses. A pair is (reference, target): the same two images the other way
round are another pair, unless the recipe asks for texts in both directions. One that is chosen twice is kept once,
under the signal that the recipe lists first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cirgen.cosine import GRID, Vectors, cosines, has_vector, on_grid
from cirgen.devices import pick_device
from cirgen.errors import UserError
from cirgen.keys import digest
from cirgen.parquet_sql import rows_of
from cirgen.recipe import Signal
from cirgen.run_folder import Run
from cirgen.schemas import PAIR
from cirgen.shards import distinct, write_rows
from cirgen.stages.clusters import CHECKED, CHUNK, Clusters, Queries
from cirgen.stages.fields import EXACT_UP_TO, Check, Drawn, Field, Search, fields_of, samples_of, window_check
from cirgen.stages.given import given_pairs, given_references
from cirgen.stages.mining import BLOCK_BYTES, Histogram, Pool
from cirgen.stages.signals import BY_RANK, Chooser, Chosen, GivenPairs, labels
from cirgen.stages.similarities import Compared, Gallery, Mask, Places, Row
from cirgen.store import BATCH_ROWS, stream

_CHOSEN = pa.schema(
    [
        *(field for field in PAIR if field.name != "hard_negatives"),
        pa.field("reference", pa.int64(), nullable=False),  # row of the catalog
        pa.field("target", pa.int64(), nullable=False),
    ]
)


def pair(run: Run, block_bytes: int = BLOCK_BYTES, exact_up_to: int = EXACT_UP_TO) -> None:
    """Choose the pairs of a run and write them, sorted by pair_id.

    Args:
        run: has a catalog, `image_vectors`, and `caption_vectors` where a signal measures by caption.
        block_bytes: memory for one block of similarities; changes speed alone.
        exact_up_to: images of a split, all of which are compared with all.

    Raises:
        UserError: no reference has a target by any signal.
    """
    with run.scratch() as folder:
        mining = _Mining(run, folder, block_bytes, exact_up_to)
        unsorted = folder / "pairs.parquet"
        write_rows(unsorted, mining.chosen(), _CHOSEN)
        count = write_rows(run.pairs, mining.with_hard_negatives(_kept(run, unsorted, mining)), PAIR)
    facts = mining.facts(count)
    run.note_facts(pairs=facts)
    for check in facts.get("approximate", ()):
        run.progress.say(check["told"])
    if count == 0:
        run.pairs.unlink(missing_ok=True)
        raise UserError(_nothing_found(mining.choosers))


_ONCE = """
QUALIFY row_number() OVER (PARTITION BY {ends} ORDER BY list_position(?::VARCHAR[], signal), pair_id) = 1
"""
_UNORDERED = "least(reference_id, target_id), greatest(reference_id, target_id)"
"""With texts in both directions a pair has those of its reverse already."""


def _kept(run: Run, unsorted: Path, mining: _Mining) -> Iterator[dict[str, Any]]:
    """Yield the chosen pairs by pair_id: a hash, so a limit keeps an even sample, and a larger limit keeps it too."""
    ends = _UNORDERED if run.recipe.modify.directions == "both" else "pair_id" if mining.in_turns else ""
    once = _ONCE.format(ends=ends) if ends else ""
    limit = f"LIMIT {run.recipe.pair.max_pairs}" if run.recipe.pair.max_pairs else ""
    chosen = f"SELECT * FROM {rows_of(unsorted)} {once} ORDER BY pair_id {limit}"
    with run.store.connect() as connection:
        for batch in distinct(stream(connection, chosen, [mining.labels] if once else None), "pair_id"):
            yield from batch.to_pylist()


class _Mining:
    """The images of a run, their similarities, and the signals that choose among them."""

    def __init__(self, run: Run, scratch: Path, block_bytes: int, exact_up_to: int) -> None:
        settings = run.recipe.pair
        self._run = run
        self._scratch = scratch
        self._exact_up_to = exact_up_to
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
        self._checks: list[Check] = []
        self._drawn: list[Drawn] = []
        self._galleries: dict[tuple[str, str], Gallery] = {}
        self._searches: dict[tuple[str, str], Search] = {}
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
        parts = chain.from_iterable(samples_of(pool, self._exact_up_to) for pool in self._pools)
        samples = [Field(part, (), share) for part, share in parts]
        for field, references in self._blocks("Measure similarities", samples, bytes_each=8):  # a bin is a millionth
            pool = field.pool
            references = references[references % field.every == 0]  # noqa: PLW2901
            queries = on_grid(self._vectors[signal.by][pool.members[references]])
            similar = cosines(queries, self._vectors[signal.by], pool.members)
            for place, cosine in zip(references.tolist(), similar, strict=True):
                allowed = self._allowed(pool, signal, place)
                allowed[pool.same_group(place)] = False
                histogram.add(cosine[allowed])
        return histogram.percentile(lower), histogram.percentile(upper)

    def _blocks(self, label: str, fields: Sequence[Field], bytes_each: int = 4) -> Iterator[tuple[Field, Places]]:
        """Yield references of one field."""
        asked = [self._references_of(field.pool) for field in fields]
        with self._run.progress.step(label, sum(map(len, asked))) as step:
            for field, places in zip(fields, asked, strict=True):
                for block in field.blocks(len(places), self._block_bytes * 4 // bytes_each):
                    yield field, places[block]
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

    @cached_property
    def _fields(self) -> list[Field]:
        return [field for pool in self._pools for field in fields_of(pool, self.choosers, self._exact_up_to)]

    @property
    def in_turns(self) -> bool:
        """Return whether some signals choose after others, so that a pair may come twice."""
        return any(map(self._is_large, self._pools))

    def _is_large(self, pool: Pool) -> bool:
        return len(pool.members) > self._exact_up_to

    def chosen(self) -> Iterator[dict[str, Any]]:
        """Yield the pairs that the signals choose (`_CHOSEN`), reference by reference."""
        for field, references in self._blocks("Mine pairs", self._fields):
            if field.clustered:
                yield from self._among_nearest(field, references)
                continue
            compared = {by: self._compared(field.pool, by, references) for by in self._vectors}
            for number, place in enumerate(references.tolist()):
                rows = {by: block.row(number) for by, block in compared.items()}
                for row in rows.values():
                    row.fast[field.pool.same_group(place)] = -np.inf
                yield from self._of_reference(field, place, rows)
        self._check_windows()

    def _check_windows(self) -> None:
        """Measure how many of the targets that were drawn from a sample lie in their window of the whole pool."""
        for pool in filter(self._is_large, self._pools):
            for chooser in self.choosers:
                drawn = [one for one in self._drawn if one.chooser is chooser and one.reference in pool]
                inside = [inside for one in drawn for inside in self._in_window(pool, one)]
                if inside:
                    self._checks.append(window_check(chooser.label, pool, len(drawn), inside))

    def _in_window(self, pool: Pool, drawn: Drawn) -> Iterator[bool]:
        place = pool.places(np.asarray([drawn.reference]))
        row = self._compared(pool, drawn.chooser.signal.by, place).row(0)
        row.fast[pool.same_group(int(place[0]))] = -np.inf
        row = self._restricted(pool, drawn.chooser.signal, int(place[0]), row)
        first, last = drawn.chooser.ranks(row.candidates)
        yield from (first <= row.rank_of(target) <= last for target in pool.places(drawn.targets).tolist())

    def _gallery(self, pool: Pool, by: str) -> Gallery:
        if (pool.name, by) not in self._galleries:
            self._galleries[pool.name, by] = Gallery(self._vectors[by], pool.members, self._device)
        return self._galleries[pool.name, by]

    def _compared(self, pool: Pool, by: str, references: Places) -> Compared:
        vectors = self._vectors[by][pool.members[references]]
        return self._gallery(pool, by).compare(vectors, on_grid(vectors))

    def _of_reference(self, field: Field, place: int, rows: Mapping[str, Row]) -> Iterator[dict[str, Any]]:
        pool = field.pool
        reference = int(pool.members[place])
        given = self._given.of(reference)
        taken: set[int] = set()
        for chooser in field.choosers:
            row = self._restricted(pool, chooser.signal, place, rows[chooser.signal.by])
            if chooser.signal.kind == "given" and field.share < 1:
                chosen = self._beyond(chooser, reference, given, row)
                targets = given[chosen.places]
            else:
                chosen = chooser.choose(self._image_id(reference), row, pool.places(given), field.share)
                targets = pool.members[chosen.places]
            if field.share < 1 and place < CHECKED // field.every and chooser.signal.kind in BY_RANK:
                self._drawn.append(Drawn(chooser, reference, targets))
            yield from self._rows(chooser, field, reference, Chosen(targets, chosen.ranks), taken)

    def _beyond(self, chooser: Chooser, reference: int, given: Places, row: Row) -> Chosen:
        """Choose among given targets that the row, a sample of the pool, need not hold."""
        vectors = self._vectors[chooser.signal.by]
        similar = np.asarray(on_grid(vectors[given]) @ on_grid(vectors[reference]) * (GRID * GRID))
        return chooser.choose_given(similar, self._there[chooser.signal.by][given], row)

    def _rows(
        self, chooser: Chooser, field: Field, reference: int, chosen: Chosen, taken: set[int]
    ) -> Iterator[dict[str, Any]]:
        """Yield the pairs (`_CHOSEN`) of a reference with targets, both as rows of the catalog."""
        vectors = self._vectors["image"]
        similar = on_grid(vectors[chosen.places]) @ on_grid(vectors[reference]) * (GRID * GRID)
        reference_id = self._image_id(reference)
        for target, rank, similarity in zip(chosen.places.tolist(), chosen.ranks.tolist(), similar, strict=True):
            if target in taken:
                continue
            taken.add(target)
            target_id = self._image_id(target)
            yield {
                "pair_id": digest("pair", reference_id, target_id),
                "reference_id": reference_id,
                "target_id": target_id,
                "split": field.pool.split,
                "signal": chooser.label,
                "similarity": similarity,
                "rank": field.rank(rank),
                "reference": reference,
                "target": target,
            }

    def _among_nearest(self, field: Field, references: Places) -> Iterator[dict[str, Any]]:
        """Yield the pairs of a large field whose signals choose among the nearest."""
        for by in sorted({chooser.signal.by for chooser in field.choosers}):
            choosers = [chooser for chooser in field.choosers if chooser.signal.by == by]
            search = self._search(field.pool, by)
            order = search.clusters.order
            asked = order[np.isin(order, references)]
            depth = max(chooser.depth or 0 for chooser in choosers)
            for place, found in search.of_images(asked, depth):
                reference = int(search.pool.members[place])
                taken: set[int] = set()
                for chooser in choosers:
                    chosen = chooser.choose(self._image_id(reference), found.row, found.places[:0])
                    targets = search.pool.members[found.places[chosen.places]]
                    yield from self._rows(chooser, field, reference, Chosen(targets, chosen.ranks), taken)

    def _search(self, pool: Pool, by: str) -> Search:
        if (pool.name, by) not in self._searches:
            there = pool.only(self._there[by][pool.members])
            clusters = Clusters(there, self._vectors[by], self._scratch / f"{by}-{pool.name}.npy")
            self._searches[pool.name, by] = Search(there, self._vectors[by], clusters, by, self._checks)
        return self._searches[pool.name, by]

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
        while batch := list(islice(pairs, CHUNK if self.in_turns else BATCH_ROWS)):
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
        if self._is_large(pool):
            yield from self._found(pool, pairs)
            return
        for block in pool.blocks(len(pairs), self._block_bytes):
            yield from self._mined(pool, [pairs[number] for number in block])

    def _mined(self, pool: Pool, pairs: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, list[str]]]:
        """Yield per pair the images nearest to the average of reference and target, neither's near duplicates."""
        middles, places = self._middles(pool, pairs)
        compared = self._gallery(pool, "image").compare(middles.fast, middles.exact)
        for number, (pair_row, ends) in enumerate(zip(pairs, places.tolist(), strict=True)):
            row = compared.row(number)
            for place in ends:
                row.fast[pool.same_group(place)] = -np.inf
            mined = row.nearest(self._hard_negatives)
            yield pair_row["pair_id"], [self._image_id(int(position)) for position in pool.members[mined]]

    def _found(self, pool: Pool, pairs: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, list[str]]]:
        """Do what `_mined` does in a large pool."""
        search = self._search(pool, "image")
        middles, _ = self._middles(pool, pairs)
        for pair_row, found in zip(pairs, search.of_middles(middles, self._hard_negatives), strict=True):
            mined = found.places[found.row.nearest(self._hard_negatives)]
            yield pair_row["pair_id"], [self._image_id(int(position)) for position in search.pool.members[mined]]

    def _middles(self, pool: Pool, pairs: Sequence[Mapping[str, Any]]) -> tuple[Queries, Places]:
        """Return the sums of both ends [b, d], which rank images as the averages do, and the places of both [b, 2]."""
        vectors = self._vectors["image"]
        ends = np.asarray([(row["reference"], row["target"]) for row in pairs])
        places = pool.places(ends)
        one, other = vectors[ends[:, 0]], vectors[ends[:, 1]]
        return Queries(one + other, on_grid(one) + on_grid(other), pool.groups[places]), places

    @property
    def labels(self) -> list[str]:
        """Return the names of the signals, in the order of the recipe."""
        return [chooser.label for chooser in self.choosers]

    def facts(self, count: int) -> dict[str, Any]:
        """Return what the report says of pairing."""
        approximate = [check._asdict() | {"told": check.told()} for check in self._checks]
        return {
            "count": count,
            "by_signal": {chooser.label: self._by_signal[chooser.label] for chooser in self.choosers},
            "references_without_target": {chooser.label: chooser.seen.without_target for chooser in self.choosers},
            "without_embedding": int((~self._there["image"]).sum()),
            "given_lost": self._given_lost,
            **({"approximate": approximate} if approximate else {}),
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
