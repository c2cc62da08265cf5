"""The files of a run's source that could not be taken in."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, NamedTuple

from cirgen.parquet_sql import rows_of

if TYPE_CHECKING:
    from cirgen.run_folder import Run

NAMED = 3
"""So many are named at the end of a run."""


class Unreadable(NamedTuple):
    """A file, by the name that its source gives it, and what is wrong with it."""

    source_id: str
    status: str
    error: str


def unreadable(run: Run, limit: int | None = None) -> list[Unreadable]:
    """Return the files that the source has now and that could not be taken in, by name; at most `limit` of them."""
    if not run.ingest_plan.is_file():
        return []
    plan = rows_of(run.ingest_plan)
    with run.store.connect() as connection:
        query = (
            f"SELECT DISTINCT p.alias.source_id AS name, c.status, c.error FROM {plan} AS p "
            f"JOIN {run.store.current(connection, 'ingest')} AS c USING (key) WHERE c.status <> 'ok' ORDER BY ALL"
        )
        rows = connection.execute(query if limit is None else f"{query} LIMIT {limit}").fetchall()
    return [Unreadable(*map(str, row)) for row in rows]


def named(run: Run, count: int) -> list[str]:
    """Return the first of `count` unreadable files, a line each, and where the others stand."""
    lines = [f"could not be read: {file.source_id} ({file.error})" for file in unreadable(run, NAMED)]
    if count > NAMED:
        command = f"cirgen status {shlex.quote(str(run.folder))} --json"
        lines.append(f"could not be read: {count - NAMED:,} more; all of them: {command}")
    return lines
