"""Takes images in: reads and decodes each one once, and lists the unique pictures in the catalog.

1. `_take_in` walks the source, writes the plan (every item that the source has now), and commits one row to the store
   for each item that has none. Bytes of streams are copied into blob files; files on disk are pointed to.
2. `write_catalog` derives the catalog from plan and store.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from cirgen.blobs import BLOB_SUFFIX
from cirgen.executors.base import Executor, Reader
from cirgen.executors.local import Local
from cirgen.file_locks import claim
from cirgen.run_folder import Run
from cirgen.schemas import ALIAS, INGEST, RERUN_STATUSES
from cirgen.shards import TEMPORARY_SUFFIX, flush_to_disk, write_rows
from cirgen.sources.base import Item, Source
from cirgen.sources.reading import Read, alias_of, item_key, item_path
from cirgen.sources.registry import SOURCES
from cirgen.stages.catalog import write_catalog
from cirgen.store import ShardWriter, Store, stream

STAGE = "ingest"

INGEST_PLAN = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("path", pa.string(), nullable=False),  # where the file lies now, or empty
        pa.field("caption", pa.string(), nullable=False),
        pa.field("alias", ALIAS, nullable=False),
    ]
)
"""One row per item that the source has now; what is said of an image is read here, so that it may change for free."""


def ingest(run: Run, executor: Executor | None = None) -> None:
    """Take in every image of the recipe's source that the store has not seen, then write the catalog.

    Args:
        run: the run.
        executor: says who reads the images; threads of this process by default.

    Raises:
        UserError: the source is missing or empty, or none of its images can be decoded.
    """
    _take_in(run, executor or Local())
    write_catalog(run, run.ingest_plan)


def _take_in(run: Run, executor: Executor) -> None:
    source = SOURCES.build(run.recipe.images)
    _report(run, source)
    items = islice(source.items(), run.limit)
    seen = _Committed(run.store, run.retry)
    writer = IngestWriter(run.store)
    known = source.count()
    total = run.limit if known is None else known if run.limit is None else min(known, run.limit)
    with run.progress.step("Ingest images", total) as step, writer, executor.reader() as reader:
        pending = _Pending(reader, writer, step.advance)
        write_rows(run.ingest_plan, _planned(items, seen, pending), INGEST_PLAN)
        pending.finish()


def _report(run: Run, source: Source) -> None:
    remarks = source.remarks()
    run.note_facts(source_remarks=remarks)
    for remark in remarks:
        run.progress.say(remark)


def _planned(items: Iterator[Item], seen: _Committed, pending: _Pending) -> Iterator[dict[str, Any]]:
    """Yield the plan's row of every item; submit those that have to be read."""
    last_key = ""
    for item in items:
        key = item_key(item)
        attempt = seen.next_attempt(key)
        if attempt is None or key == last_key:  # a source names an item of several categories several times in a row
            pending.skip()
        else:
            pending.submit(item, key, attempt)
        last_key = key
        yield {"key": key, "path": item_path(item), "caption": item.caption, "alias": alias_of(item)}


class _Committed:
    """Which keys need no work: 64 bytes per committed key, sorted."""

    def __init__(self, store: Store, retry: tuple[str, ...]) -> None:
        again = [*RERUN_STATUSES, *retry]
        with store.connect() as connection:
            current = store.current(connection, STAGE)
            query = f"SELECT key, attempt, list_contains(?, status) AS again FROM {current} ORDER BY key"
            batches = list(stream(connection, query, [again]))
        table = pa.Table.from_batches(batches) if batches else _NO_KEYS
        self._keys = table.column("key").to_numpy().astype("S64")
        self._attempts = table.column("attempt").to_numpy()
        self._again = table.column("again").to_numpy()

    def next_attempt(self, key: str) -> int | None:
        """Return the attempt to commit this key under, or None when it is done."""
        row = int(np.searchsorted(self._keys, key.encode()))
        if row == len(self._keys) or self._keys[row] != key.encode():
            return 0
        return int(self._attempts[row]) + 1 if self._again[row] else None


_NO_KEYS = pa.schema([("key", pa.string()), ("attempt", pa.int32()), ("again", pa.bool_())]).empty_table()


class _Pending:
    """Images on their way through a reader, as many as it bears, committed in the order of the source."""

    def __init__(self, reader: Reader, writer: IngestWriter, advance: Callable[[], None]) -> None:
        self._reader = reader
        self._writer = writer
        self._advance = advance
        self._waiting: deque[Callable[[], Read]] = deque()

    def skip(self) -> None:
        """Count an item that needs no work."""
        self._advance()

    def submit(self, item: Item, key: str, attempt: int) -> None:
        """Read and decode an item as soon as a worker is free."""
        if len(self._waiting) == self._reader.most:
            self._commit()
        self._waiting.append(self._reader.submit(item, key, attempt))

    def finish(self) -> None:
        """Wait for what is still on its way."""
        while self._waiting:
            self._commit()

    def _commit(self) -> None:
        row, data = self._waiting.popleft()()
        self._writer.write_image(row, data)
        self._advance()


class IngestWriter(ShardWriter):
    """Commits rows after the bytes they point to: a blob file is on disk, under its name, before its shard is.

    A kill leaves a temporary blob or, in the instant between the two names, one that no row points to: the next run
    removes both (`blobs.remove_orphans`). A blob is claimed until its shard is committed.
    """

    def __init__(self, store: Store) -> None:
        super().__init__(store.root / STAGE, INGEST, store.flush_rows, store.flush_seconds)
        self._blob: BinaryIO | None = None
        self._committing: BinaryIO | None = None

    def write_image(self, row: dict[str, Any], data: bytes) -> None:
        """Add a row; `data`, unless empty, goes into the blob of the shard that the row will be in."""
        place = {"blob": f"{self.shard_name}{BLOB_SUFFIX}", "offset": self._append(data)} if data else {}
        self.write({**row, **place})

    def _append(self, data: bytes) -> int:
        if self._blob is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._blob = claim(self.folder / f"{self.shard_name}{BLOB_SUFFIX}{TEMPORARY_SUFFIX}")
        offset = self._blob.tell()
        self._blob.write(data)
        return offset

    def before_commit(self) -> None:
        """Flush the blob to disk and give it its name."""
        if self._blob is None:
            return
        self._blob.flush()
        os.fsync(self._blob.fileno())
        temporary = Path(self._blob.name)
        temporary.replace(temporary.with_suffix(""))
        flush_to_disk(self.folder)
        self._blob, self._committing = None, self._blob

    def after_commit(self) -> None:
        """Release the blob, which a committed row points to now."""
        if self._committing is not None:
            self._committing.close()
            self._committing = None
