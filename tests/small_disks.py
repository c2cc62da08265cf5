"""A disk of a few kilobytes for one command: really full, as no limit on the size of files is."""

from __future__ import annotations

import functools
import hashlib
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from commands import cirgen, said

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


def fills_and_goes_on(tmp_path: Path, arguments: Sequence[str], patterns: Sequence[str], count: int) -> None:
    """Run a command on disks of several sizes; each run ends in one sentence, and goes on to the same files.

    Args:
        tmp_path: empty folder.
        arguments: of `cirgen`.
        patterns: files that have to come out the same, by their place in the folder the command runs in.
        count: disks to try.
    """
    undisturbed = tmp_path / "undisturbed"
    undisturbed.mkdir()
    done = cirgen(undisturbed, *arguments)
    assert done.returncode == 0, done.stderr
    expected = [contents(undisturbed, pattern) for pattern in patterns]
    assert all(expected)
    full = 0
    for kilobytes in sizes(24, kilobytes_of(undisturbed) - 8, count):
        folder = tmp_path / f"disk-{kilobytes}"
        folder.mkdir()
        stopped = on_a_small_disk(folder, kilobytes, *arguments)
        full += stopped.returncode != 0
        if stopped.returncode:
            assert "give the same command again" in said(stopped), stopped.stderr
        done = cirgen(folder, *arguments)
        assert done.returncode == 0, done.stderr
        assert [contents(folder, pattern) for pattern in patterns] == expected
        shutil.rmtree(folder)
    assert full > count / 2, "disks so large try nothing"


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
