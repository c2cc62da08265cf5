"""Full disks, told as the system tells them: libraries that write have errors of their own, or end the process."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError


@contextmanager
def telling_full_disks() -> Iterator[None]:
    """Raise the system's error where safetensors only quotes its number.

    Raises:
        OSError: such as that the disk is full.
    """
    try:
        yield
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1]))) from error


def mapped_array(path: Path, shape: tuple[int, ...], dtype: str) -> np.memmap[Any, Any]:
    """Make a memory-mapped array whose bytes the disk has: writing into a hole of a full disk kills the process.

    Raises:
        OSError: the disk has no room for it.
    """
    array: NDArray[Any] = np.lib.format.open_memmap(path, "w+", np.dtype(dtype), shape)
    assert isinstance(array, np.memmap)
    if hasattr(os, "posix_fallocate"):  # macOS has none
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array
