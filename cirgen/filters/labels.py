"""Verdicts of people on triplets, as `cirgen review --export` writes them and thresholds are fitted to."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from cirgen.errors import UserError
from cirgen.resources import local_path

IDENTITY = ("reference_id", "text", "target_id")
"""Columns that name a triplet in any run: its own id holds the prompt and the seed as well."""
GOOD = "good"
WEIGHT = "weight"
MOST_WEIGHT = 1e12
"""More triplets than any run has; sums of larger weights would not be numbers."""

Identity = tuple[str, str, str]


@dataclass(frozen=True)
class Labels:
    """The rows of a labels file, in an order of their own, so that the file's order changes nothing."""

    name: str
    """As the recipe has it."""
    content: str
    """sha256 of the file."""
    triplets: tuple[Identity, ...]
    good: NDArray[np.bool_]
    """[N]"""
    weight: NDArray[np.float64]
    """[N] how many triplets each row stands for; 1 where the file does not say."""


def labels_content(name: str) -> str:
    """Return the sha256 of a labels file.

    Raises:
        UserError: it cannot be read.
    """
    return hashlib.sha256(_bytes(name)).hexdigest()


def read_labels(name: str) -> Labels:
    """Read a labels file.

    Args:
        name: of a Parquet file with the columns `reference_id`, `text`, `target_id`, `good` and, if rows count
            differently, `weight`; others are ignored.

    Raises:
        UserError: it cannot be read, is no such file, or holds a row that makes no sense.
    """
    content = _bytes(name)
    rows = _table(name, content).to_pylist()
    for row in rows:
        _check(name, row)
    rows.sort(key=lambda row: (*(row[column] for column in IDENTITY), row[GOOD], row[WEIGHT]))
    return Labels(
        name,
        hashlib.sha256(content).hexdigest(),
        tuple((row["reference_id"], row["text"], row["target_id"]) for row in rows),
        np.asarray([row[GOOD] for row in rows], dtype=np.bool_),
        np.asarray([row[WEIGHT] for row in rows], dtype=np.float64),
    )


def _bytes(name: str) -> bytes:
    path = local_path(name)
    if not path.is_file():
        raise UserError(f"There is no labels file at {name}; write one with `cirgen review RUN --export {name}`.")
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(
            f"The labels file {name} cannot be read ({error.strerror}); change its permissions."
        ) from error


def _table(name: str, content: bytes) -> pa.Table:
    try:
        table = pq.read_table(io.BytesIO(content))
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{name} is no Parquet file; write it with `cirgen review RUN --export {name}`.") from error
    missing = [column for column in (*IDENTITY, GOOD) if column not in table.column_names]
    if missing:
        raise UserError(f"The labels file {name} lacks {', '.join(missing)}; a label has {', '.join(IDENTITY)}, good.")
    if not pa.types.is_boolean(table.schema.field(GOOD).type):
        raise UserError(f"The column good of {name} is {table.schema.field(GOOD).type}; make it true or false.")
    if WEIGHT not in table.column_names:
        table = table.append_column(WEIGHT, pa.array(np.ones(table.num_rows)))
    return table.select([*IDENTITY, GOOD, WEIGHT])


def _check(name: str, row: Mapping[str, Any]) -> None:
    if any(value is None for value in row.values()):
        raise UserError(f"A row of the labels file {name} has no {_first_null(row)}; take it out or fill it in.")
    if any(not isinstance(row[column], str) for column in IDENTITY):
        raise UserError(f"The columns {', '.join(IDENTITY)} of {name} must be texts; write them as such.")
    weight = row[WEIGHT]
    if isinstance(weight, bool) or not isinstance(weight, int | float):
        raise UserError(f"A weight in the labels file {name} is a {type(weight).__name__}; write weights as numbers.")
    if not 0 < weight <= MOST_WEIGHT:
        raise UserError(f"A weight in the labels file {name} is {weight}; weights go from above 0 to {MOST_WEIGHT:g}.")


def _first_null(row: Mapping[str, Any]) -> str:
    return next(column for column, value in row.items() if value is None)
