"""Cosine similarities with the same bits on every machine and for every block shape.

BLAS adds the products of a dot product in an order that depends on block shape, threads and processor, which moves the
last bits, and with them ranks and thresholds. So every component is first rounded to a multiple of 2**-24, which is
about what float32 holds: products are then multiples of 2**-48, and sums below 2**5 = 32 fit the 53 bits of a float64.
No addition rounds, so no order of additions matters.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
"""Embeddings [n, d], L2-normalised; may be a memory map."""

Exact = NDArray[np.float64]
"""Whole multiples of `GRID` [n, d], or cosines."""

GRID = 2.0**-24
COLUMN_BLOCK = 8_192  # vectors turned to float64 at a time: 32 MiB at d = 512


def on_grid(vectors: Vectors) -> Exact:
    """Return vectors in units of `GRID`, rounded to whole numbers [n, d]."""
    grid: Exact = np.multiply(vectors, 1 / GRID, dtype=np.float64)
    return np.rint(grid, out=grid)


def cosines(queries: Exact, vectors: Vectors, rows: NDArray[np.int64]) -> Exact:
    """Return exact dot products of queries with some rows of a matrix.

    Args:
        queries: [q, d], as `on_grid` returns them, or sums of two of them.
        vectors: [n, d], read a block at a time.
        rows: [m] rows of `vectors`.

    Returns:
        [q, m] cosines.
    """
    products = np.empty((len(queries), len(rows)))
    for start in range(0, len(rows), COLUMN_BLOCK):
        stop = start + COLUMN_BLOCK
        np.matmul(queries, on_grid(vectors[rows[start:stop]]).T, out=products[:, start:stop])
    products *= GRID * GRID
    return products


def paired_cosines(one: Vectors, other: Vectors) -> Exact:
    """Return the exact cosine of each row of `one` with the same row of `other` [n]."""
    products: Any = np.einsum("nd,nd->n", on_grid(one), on_grid(other))
    return np.asarray(products * (GRID * GRID))


def has_vector(vectors: Vectors) -> NDArray[np.bool_]:
    """Return which rows hold an embedding: finite and not zero [n]."""
    found = np.empty(len(vectors), dtype=np.bool_)
    for start in range(0, len(vectors), COLUMN_BLOCK):
        block = vectors[start : start + COLUMN_BLOCK]
        found[start : start + COLUMN_BLOCK] = np.isfinite(block).all(axis=1) & block.any(axis=1)
    return found
