"""Folders that one process alone fills, and that are gone afterwards unless they are given another name.

Each has a claim beside it, a file that its process holds locked: folders of killed processes are told by theirs, and
removed by whoever comes next. Two processes that work in one run folder never meet in a scratch folder.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from cirgen.file_locks import claim, remove_unclaimed
from cirgen.shards import TEMPORARY_SUFFIX

CLAIM_SUFFIX = ".claim"


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """Yield a new empty folder beside `path`, called after it; whatever has its name at the end is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = path.with_name(f"{path.name}.{uuid.uuid4().hex[:12]}{TEMPORARY_SUFFIX}")
    mark = _mark(folder)
    with claim(mark):
        try:
            folder.mkdir()
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            mark.unlink(missing_ok=True)


def remove_leftover_folders(path: Path) -> None:
    """Remove the scratch folders of `path` that killed processes left behind; those of live ones stay."""
    for mark in sorted(path.parent.glob(f"{path.name}.*{TEMPORARY_SUFFIX}{CLAIM_SUFFIX}")):
        remove_unclaimed(mark, partial(_removed, mark.with_suffix("")))


def _mark(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}{CLAIM_SUFFIX}")


def _removed(folder: Path) -> bool:
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()
