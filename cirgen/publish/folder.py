"""A folder that changes as a whole: a kill leaves the old one or the new one, never a mix.

1. The new content is built beside it, in a scratch folder of its own, and flushed to disk file by file.
2. The two names are exchanged in one step of the file system (`renameat2` with RENAME_EXCHANGE, Linux).
3. The old content, now the scratch folder, is removed; a kill before that leaves it to the next build.

Where the file system cannot exchange names, the old folder steps aside first; a kill between the two renames is mended
by the next build, which puts it back. Any number of processes may build at once: the last one's folder stays.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cirgen.scratch import remove_leftover_folders, scratch_folder
from cirgen.shards import flush_to_disk

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
ASIDE_SUFFIX = ".old"


@contextmanager
def replaced_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes `path` on a clean exit; on an error `path` stays as it was."""
    _mend(path)
    with scratch_folder(path) as building:
        yield building
        _flush(building)
        while not _swapped(building, path):
            pass  # another process gave its own folder that name meanwhile
        flush_to_disk(path.parent)


def remove_folder(path: Path) -> None:
    """Remove a folder as a whole: it has its name until all of it is given up."""
    _mend(path)
    with scratch_folder(path) as given_up, suppress(FileNotFoundError):
        path.rename(given_up)


def _mend(path: Path) -> None:
    """Remove what killed builds left; put back what one of them had moved aside."""
    for aside in sorted(path.parent.glob(f"{path.name}.*{ASIDE_SUFFIX}")):
        with suppress(FileNotFoundError):  # its own build has just removed it
            _renamed(aside, path)
        shutil.rmtree(aside, ignore_errors=True)
    remove_leftover_folders(path)


def _swapped(building: Path, path: Path) -> bool:
    """Give the new folder its name; False where another process took it between two steps."""
    if _exchange(building, path):
        return True
    if not path.exists():
        return _renamed(building, path)
    aside = path.with_name(f"{path.name}.{uuid.uuid4().hex[:12]}{ASIDE_SUFFIX}")
    try:
        path.rename(aside)
    except FileNotFoundError:
        return False
    done = _renamed(building, path)
    shutil.rmtree(aside, ignore_errors=True)
    return done


def _renamed(folder: Path, path: Path) -> bool:
    """Give a folder a free name; False where it is taken."""
    try:
        folder.rename(path)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return False
    return True


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step; False where the system cannot, or one of them does not exist."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    if rename is None:
        return False
    return bool(rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0)


def _flush(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        flush_to_disk(path)
    flush_to_disk(folder)
