"""Atomic Parquet files: a name exists only when every byte behind it is on disk.

1. The table is written under a temporary name in the same folder, and flushed to disk (`fsync`).
2. `os.replace` gives it its name; the folder is flushed too, so that the name survives a power cut.

A kill between two steps leaves a temporary file that readers never match and the next run removes: it can tell, since
a live writer holds a lock on its own (`file_locks.claim`).
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cirgen.file_locks import claim

TEMPORARY_SUFFIX = ".tmp"
ROW_GROUP_ROWS = 1_000


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path; on a clean exit its file becomes `path`, on any error it is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex[:12]}{TEMPORARY_SUFFIX}")
    with claim(temporary) as file:
        try:
            yield temporary
            os.fsync(file.fileno())
            temporary.replace(path)
            flush_to_disk(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def flush_to_disk(path: Path) -> None:
    """Flush a file, or a folder, so that the names in it survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_rows(path: Path, rows: Iterable[dict[str, Any]], schema: pa.Schema) -> int:
    """Stream rows into one atomic Parquet file, a row group at a time; return how many."""

    def batches() -> Iterator[pa.RecordBatch]:
        buffer: list[dict[str, Any]] = []
        for row in rows:
            buffer.append(row)
            if len(buffer) == ROW_GROUP_ROWS:
                yield pa.RecordBatch.from_pylist(buffer, schema=schema)
                buffer.clear()
        if buffer:
            yield pa.RecordBatch.from_pylist(buffer, schema=schema)

    return write_batches(path, batches(), schema)


def write_batches(
    path: Path, batches: Iterable[pa.RecordBatch], schema: pa.Schema, metadata: Mapping[bytes, bytes] | None = None
) -> int:
    """Stream record batches into one atomic Parquet file, each a row group; return the number of rows.

    Args:
        path: the file.
        batches: of that schema.
        schema: of the file.
        metadata: key and value pairs for the file's footer.
    """
    count = 0
    with atomic_path(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        writer.add_key_value_metadata(dict(metadata or {}))
        for batch in batches:
            writer.write_batch(batch)
            count += batch.num_rows
    return count


def distinct(batches: Iterable[pa.RecordBatch], column: str) -> Iterator[pa.RecordBatch]:
    """Pass on record batches that are sorted by an id.

    Raises:
        ValueError: an id comes twice, which would multiply every row that is joined with it.
    """
    last = None
    for batch in batches:
        for value in batch.column(column).to_pylist():
            if value == last:
                raise ValueError(f"{column} {value} comes twice")
            last = value
        yield batch


def write_text(path: Path, text: str) -> None:
    """Write a small text file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf8")
