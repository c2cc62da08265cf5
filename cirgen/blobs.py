"""Blob files: the bytes of images that came through a stream, beside the shards whose rows point into them."""

from __future__ import annotations

from pathlib import Path

from cirgen.file_locks import remove_unclaimed
from cirgen.store import Store

BLOB_SUFFIX = ".blob"


def remove_orphans(store: Store, stage: str) -> int:
    """Remove the blobs that no row of a stage points to; return how many there were.

    A blob gets its name before the shard that points to it, so a kill between the two leaves one behind. A live writer
    claims its blob until the shard is there: rows are looked up once more after that claim is found gone.
    """
    blobs = _blobs(store, stage)
    unused = sorted(blobs - _used(store, stage)) if blobs else []
    return sum(_remove_orphan(store, stage, name) for name in unused)


def _remove_orphan(store: Store, stage: str, name: str) -> bool:
    return remove_unclaimed(store.root / stage / name, lambda: name not in _used(store, stage))


def _blobs(store: Store, stage: str) -> set[str]:
    """Return the blobs that do not lie beside the shard they were written with: compacted, in flight, or orphans."""
    blobs = (store.root / stage).glob(f"*{BLOB_SUFFIX}")
    return {blob.name for blob in blobs if not _shard(blob).exists()}


def _shard(blob: Path) -> Path:
    return blob.with_suffix(".parquet")


def _used(store: Store, stage: str) -> set[str]:
    with store.connect() as connection:
        found = connection.execute(f"SELECT DISTINCT blob FROM {store.rows(connection, stage)}").fetchall()
    return {str(blob) for (blob,) in found}
