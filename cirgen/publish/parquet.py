"""Parquet of the published dataset: numbered shards whose bytes depend on their rows alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cirgen.publish.features import described

GROUP_ROWS = 1_000
SHARD_BYTES = 400 * 1024**2  # Arrow bytes: the Hub advises files of some hundred megabytes


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
) -> list[Written]:
    """Write `root/config/split-00000-of-0000N.parquet`; nothing where there is no row.

    Row groups hold `group_rows` rows; a shard is full once its rows take `shard_bytes` in Arrow. Equal rows give equal
    files, however they were batched.
    """
    folder = root / config
    described_schema = described(schema)
    unnumbered: list[Path] = []
    rows = total = used = 0
    with ExitStack() as stack:
        writer: pq.ParquetWriter | None = None
        for group in _groups(batches, schema, group_rows):
            if writer is None or used >= shard_bytes:
                folder.mkdir(parents=True, exist_ok=True)
                unnumbered.append(folder / f"{split}-{len(unnumbered):05d}.parquet")
                stack.close()
                writer = stack.enter_context(_writer(unnumbered[-1], described_schema))
                used = 0
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


def _groups(batches: Iterable[pa.RecordBatch], schema: pa.Schema, group_rows: int) -> Iterator[pa.Table]:
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        while batch.num_rows:
            taken = batch.slice(0, group_rows - rows)
            batch = batch.slice(taken.num_rows)  # noqa: PLW2901
            waiting.append(taken)
            rows += taken.num_rows
            if rows == group_rows:
                yield pa.Table.from_batches(waiting, schema).combine_chunks()
                waiting, rows = [], 0
    if waiting:
        yield pa.Table.from_batches(waiting, schema).combine_chunks()
