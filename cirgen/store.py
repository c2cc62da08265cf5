"""The append-only store of a run: Parquet shards per stage, read through DuckDB.

A shard's presence is its commit. Rows are identified by (key, attempt); of several rows with one key the current one
is the `ok` row of lowest attempt, else the row of highest attempt, then the smallest row hash. Any number of writers
may append at once: shard names are unique and nothing is ever rewritten.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import duckdb
import pyarrow as pa

from cirgen.keys import digest
from cirgen.schemas import RERUN_STATUSES, stage_schema
from cirgen.shards import TEMPORARY_SUFFIX, write_rows

FLUSH_SECONDS = 30.0
FLUSH_ROWS = 1_000
BATCH_ROWS = 1_000
MEMORY_LIMIT = "2GB"
"""What DuckDB may hold before it spills to disk."""

_CURRENT = """
SELECT * FROM {source}
QUALIFY row_number() OVER (
    PARTITION BY key
    ORDER BY status <> 'ok', CASE WHEN status = 'ok' THEN attempt ELSE -attempt END, row_hash
) = 1
"""


class Store:
    """The shards of one run.

    Args:
        root: folder that holds one folder per stage; made when the first shard is written.
        flush_rows: a shard is committed when so many rows wait ...
        flush_seconds: ... or the oldest waits so long.
    """

    def __init__(self, root: Path, flush_rows: int = FLUSH_ROWS, flush_seconds: float = FLUSH_SECONDS) -> None:
        self.root = root
        self.flush_rows = flush_rows
        self.flush_seconds = flush_seconds

    def writer(self, stage: str) -> ShardWriter:
        """Open a writer of a stage; close it (or leave its `with` block) to commit the last rows."""
        return ShardWriter(self.root / stage, stage_schema(stage), self.flush_rows, self.flush_seconds)

    def shards(self, stage: str) -> list[str]:
        """Return the committed shards of a stage."""
        return sorted(map(str, (self.root / stage).glob("*.parquet")))

    def connect(self) -> duckdb.DuckDBPyConnection:
        """Return a DuckDB connection that spills to the run folder and keeps no state of its own."""
        scratch = self.root / "scratch"
        scratch.mkdir(parents=True, exist_ok=True)
        connection = duckdb.connect(
            ":memory:", config={"memory_limit": MEMORY_LIMIT, "temp_directory": str(scratch), "threads": "2"}
        )
        connection.execute("SET enable_progress_bar = false")  # it would print between the bars of the run
        return connection

    def rows(self, connection: duckdb.DuckDBPyConnection, stage: str) -> str:
        """Return the SQL of a relation with every committed row of a stage."""
        shards = self.shards(stage)
        if not shards:
            name = f"empty_{stage.replace('-', '_').replace('.', '_')}"
            connection.register(name, stage_schema(stage).empty_table())
            return name
        return f"read_parquet([{', '.join(quoted(shard) for shard in shards)}])"

    def current(self, connection: duckdb.DuckDBPyConnection, stage: str) -> str:
        """Return the SQL of a relation with the current row of every key of a stage."""
        return f"({_CURRENT.format(source=self.rows(connection, stage))})"

    def missing(self, plan: Path, stage: str, retry: Iterable[str] = ()) -> Iterator[pa.RecordBatch]:
        """Yield the planned rows that have to run, in key order, each with its `attempt` to commit and `last_status`.

        A key runs when it has no row, or when its current row's status is `oom`, `engine_error` or in `retry`.
        """
        again = [*RERUN_STATUSES, *retry]
        with self.connect() as connection:
            current = self.current(connection, stage)
            relation = stream(
                connection,
                f"SELECT first(p) AS p, any_value(coalesce(c.attempt + 1, 0))::INTEGER AS attempt, "
                "any_value(coalesce(c.status, '')) AS last_status "
                f"FROM read_parquet({quoted(str(plan))}) AS p LEFT JOIN {current} AS c USING (key) "
                f"WHERE c.key IS NULL OR list_contains(?, c.status) GROUP BY p.key ORDER BY p.key",
                [again],
            )
            for batch in relation:
                planned = batch.column("p")
                names = [*(field.name for field in planned.type), "attempt", "last_status"]
                columns = [*planned.flatten(), batch.column("attempt"), batch.column("last_status")]
                yield pa.RecordBatch.from_arrays(columns, names=names)

    def statuses(self, stage: str, plan: Path | None = None) -> dict[str, int]:
        """Count the current rows of a stage by status; with a plan, of its keys alone, `pending` for those without."""
        with self.connect() as connection:
            current = self.current(connection, stage)
            if plan is None:
                query = f"SELECT status, count(*) FROM {current} GROUP BY status ORDER BY status"
            else:
                query = (
                    "SELECT coalesce(c.status, 'pending') AS s, count(*) FROM "
                    f"(SELECT DISTINCT key FROM read_parquet({quoted(str(plan))})) AS p "
                    f"LEFT JOIN {current} AS c USING (key) GROUP BY s ORDER BY s"
                )
            return {str(status): int(count) for status, count in connection.execute(query).fetchall()}

    def remove_leftovers(self) -> None:
        """Remove what killed writers left behind; only for the one process that holds the run."""
        for path in self.root.glob(f"*/*{TEMPORARY_SUFFIX}"):
            path.unlink(missing_ok=True)


class ShardWriter:
    """Buffers rows of one stage and commits them as shards; use as a context manager.

    Rows that wait are committed on any way out but a kill, an error in the block included.
    """

    def __init__(self, folder: Path, schema: pa.Schema, flush_rows: int, flush_seconds: float) -> None:
        self.folder = folder
        self._schema = schema
        self._flush_rows = flush_rows
        self._flush_seconds = flush_seconds
        self._rows: list[dict[str, Any]] = []
        self._oldest = 0.0
        self._shard = 0
        self._writer = uuid.uuid4().hex[:12]

    @property
    def shard_name(self) -> str:
        """Name, without suffix, of the shard that the waiting rows will be committed as."""
        return f"{self._writer}-{self._shard:06d}"

    def write(self, row: Mapping[str, Any]) -> None:
        """Add a row (`row_hash` is filled in); commits a shard when enough rows wait, or wait long enough."""
        if not self._rows:
            self._oldest = time.monotonic()
        self._rows.append({**row, "row_hash": digest({k: v for k, v in row.items() if k != "vector"})})
        if len(self._rows) >= self._flush_rows or time.monotonic() - self._oldest >= self._flush_seconds:
            self.flush()

    def before_commit(self) -> None:
        """Run before a shard is committed: what its rows point to must be on disk by then."""

    def flush(self) -> None:
        """Commit the waiting rows as one shard."""
        if not self._rows:
            return
        self.before_commit()
        write_rows(self.folder / f"{self.shard_name}.parquet", self._rows, self._schema)
        self._rows.clear()
        self._shard += 1

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.flush()


def stream(
    connection: duckdb.DuckDBPyConnection, query: str, parameters: list[Any] | None = None
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a query, `BATCH_ROWS` at a time."""
    reader: Any = connection.sql(query, params=parameters).to_arrow_reader(BATCH_ROWS)
    yield from reader


def quoted(text: str) -> str:
    """Quote a string for SQL."""
    return "'" + text.replace("'", "''") + "'"
