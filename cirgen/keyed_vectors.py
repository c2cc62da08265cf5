"""Matrices of embeddings on disk: written row by row in any order, read by key through a memory map."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from cirgen.shards import atomic_path

KEY_TYPE = "S64"
"""A key or an image id: 64 hex digits."""


class KeyedVectors:
    """Rows of a matrix by key.

    Args:
        keys: sorted [N] S64.
        vectors: [N, d] float32, in the order of the keys; usually a memory map.
    """

    def __init__(self, keys: NDArray[np.bytes_], vectors: NDArray[np.float32]) -> None:
        self._keys = keys
        self._vectors = vectors

    def of(self, keys: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors of some keys [len(keys), d].

        Raises:
            KeyError: one of them has none.
        """
        asked = np.asarray(keys, dtype=KEY_TYPE)
        rows = np.searchsorted(self._keys, asked)
        found = self._keys[np.minimum(rows, len(self._keys) - 1)] == asked
        if not found.all():
            raise KeyError(keys[int(np.argmin(found))])
        return np.asarray(self._vectors[rows])


def write_matrix(path: Path, rows: int, parts: Iterable[tuple[NDArray[np.int64], NDArray[np.float32]]]) -> None:
    """Write a matrix [rows, d] as an atomic `.npy` file, holding one part of it at a time.

    Args:
        path: the file.
        rows: of the matrix, at least one.
        parts: row numbers [n] and their values [n, d].

    Raises:
        ValueError: a row is in no part.
    """
    matrix: NDArray[np.float32] | None = None
    there = np.zeros(rows, dtype=np.bool_)
    with atomic_path(path) as temporary:
        for numbers, values in parts:
            if matrix is None:
                matrix = _mapped(temporary, np.float32, (rows, values.shape[1]))
            matrix[numbers] = values
            there[numbers] = True
        if not there.all():
            raise ValueError(f"{path} lacks {rows - int(there.sum())} of {rows} rows")
        del matrix  # flushes the map to the file


def _mapped(path: Path, dtype: DTypeLike, shape: tuple[int, ...]) -> NDArray[Any]:
    """Map a new `.npy` file whose room on disk is taken: the kernel kills who writes to a map that has none."""
    mapped = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    if sys.platform != "darwin":  # which has no such call
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return mapped


def write_keys(path: Path, count: int, batches: Iterable[Sequence[str]]) -> None:
    """Write keys as an atomic `.npy` file [count] S64, holding one batch of them at a time."""
    start = 0
    with atomic_path(path) as temporary:
        keys = _mapped(temporary, KEY_TYPE, (count,))
        for batch in batches:
            keys[start : start + len(batch)] = batch
            start += len(batch)
        del keys
