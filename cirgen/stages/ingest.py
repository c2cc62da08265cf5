"""Takes images in: reads and decodes each one once, and lists the unique pictures in the catalog.

1. `_take_in` walks the source, writes the plan (every item that the source has now), and commits one row to the store
   for each item that has none. Bytes of streams are copied into blob files; files on disk are pointed to.
2. `write_catalog` derives the catalog from plan and store.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa

from cirgen.blobs import BLOB_SUFFIX
from cirgen.file_locks import claim
from cirgen.keys import KEY_SCHEME, digest
from cirgen.pictures import PictureError, color_hash, decode, perceptual_hash, pixel_hash
from cirgen.run_folder import Run
from cirgen.schemas import ALIAS, INGEST, RERUN_STATUSES, Status
from cirgen.shards import TEMPORARY_SUFFIX, flush_to_disk, write_rows
from cirgen.sources.base import Item, Source, utf8_text
from cirgen.sources.registry import SOURCES
from cirgen.stages.catalog import write_catalog
from cirgen.store import ShardWriter, Store, stream

STAGE = "ingest"
WORKERS = min(8, os.cpu_count() or 1)
AHEAD = 4 * WORKERS  # images read and decoded, but not yet committed

INGEST_PLAN = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("path", pa.string(), nullable=False),  # where the file lies now, or empty
        pa.field("caption", pa.string(), nullable=False),
        pa.field("alias", ALIAS, nullable=False),
    ]
)
"""One row per item that the source has now; what is said of an image is read here, so that it may change for free."""


def ingest(run: Run) -> None:
    """Take in every image of the recipe's source that the store has not seen, then write the catalog.

    Raises:
        UserError: the source is missing or empty, or none of its images can be decoded.
    """
    _take_in(run)
    write_catalog(run, run.ingest_plan)


def _take_in(run: Run) -> None:
    source = SOURCES.build(run.recipe.images)
    _report(run, source)
    items = islice(source.items(), run.limit)
    seen = _Committed(run.store, run.retry)
    writer = IngestWriter(run.store)
    known = source.count()
    total = run.limit if known is None else known if run.limit is None else min(known, run.limit)
    with (
        run.progress.step("Ingest images", total) as step,
        writer,
        ThreadPoolExecutor(WORKERS, thread_name_prefix="ingest") as pool,
    ):
        pending = _Pending(pool, writer, step.advance)
        try:
            write_rows(run.ingest_plan, _planned(items, seen, pending), INGEST_PLAN)
            pending.finish()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


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
        yield {"key": key, "path": _path(item), "caption": item.caption, "alias": _alias(item)}


def item_key(item: Item) -> str:
    """Return the key of an item's row: its name and what stands for its content, never its position."""
    return digest(STAGE, KEY_SCHEME, item.source, item.source_id, item.identity)


def _alias(item: Item) -> dict[str, str]:
    return {field.name: getattr(item, field.name) for field in ALIAS}


def _path(item: Item) -> str:
    """Return where the bytes lie; empty where no table can hold the name, so that they are copied into the run."""
    path = str(item.path.absolute()) if item.path else ""
    return path if path == utf8_text(path) else ""


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


class _Read(NamedTuple):
    """One item after reading: the row, and the bytes where the store has to keep them."""

    row: dict[str, Any]
    data: bytes


class _Pending:
    """Images on their way through the pool, at most `AHEAD` of them, committed in the order of the source."""

    def __init__(self, pool: ThreadPoolExecutor, writer: IngestWriter, advance: Callable[[], None]) -> None:
        self._pool = pool
        self._writer = writer
        self._advance = advance
        self._waiting: deque[Future[_Read]] = deque()

    def skip(self) -> None:
        """Count an item that needs no work."""
        self._advance()

    def submit(self, item: Item, key: str, attempt: int) -> None:
        """Read and decode an item as soon as a worker is free."""
        if len(self._waiting) == AHEAD:
            self._commit()
        self._waiting.append(self._pool.submit(read_item, item, key, attempt))

    def finish(self) -> None:
        """Wait for what is still on its way."""
        while self._waiting:
            self._commit()

    def _commit(self) -> None:
        row, data = self._waiting.popleft().result()
        self._writer.write_image(row, data)
        self._advance()


def read_item(item: Item, key: str, attempt: int) -> _Read:
    """Read an item once and describe it; whatever is wrong with it becomes the row's status and reason."""
    row = _empty_row(item, key, attempt)
    try:
        data = item.read()
    except (OSError, ValueError, MemoryError) as error:
        return _failed(row, _status_of(error), f"cannot be read: {error}")
    row |= {"image_id": hashlib.sha256(data).hexdigest(), "length": len(data)}
    try:
        image, notes, format_name = decode(data)
        row |= {"notes": list(notes), "format": format_name, "width": image.width, "height": image.height}
        row |= {"pixel_hash": pixel_hash(image), "color_hash": color_hash(image)}
        row["perceptual_hash"] = perceptual_hash(image)
    except PictureError as error:
        return _failed(row, "image_error", str(error))
    except MemoryError:
        return _failed(row, "oom", "decoding needs more memory than there is")
    return _Read(row, b"" if row["path"] else data)


def _status_of(error: Exception) -> Status:
    """Tell what may be read another time, which every resumed run tries, from what can never be."""
    if isinstance(error, MemoryError):
        return "oom"
    hopeless = isinstance(error, ValueError) or getattr(error, "errno", None) == errno.ENAMETOOLONG
    return "image_error" if hopeless else "engine_error"


def _empty_row(item: Item, key: str, attempt: int) -> dict[str, Any]:
    empty = {field.name: "" for field in INGEST if field.type == pa.string()}
    place = {"path": _path(item), "offset": item.offset, "length": 0, "caption": item.caption, "alias": _alias(item)}
    return {**empty, "key": key, "attempt": attempt, "status": "ok", "width": 0, "height": 0, "notes": [], **place}


def _failed(row: dict[str, Any], status: Status, error: str) -> _Read:
    return _Read({**row, "status": status, "error": utf8_text(error)}, b"")


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
