"""What went wrong in a run, by stage, status and error."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cirgen.parquet_sql import rows_of
from cirgen.run_folder import Run

if TYPE_CHECKING:
    import duckdb

KINDS_SHOWN = 12
ERROR_CHARACTERS = 160


@dataclass(frozen=True)
class Failure:
    """Rows of one stage that failed the same way."""

    stage: str
    status: str
    error: str
    count: int


@dataclass(frozen=True)
class StageRows:
    """How the planned rows of a stage stand."""

    stage: str
    planned: int
    ok: int
    mended: int
    """Ok rows that took more than one attempt."""


def plans(run: Run) -> dict[str, Path]:
    """Return the plan of every stage that has one, in the order of the stages."""
    found = {"ingest": run.ingest_plan, "caption": run.caption_plan, "modify": run.modify_plan}
    return {stage: path for stage, path in found.items() if path.is_file()}


def stage_rows(run: Run, connection: duckdb.DuckDBPyConnection) -> list[StageRows]:
    """Count the planned rows of every stage."""
    rows = []
    for stage, plan in plans(run).items():
        query = (
            "SELECT count(*), count(*) FILTER (status = 'ok'), count(*) FILTER (status = 'ok' AND attempt > 0) "
            f"FROM {_planned(run, connection, stage, plan)}"
        )
        planned, ok, mended = connection.execute(query).fetchall()[0]
        rows.append(StageRows(stage, int(planned), int(ok), int(mended)))
    return rows


def worst_failure(run: Run, stage: str) -> Failure | None:
    """Return the most frequent failure of a stage, None where all is well."""
    with run.store.connect() as connection:
        found = [failure for failure in failures(run, connection) if failure.stage == stage]
    return max(found, key=lambda failure: failure.count, default=None)


def failures(run: Run, connection: duckdb.DuckDBPyConnection) -> list[Failure]:
    """Return the most frequent failures of every stage."""
    found = []
    for stage, plan in plans(run).items():
        query = (
            f"SELECT coalesce(status, 'pending') AS status, left(coalesce(error, ''), {ERROR_CHARACTERS}) AS error, "
            f"count(*) AS n FROM {_planned(run, connection, stage, plan)} WHERE status IS DISTINCT FROM 'ok' "
            f"GROUP BY 1, 2 ORDER BY n DESC, status, error LIMIT {KINDS_SHOWN}"
        )
        found += [Failure(stage, str(s), str(e), int(n)) for s, e, n in connection.execute(query).fetchall()]
    return found


def _planned(run: Run, connection: duckdb.DuckDBPyConnection, stage: str, plan: Path) -> str:
    return (
        f"(SELECT DISTINCT key FROM {rows_of(plan)}) AS p "
        f"LEFT JOIN {run.store.current(connection, stage)} AS c USING (key)"
    )
