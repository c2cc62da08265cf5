"""Parquet of the published dataset: numbered shards whose bytes depend on their rows alone.

Rows come sorted by an id that is a hash, so ids are spread evenly. A split that needs several files is cut where ids
pass a multiple of a power of two: a row more or less changes its own shard and leaves the others as they are, so that
a new version uploads little. Only a corpus that doubles is cut anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain, pairwise
from math import ceil, log2
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cirgen.publish.features import described

GROUP_ROWS = 1_000
SHARD_BYTES = 400 * 1024**2  # Arrow bytes: the Hub advises files of some hundred megabytes
_ID_DIGITS = 8  # hex digits of an id that tell its shard
_MOST_BITS = 16  # of them: 65,536 shards


@dataclass(frozen=True)
class Written:
    """One split of one config, on disk."""

    config: str
    split: str
    schema: pa.Schema
    files: tuple[Path, ...]
    rows: int
    bytes: int
    """Of the rows in Arrow, as `dataset_info` counts them."""

    @property
    def file_bytes(self) -> int:
        """Return what a download costs."""
        return sum(path.stat().st_size for path in self.files)


def write_split(
    root: Path,
    config: str,
    split: str,
    schema: pa.Schema,
    batches: Iterable[pa.RecordBatch],
    group_rows: int = GROUP_ROWS,
    shard_bytes: int = SHARD_BYTES,
    count: int = 0,
) -> list[Written]:
    """Write `root/config/split-00000-of-0000N.parquet`; nothing where there is no row.

    Row groups hold up to `group_rows` rows. Equal rows give equal files, however they were batched.

    Args:
        root: the dataset folder.
        config: whose split it is.
        split: train, validation or test.
        schema: of the rows.
        batches: the rows; with a count, sorted by their first column, ids in hex.
        group_rows: rows of a row group.
        shard_bytes: what a shard should take in Arrow at most, about.
        count: how many rows will come; 0 where ids are no hashes, or nobody knows: shards are then cut by size alone.
    """
    folder = root / config
    described_schema = described(schema)
    unnumbered: list[Path] = []
    rows = total = used = 0
    current = -1
    with ExitStack() as stack:
        writer: pq.ParquetWriter | None = None
        for shard, group in _groups(batches, schema, group_rows, shard_bytes, count):
            if writer is None or shard != current or (count == 0 and used >= shard_bytes):
                folder.mkdir(parents=True, exist_ok=True)
                unnumbered.append(folder / f"{split}-{len(unnumbered):05d}.parquet")
                stack.close()
                writer = stack.enter_context(_writer(unnumbered[-1], described_schema))
                used, current = 0, shard
            writer.write_table(group.cast(described_schema), row_group_size=group.num_rows)
            rows, total, used = rows + group.num_rows, total + group.nbytes, used + group.nbytes
    if not rows:
        return []
    return [Written(config, split, schema, tuple(_numbered(unnumbered)), rows, total)]


def _writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    return pq.ParquetWriter(path, schema, compression="zstd", write_page_index=True, use_content_defined_chunking=True)


def _numbered(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        yield path.rename(path.with_name(f"{path.stem}-of-{len(paths):05d}.parquet"))


def _groups(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, group_rows: int, shard_bytes: int, count: int
) -> Iterator[tuple[int, pa.Table]]:
    """Yield the row groups, each with the number of its shard."""
    waiting: list[pa.RecordBatch] = []
    rows, current = 0, 0
    for shard, part in _sharded(iter(batches), schema, group_rows, shard_bytes, count):
        if waiting and shard != current:
            yield current, pa.Table.from_batches(waiting, schema).combine_chunks()
            waiting, rows = [], 0
        current = shard
        while part.num_rows:
            taken = part.slice(0, group_rows - rows)
            part = part.slice(taken.num_rows)  # noqa: PLW2901
            waiting.append(taken)
            rows += taken.num_rows
            if rows == group_rows:
                yield current, pa.Table.from_batches(waiting, schema).combine_chunks()
                waiting, rows = [], 0
    if waiting:
        yield current, pa.Table.from_batches(waiting, schema).combine_chunks()


def _sharded(
    batches: Iterator[pa.RecordBatch], schema: pa.Schema, group_rows: int, shard_bytes: int, count: int
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Yield the rows in order, cut where the shard changes, with the number of their shard."""
    first: list[pa.RecordBatch] = []
    while count and sum(batch.num_rows for batch in first) < group_rows and (batch := next(batches, None)) is not None:
        first.append(batch)
    bits = _bits(pa.Table.from_batches(first, schema).slice(0, group_rows), shard_bytes, count) if first else 0
    for batch in chain(first, batches):
        if not bits:
            yield 0, batch
            continue
        heads = [int(value[:_ID_DIGITS], 16) >> (4 * _ID_DIGITS - bits) for value in batch.column(0).to_pylist()]
        edges = [0, *(np.flatnonzero(np.diff(heads)) + 1).tolist(), len(heads)]
        yield from ((heads[start], batch.slice(start, end - start)) for start, end in pairwise(edges) if end > start)


def _bits(sample: pa.Table, shard_bytes: int, count: int) -> int:
    """Return how many bits of an id tell its shard, from what the first rows take."""
    bytes_in_all = sample.combine_chunks().nbytes / max(1, sample.num_rows) * count
    return min(_MOST_BITS, max(0, ceil(log2(max(1.0, bytes_in_all / shard_bytes)))))
