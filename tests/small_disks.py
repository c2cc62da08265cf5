"""A disk of a few kilobytes for one command: really full, as no limit on the size of files is."""

from __future__ import annotations

import functools
import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from commands import cirgen

_IN_A_ROOM = "unshare --mount --map-root-user --user bash -c"
"""Where a user may mount a file system that nobody else sees, and that is gone when the command ends."""


@functools.cache
def _may_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    tried = subprocess.run([*_IN_A_ROOM.split(), "mount -t tmpfs none /mnt"], capture_output=True, check=False)
    return tried.returncode == 0


def on_a_small_disk(folder: Path, kilobytes: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `cirgen` in a folder as if it lay on a disk of so many kilobytes; what was written is there afterwards."""
    if not _may_mount():
        pytest.skip("this system lets a user mount nothing (unshare --user --mount)")
    real = folder.with_name(f"{folder.name}-real")
    real.mkdir()
    before = (
        f'{_IN_A_ROOM} \'real="$1"; shift; mount --bind "$PWD" "$real"; here="$PWD"; '
        f'mount -t tmpfs -o size={kilobytes}k,mode=755 none "$here"; cd "$here"; cp -a "$real/." .; '
        'export TMPDIR="$here/tmp"; mkdir -p "$TMPDIR"; "$@"; code=$?; rm -rf "$TMPDIR"; '
        f'cp -a . "$real/"; exit $code\' room "{real}" "$@"; exit $?'
    )
    try:
        return cirgen(folder, *arguments, before=before)
    finally:
        real.rmdir()


def sizes(least: int, most: int, count: int) -> Iterator[int]:
    """Yield so many sizes in kilobytes between two, evenly spaced."""
    yield from (least + (most - least) * number // max(1, count - 1) for number in range(count))


def kilobytes_of(folder: Path) -> int:
    """Return what a folder takes on a disk, in pages of 4 KiB as a file system in memory has them."""
    return sum(4 * -(-path.stat().st_size // 4096) if path.is_file() else 0 for path in folder.rglob("*"))


def contents(folder: Path, pattern: str) -> dict[str, str]:
    """Return the hash of every file that a pattern finds."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.glob(pattern))
    }
