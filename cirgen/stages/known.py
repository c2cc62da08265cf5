"""The fingerprints of a run's own pictures, and which of them some lists know."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cirgen.errors import UserError
from cirgen.filters.tools import Match
from cirgen.fingerprints import HASHES, Fingerprints, contents, of_table, read_fingerprints, write_list
from cirgen.parquet_sql import rows_of
from cirgen.run_folder import Run
from cirgen.store import stream


def write_run_list(run: Run, path: Path, name: str, with_names: bool = False) -> int:
    """Write the list of the pictures of a run, by image id; return how many there are.

    Raises:
        UserError: the run has taken in no picture yet.
    """
    with run.store.connect() as connection:
        rows = (row for batch in stream(connection, _run_query(run, connection)) for row in batch.to_pylist())
        return write_list(path, ({**row, "name": row["name"] if with_names else ""} for row in rows), name)


def _run_query(run: Run, connection: Any) -> str:
    if not run.catalog.is_file():
        raise UserError(f"{run.folder} has taken in no pictures yet; run its recipe first.")
    current = run.store.current(connection, "ingest")
    return (
        "SELECT c.image_id AS sha256, c.pixel_hash, min(i.perceptual_hash) AS perceptual_hash, "
        "min(i.color_hash) AS color_hash, c.aliases[1].source_id AS name "
        f"FROM {rows_of(run.catalog)} AS c JOIN {current} AS i USING (image_id) "
        "WHERE i.status = 'ok' GROUP BY ALL ORDER BY c.image_id"
    )


def run_fingerprints(run: Run) -> Fingerprints:
    """Return the fingerprints of a run's pictures, by image id.

    Raises:
        UserError: the run has taken in no picture yet.
    """
    with run.store.connect() as connection:
        table = connection.sql(_run_query(run, connection)).to_arrow_table()
    return of_table(table.select(list(HASHES)), run.recipe.name, run.catalog)


class RunMatches:
    """Which pictures of a run some lists know.

    Args:
        run: has a catalog.
        places: folders of pictures, or lists of their fingerprints.
    """

    def __init__(self, run: Run, places: Sequence[str]) -> None:
        self._run = run
        self._lists = [read_fingerprints(place, run.progress) for place in places]
        self.identity = contents(self._lists)

    def matches(self, image_ids: Sequence[str]) -> list[Match]:
        """Return how near the nearest known picture is to each picture of the run."""
        ids, levels, lists = self._found
        rows = np.searchsorted(ids, np.asarray(image_ids, dtype=ids.dtype))
        return [Match(int(levels[row]), self._lists[lists[row]].name if levels[row] else "") for row in rows]

    @cached_property
    def _found(self) -> tuple[NDArray[np.bytes_], NDArray[np.int8], NDArray[np.int64]]:
        """Return the run's image ids [n], sorted, the level of each, and the list that it is from."""
        mine = run_fingerprints(self._run)
        levels = np.stack([known.find(mine) for known in self._lists])
        return mine.files, levels.max(axis=0), levels.argmax(axis=0)
