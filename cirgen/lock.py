"""One local process per run folder, or several that say so.

Every process that works in a run folder holds a shared lock on `run.lock` for as long as it lives; one that does not
ask to join must find nobody there. The kernel drops the lock with the process, so that a kill leaves none behind.
Processes come in one at a time, through `run.gate`: turning an exclusive lock into a shared one is not atomic.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from cirgen.errors import UserError
from cirgen.file_locks import alone, locked_at_once

LOCK_NAME = "run.lock"
GATE_NAME = "run.gate"


@contextmanager
def hold(folder: Path, join: bool = False, *, joinable: bool = True) -> Iterator[bool]:
    """Hold a run folder; yields whether this process is the only one there.

    Args:
        folder: the run folder, made where there is none.
        join: work beside a process that is already there.
        joinable: whether the command has an option to.

    Raises:
        UserError: another process works in the folder, and this one does not join; or it cannot be made.
    """
    _make(folder)
    with (folder / LOCK_NAME).open("a+", encoding="utf8") as file:
        with alone(folder / GATE_NAME):
            first = _come_in(folder, file, join, joinable)
        yield first


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UserError(f"A run needs a folder, and {error.filename} is a file; give another --output.") from error
    except OSError as error:
        raise UserError(f"The folder {folder} cannot be made ({error.strerror}); give another --output.") from error


def _come_in(folder: Path, file: TextIO, join: bool, joinable: bool) -> bool:
    first = locked_at_once(file.fileno())
    if not first and not join:
        raise UserError(_refusal(folder, file, joinable))
    if first:
        file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    fcntl.flock(file, fcntl.LOCK_SH)
    return first


def _refusal(folder: Path, file: TextIO, joinable: bool) -> str:
    import psutil

    file.seek(0)
    alive = [line for line in file.read().split() if psutil.pid_exists(int(line))]
    who = f"process {', '.join(alive)}" if alive else "another process"
    otherwise = "work beside it with --join" if joinable else "give another --output"
    return f"{folder} is in use by {who}; wait for it to end, or {otherwise}."
