"""The catalog: one row per unique picture that the source has now, with its names, near-duplicate group and split."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from cirgen.errors import UserError
from cirgen.keys import draw
from cirgen.parquet_sql import rows_of
from cirgen.recipe import Export
from cirgen.run_folder import Run
from cirgen.schemas import CATALOG
from cirgen.shards import write_rows
from cirgen.stages.grouping import near_duplicate_groups
from cirgen.store import stream

_PICTURES = """
CREATE TEMP TABLE pictures AS
WITH planned AS (
    SELECT i.image_id, i.pixel_hash, i.perceptual_hash, i.color_hash, i.width, i.height,
        i.blob, i."offset", i."length", CASE WHEN i.blob = '' THEN p.path ELSE '' END AS path, p.caption, p.alias
    FROM {plan} AS p JOIN {current} AS i USING (key) WHERE i.status = 'ok'
), merged AS (
    SELECT min(image_id) AS image_id, list(DISTINCT alias ORDER BY alias) AS aliases, pixel_hash,
        coalesce(first(caption ORDER BY alias, image_id, caption) FILTER (caption <> ''), '') AS caption
    FROM planned GROUP BY pixel_hash
), places AS (
    SELECT * FROM planned QUALIFY row_number() OVER (PARTITION BY image_id ORDER BY path, blob, "offset") = 1
)
SELECT m.image_id, m.pixel_hash, perceptual_hash, color_hash, width, height, path, blob, "offset", "length", m.caption,
    coalesce(list_filter(m.aliases, lambda a: a.category <> '')[1].category, '') AS category, m.aliases
FROM merged AS m JOIN places USING (image_id)
"""
"""Files with the same pixels are one picture under the smallest of their ids, with the names of all."""

_HASH_COLUMNS = ("perceptual_hash", "color_hash")


def write_catalog(run: Run, plan: Path) -> None:
    """Write the catalog of the planned items, sorted by image id.

    Raises:
        UserError: none of them can be decoded.
    """
    with run.store.connect() as connection:
        current = run.store.current(connection, "ingest")
        connection.execute(_PICTURES.format(plan=rows_of(plan), current=current))
        ids, structure, colors = _hashes(connection)
        if not len(ids):
            raise _nothing_readable(connection, plan, current)
        groups = ids[near_duplicate_groups(structure, colors)]
        write_rows(run.catalog, _rows(connection, groups, run.recipe.seed, run.recipe.export), CATALOG)


def _hashes(
    connection: duckdb.DuckDBPyConnection,
) -> tuple[NDArray[np.bytes_], NDArray[np.uint64], NDArray[np.uint8]]:
    """Return ids [n], perceptual hashes [n] and colour layouts [n, 96], sorted by id."""
    parts: list[tuple[bytes, bytes, bytes]] = []
    for batch in stream(connection, "SELECT image_id, perceptual_hash, color_hash FROM pictures ORDER BY image_id"):
        ids, structure, colors = ("".join(column.to_pylist()) for column in batch.columns)
        parts.append((ids.encode(), bytes.fromhex(structure), bytes.fromhex(colors)))
    joined = [b"".join(column) for column in zip(*parts, strict=True)] or [b"", b"", b""]
    return (
        np.frombuffer(joined[0], dtype="S64"),
        np.frombuffer(joined[1], dtype=">u8").astype(np.uint64),
        np.frombuffer(joined[2], dtype=np.uint8).reshape(-1, 96),
    )


def _rows(
    connection: duckdb.DuckDBPyConnection, groups: NDArray[np.bytes_], seed: int, shares: Export
) -> Iterator[dict[str, Any]]:
    row = 0
    for batch in stream(connection, f"SELECT * EXCLUDE ({', '.join(_HASH_COLUMNS)}) FROM pictures ORDER BY image_id"):
        for picture in batch.to_pylist():
            group = groups[row].decode()
            yield {**picture, "group": group, "split": split_of(group, seed, shares)}
            row += 1


def split_of(group: str, seed: int, shares: Export) -> str:
    """Return the split of a near-duplicate group, drawn by its name: other images do not change it."""
    position = draw("split", seed, group)
    if position < shares.test:
        return "test"
    return "validation" if position < shares.test + shares.validation else "train"


def _nothing_readable(connection: duckdb.DuckDBPyConnection, plan: Path, current: str) -> UserError:
    name, error, count = connection.execute(
        "SELECT first(p.alias.source_id ORDER BY p.alias), first(i.error ORDER BY p.alias), count(*) "
        f"FROM {rows_of(plan)} AS p JOIN {current} AS i USING (key)"
    ).fetchall()[0]
    return UserError(
        f"None of the {count} images can be used; the first, '{name}', fails with '{error}': "
        "point 'images' at files that open."
    )
