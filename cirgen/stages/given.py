"""Pairs that a source names itself, turned from its names into rows of the catalog."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cirgen.parquet_sql import quoted, rows_of
from cirgen.run_folder import Run
from cirgen.shards import write_rows
from cirgen.sources.registry import SOURCES
from cirgen.stages.signals import GivenPairs

_NAMES = pa.schema([pa.field("reference", pa.string()), pa.field("target", pa.string())])

_LOSSES = {
    "image missing": "r.position IS NULL OR t.position IS NULL",
    "same image": "r.position = t.position",
    "near duplicates": 'r."group" = t."group"',
    "across splits": "r.split <> t.split",
    "without embedding": "NOT (re.there AND te.there)",
}
"""Why a given pair cannot be used, in the order in which it is tested."""


def given_pairs(run: Run, there: NDArray[np.bool_]) -> tuple[GivenPairs, dict[str, int]]:
    """Return the usable pairs of the run's source, and how many were lost why.

    Args:
        there: which rows of the catalog have an image embedding [N].
    """
    with _named(run) as connection:
        _judge(connection, there)
        lost = connection.execute("SELECT loss, count(*) FROM judged WHERE loss <> '' GROUP BY loss").fetchall()
        kept = connection.execute(
            "SELECT DISTINCT reference, target FROM judged WHERE loss = '' ORDER BY reference, target"
        ).fetchnumpy()
    pairs = GivenPairs(np.asarray(kept["reference"], dtype=np.int64), np.asarray(kept["target"], dtype=np.int64))
    return pairs, {str(loss): int(count) for loss, count in lost}


def given_references(run: Run) -> NDArray[np.int64]:
    """Return the rows of the catalog that the run's source names as a reference, ascending, whatever the target."""
    with _named(run) as connection:
        found = connection.execute(
            "SELECT DISTINCT position FROM named JOIN names ON name = reference ORDER BY position"
        ).fetchnumpy()
    return np.asarray(found["position"], dtype=np.int64)


@contextmanager
def _named(run: Run) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a database of the source's pairs `named` (reference, target), the catalog's `pictures`, and their `names`.

    A name of two images means the first.
    """
    rows: Any = (pair._asdict() for pair in SOURCES.build(run.recipe.images).pairs())
    with run.scratch() as folder, run.store.connect() as connection:
        path = folder / "named.parquet"
        write_rows(path, rows, _NAMES)
        connection.execute(f"CREATE TEMP VIEW named AS FROM {rows_of(path)}")
        connection.execute(f"""
            CREATE TEMP TABLE pictures AS
            SELECT file_row_number AS position, "group", split, aliases
            FROM {rows_of(run.catalog, options="file_row_number = true")}
        """)
        connection.execute("""
            CREATE TEMP TABLE names AS
            SELECT alias.source_id AS name, min(position) AS position
            FROM (SELECT position, unnest(aliases) AS alias FROM pictures) GROUP BY name
        """)
        yield connection


def _judge(connection: duckdb.DuckDBPyConnection, there: NDArray[np.bool_]) -> None:
    """Make a table `judged` (reference, target, loss) of catalog rows."""
    connection.register("embedded", pa.table({"position": np.arange(len(there)), "there": there}))
    losses = " ".join(f"WHEN {test} THEN {quoted(reason)}" for reason, test in _LOSSES.items())
    connection.execute(f"""
        CREATE TEMP TABLE judged AS
        SELECT r.position AS reference, t.position AS target, CASE {losses} ELSE '' END AS loss
        FROM named AS n
        LEFT JOIN names AS rn ON rn.name = n.reference LEFT JOIN pictures AS r ON r.position = rn.position
        LEFT JOIN names AS tn ON tn.name = n.target LEFT JOIN pictures AS t ON t.position = tn.position
        LEFT JOIN embedded AS re ON re.position = r.position LEFT JOIN embedded AS te ON te.position = t.position
    """)
