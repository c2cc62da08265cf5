"""Compaction: the many small shards of a stage become few large ones with the same rows, sorted by key.

1. Small shards are merged, so many at a time that the result stays near `MERGED_BYTES`, into one shard that is
   committed as any other (`shards.atomic_path`) and whose Parquet metadata names the shards it was merged from.
2. Those shards are removed once nobody reads: at once, or by a later compaction.

A kill leaves, at worst, rows that are there twice, which reading resolves and the next compaction mends. Writers are
never waited for: they only ever add shards, and those that came after the listing are left for the next time. Two
processes never compact one store at a time; the second goes on with its work.

A sorted shard is its own index: the statistics of its row groups say which of them can hold a key, and the join that
tells what is missing reads the columns `key` and `status` alone. A separate index file would hold these same bytes
(`benchmark/perf/store_speed.py` measures both).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cirgen.file_locks import exclusive
from cirgen.parquet_sql import rows_of
from cirgen.schemas import stage_schema
from cirgen.shards import flush_to_disk, write_batches
from cirgen.store import Store

MANY_SHARDS = 32
"""A stage is compacted when it has more small shards than this: a fresh run of 32,000 rows, or a resumed one."""
MERGED_BYTES = 128_000_000
"""Compressed bytes merged into one shard: what DuckDB sorts at a time, within its memory limit."""
SMALL_BYTES = MERGED_BYTES // 2
"""A larger shard is never merged again, so a row is rewritten a bounded number of times."""
ROW_GROUP_ROWS = 10_000
"""Ten times that of a writer's shard: rows are looked up among fewer statistics."""
LOCK_NAME = "compaction.lock"
MERGED_FROM = b"cirgen.merged_from"
_MERGED = "merged-"


def compact(store: Store, many: int = MANY_SHARDS, merged_bytes: int = MERGED_BYTES) -> int:
    """Merge the small shards of every stage that has more than `many`; return how many were merged.

    Args:
        store: of a run that others may read and write meanwhile.
        many: small shards that a stage may keep.
        merged_bytes: size to which shards are merged; those of half the size stay as they are.
    """
    with exclusive(store.root / LOCK_NAME) as alone:
        if not alone:
            return 0
        stages = store.stages()
        for stage in stages:
            _remove_merged(store, stage)
        return sum(_compact_stage(store, stage, many, merged_bytes) for stage in stages)


def _compact_stage(store: Store, stage: str, many: int, merged_bytes: int) -> int:
    small = [path for path in _free(store, stage) if path.stat().st_size < merged_bytes // 2]
    if len(small) <= many:
        return 0
    merged = 0
    for shards in _portions(small, merged_bytes):
        _merge(store, stage, shards)
        merged += len(shards)
    _remove_merged(store, stage)
    return merged


def _free(store: Store, stage: str) -> list[Path]:
    """Return the shards that are in no merged shard, nor a merged shard whose inputs are still there."""
    bound = {path for merged, inputs in _replaced(store, stage).items() for path in (merged, *inputs)}
    return [path for path in map(Path, store.shards(stage)) if path not in bound]


def _replaced(store: Store, stage: str) -> dict[Path, list[Path]]:
    """Return the merged shards some of whose inputs are still there, with those inputs."""
    shards = dict.fromkeys(map(Path, store.shards(stage)))
    found = {
        path: [path.with_name(name) for name in _inputs(path) if path.with_name(name) in shards]
        for path in shards
        if path.name.startswith(_MERGED)
    }
    return {path: inputs for path, inputs in found.items() if inputs}


def _inputs(merged: Path) -> list[str]:
    names: list[str] = json.loads(pq.read_metadata(merged).metadata[MERGED_FROM])
    return names


def _portions(shards: list[Path], merged_bytes: int) -> Iterator[list[Path]]:
    """Cut a list of shards where the next one would exceed the size; a portion of one shard is left out."""
    portion: list[Path] = []
    size = 0
    for shard in shards:
        bytes_ = shard.stat().st_size
        if size + bytes_ > merged_bytes:
            yield from [portion] if len(portion) > 1 else []
            portion, size = [], 0
        portion.append(shard)
        size += bytes_
    yield from [portion] if len(portion) > 1 else []


def _merge(store: Store, stage: str, shards: list[Path]) -> None:
    """Commit one shard with all rows of `shards`, sorted by key."""
    path = store.root / stage / f"{_MERGED}{uuid.uuid4().hex[:12]}.parquet"
    names = json.dumps([shard.name for shard in shards])
    rows = write_batches(path, _sorted_rows(store, stage, shards), stage_schema(stage), {MERGED_FROM: names.encode()})
    expected = sum(pq.read_metadata(shard).num_rows for shard in shards)
    if rows != expected:
        path.unlink()
        raise RuntimeError(f"{len(shards)} shards of stage {stage} have {expected} rows, their merger {rows}")


def _sorted_rows(store: Store, stage: str, shards: list[Path]) -> Iterator[pa.RecordBatch]:
    schema = stage_schema(stage)
    query = f"SELECT * FROM {rows_of(*shards)} ORDER BY key, attempt, row_hash"
    with store.connect() as connection:
        for batch in connection.sql(query).to_arrow_reader(ROW_GROUP_ROWS):
            yield batch.cast(schema)


def _remove_merged(store: Store, stage: str) -> None:
    """Remove the inputs of merged shards, unless somebody reads."""
    replaced = [path for inputs in _replaced(store, stage).values() for path in inputs]
    if not replaced:
        return
    with store.unread() as free:
        if free:
            for path in replaced:
                path.unlink(missing_ok=True)
            flush_to_disk(store.root / stage)
