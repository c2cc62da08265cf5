"""Locks on files that the kernel drops with the process that holds them, so that a kill leaves none behind.

A file that is being written is *claimed* by its writer. Whoever cleans up removes only files that nobody claims: what
a killed writer left behind, and never what a live one, on this machine or another one of the file system, will rename.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def shared(path: Path) -> Iterator[None]:
    """Hold a file beside others that do the same; waits while somebody holds it alone."""
    with _opened(path, os.O_RDONLY) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold a file alone; waits while anybody else holds it."""
    with _opened(path, os.O_RDWR) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


@contextmanager
def exclusive(path: Path) -> Iterator[bool]:
    """Hold a file alone; yields whether that could be had at once."""
    with _opened(path, os.O_RDWR) as descriptor:
        yield locked_at_once(descriptor)


def claim(path: Path) -> BinaryIO:
    """Make a new file that is claimed until it is closed, whatever name it is given until then."""
    while True:
        file = path.open("ab")
        fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            return file
        file.close()  # somebody who cleans up was faster than the lock


def remove_unclaimed(path: Path, useless: Callable[[], bool] = lambda: True) -> bool:
    """Remove a file unless it is claimed, or gone; returns whether it was removed.

    Args:
        path: what a killed writer may have left.
        useless: asked once no live writer can change the answer.
    """
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:  # its writer has just given it its name, or removed it
        return False
    try:
        removed = locked_at_once(descriptor) and useless()
        if removed:
            path.unlink(missing_ok=True)
        return removed
    finally:
        os.close(descriptor)


@contextmanager
def _opened(path: Path, access: int) -> Iterator[int]:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, access | os.O_CREAT, 0o666)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def locked_at_once(descriptor: int) -> bool:
    """Lock an open file for this process alone; returns whether that could be had at once."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
