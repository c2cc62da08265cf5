"""Where a copy of something that ships goes: never over a file."""

from __future__ import annotations

import itertools
import shlex
from pathlib import Path

from cirgen.errors import UserError


def free_file(destination: Path | None, name: str, command: str) -> Path:
    """Return the file to write.

    Args:
        destination: a file, or a folder, which the file is put into under `name`; the current one by default.
        name: of what is copied.
        command: that copies, without the destination.

    Raises:
        UserError: the file exists; the message gives the command with a name that is free.
    """
    target = destination or Path()
    target = target / name if target.is_dir() else target
    if not target.exists():
        return target
    others = (target.with_stem(f"{target.stem}-{number}") for number in itertools.count(2))
    free = next(other for other in others if not other.exists())
    raise UserError(f"{target} exists already; name another file: {command} {shlex.quote(str(free))}")
