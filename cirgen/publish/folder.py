"""A folder that changes as a whole: a kill leaves the old one or the new one, never a mix.

1. The new content is built beside it, in `NAME.tmp`, and flushed to disk file by file.
2. The two names are exchanged in one step of the file system (`renameat2` with RENAME_EXCHANGE, Linux).
3. The old content, now `NAME.tmp`, is removed; a kill before that leaves it to the next build.

Where the file system cannot exchange names, the old folder steps aside as `NAME.old` first; a kill between the two
renames is mended by the next build, which puts `NAME.old` back.
"""

from __future__ import annotations

import ctypes
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


@contextmanager
def replaced_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes `path` on a clean exit; on an error `path` stays as it was."""
    building, aside = path.with_name(f"{path.name}.tmp"), path.with_name(f"{path.name}.old")
    if aside.exists() and not path.exists():
        aside.rename(path)
    for leftover in (building, aside):
        shutil.rmtree(leftover, ignore_errors=True)
    building.mkdir(parents=True)
    try:
        yield building
        _flush(building)
        _swap(building, path, aside)
        _flush_one(path.parent)
        shutil.rmtree(aside, ignore_errors=True)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _swap(building: Path, path: Path, aside: Path) -> None:
    if not path.exists():
        building.rename(path)
    elif not _exchange(building, path):
        path.rename(aside)
        building.rename(path)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step; False where the system cannot."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    if rename is None:
        return False
    return bool(rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0)


def _flush(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        _flush_one(path)
    _flush_one(folder)


def _flush_one(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
