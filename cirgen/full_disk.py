"""A disk that is full, as DuckDB tells it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

_NO_MORE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_SPILL = "failed to offload data block"
"""DuckDB asks how much room there is before it spills, and says that memory ran out where there is none."""


@contextmanager
def full_disk_told() -> Iterator[None]:
    """Turn an error of DuckDB that means a full disk into that of the system.

    Raises:
        OSError: the disk is full, a quota is used up, or a file would be larger than this process may write.
    """
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        number = _number(str(error))
        if number is None:
            raise
        raise OSError(number, os.strerror(number)) from error


def _number(said: str) -> int | None:
    if _NO_SPILL in said:
        return errno.ENOSPC
    return next((number for number in _NO_MORE if os.strerror(number) in said), None)
