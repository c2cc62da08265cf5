"""The append-only store of a run: Parquet shards per stage, read through DuckDB.

A shard's presence is its commit. Rows are identified by (key, attempt); of several rows with one key the current one
is the `ok` row of lowest attempt, else the row of highest attempt, then the smallest row hash. Any number of writers
may append at once: shard names are unique and no shard is ever written twice. `compaction` replaces many small shards
by a few large ones with the same rows; it removes a shard only while nobody reads.
"""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from cirgen.damage import check_shard, damage_told
from cirgen.file_locks import exclusive, remove_unclaimed, shared
from cirgen.full_disk import full_disk_told
from cirgen.keys import digest
from cirgen.parquet_sql import rows_of
from cirgen.schemas import RERUN_STATUSES, is_stage, stage_schema
from cirgen.shards import TEMPORARY_SUFFIX, write_rows

FLUSH_SECONDS = 30.0
FLUSH_ROWS = 1_000
BATCH_ROWS = 1_000
MEMORY_LIMIT = "1500MB"
"""What DuckDB may hold before it spills to disk: with what Python holds, a run stays below 2 GiB."""
READERS_LOCK = "readers.lock"
SCRATCH = "scratch"

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
        self._sound: dict[str, int] = {}

    def writer(self, stage: str) -> ShardWriter:
        """Open a writer of a stage; close it (or leave its `with` block) to commit the last rows."""
        return ShardWriter(self.root / stage, stage_schema(stage), self.flush_rows, self.flush_seconds)

    def stages(self) -> list[str]:
        """Return the stages that have a folder."""
        return sorted(path.name for path in self.root.glob("*") if path.is_dir() and is_stage(path.name))

    def shards(self, stage: str) -> list[str]:
        """Return the committed shards of a stage.

        Raises:
            UserError: one of them is damaged, or a file of something else; each is looked at once.
        """
        return sorted(str(path) for path in (self.root / stage).glob("*.parquet") if self._is_there(path, stage))

    def _is_there(self, path: Path, stage: str) -> bool:
        """Check a shard unless that was done; False where a compaction has just removed it."""
        try:
            written = path.stat().st_mtime_ns
            if self._sound.get(str(path)) != written:
                check_shard(path, stage_schema(stage))
                self._sound[str(path)] = written
        except FileNotFoundError:
            return False
        return True

    @contextmanager
    def connect(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open a DuckDB connection that spills to the run folder and keeps no state of its own.

        No shard that is listed through it disappears while it is open.

        Raises:
            UserError: a table that is read through it turns out to be damaged.
            OSError: the disk is full.
        """
        with shared(self.root / READERS_LOCK):
            scratch = self.root / SCRATCH / uuid.uuid4().hex  # its own: DuckDB numbers its files from 0 in each
            scratch.parent.mkdir(parents=True, exist_ok=True)  # DuckDB makes the last folder alone, when it spills
            settings = {"memory_limit": MEMORY_LIMIT, "temp_directory": str(scratch), "threads": "2"}
            try:
                with full_disk_told(), damage_told(), duckdb.connect(":memory:", config={**settings}) as connection:
                    # it would print between the bars of the run
                    connection.execute("SET enable_progress_bar = false")
                    yield connection
            finally:
                shutil.rmtree(scratch, ignore_errors=True)

    def unread(self) -> AbstractContextManager[bool]:
        """Keep readers out for a moment; yields whether nobody was reading, in this process or another."""
        return exclusive(self.root / READERS_LOCK)

    def rows(self, connection: duckdb.DuckDBPyConnection, stage: str) -> str:
        """Return the SQL of a relation with every committed row of a stage."""
        shards = self.shards(stage)
        if not shards:
            name = f"empty_{stage.replace('-', '_').replace('.', '_')}"
            connection.register(name, stage_schema(stage).empty_table())
            return name
        return rows_of(*shards)

    def current(self, connection: duckdb.DuckDBPyConnection, stage: str, among: str = "") -> str:
        """Return the SQL of a relation with the current row of every key of a stage.

        Args:
            connection: that will read it.
            stage: of the store.
            among: SQL of a relation with a column `key`; rows of other keys are left out before any are ranked.
        """
        rows = self.rows(connection, stage)
        source = f"(SELECT r.* FROM {rows} AS r SEMI JOIN {among} AS wanted USING (key))" if among else rows
        return f"({_CURRENT.format(source=source)})"

    def missing(
        self, plan: Path, stage: str, retry: Iterable[str] = (), near: Sequence[str] = ()
    ) -> Iterator[pa.RecordBatch]:
        """Yield the planned rows that have to run, in key order, each with its `attempt` to commit and `last_status`.

        A key runs when it has no row, or when its current row's status is `oom`, `engine_error` or in `retry`.

        Args:
            plan: Parquet file with a `key` column.
            stage: whose rows are there already.
            retry: more statuses that run again.
            near: columns of the plan; rows that are alike in them come one after another.
        """
        order = ", ".join([*(f"(min(p)).{name}" for name in near), "p.key"])
        with self.connect() as connection:
            pending = self._pending(connection, plan, stage, retry)
            relation = stream(
                connection,
                "SELECT min(p) AS p, any_value(w.attempt) AS attempt, any_value(w.last_status) AS last_status "
                f"FROM {rows_of(plan)} AS p JOIN {pending} AS w USING (key) "
                f"GROUP BY p.key ORDER BY {order}",
            )
            for batch in relation:
                planned = batch.column("p")
                names = [*(field.name for field in planned.type), "attempt", "last_status"]
                columns = [*planned.flatten(), batch.column("attempt"), batch.column("last_status")]
                yield pa.RecordBatch.from_arrays(columns, names=names)

    def count_missing(self, plan: Path, stage: str, retry: Iterable[str] = ()) -> int:
        """Return how many rows `missing` would yield."""
        with self.connect() as connection:
            pending = self._pending(connection, plan, stage, retry)
            return int(connection.execute(f"SELECT count(*) FROM {pending}").fetchall()[0][0])

    def _pending(self, connection: duckdb.DuckDBPyConnection, plan: Path, stage: str, retry: Iterable[str]) -> str:
        """Make the table (key, attempt, last_status) of the keys that have to run; return its name.

        Most keys of a resumed run have an ok row: they are told by one join, and rows are ranked for the others alone.
        """
        again = [*RERUN_STATUSES, *retry]
        if "ok" in again:
            raise ValueError("a row that is ok never runs again")
        rows = self.rows(connection, stage)
        planned = f"(SELECT DISTINCT key FROM {rows_of(plan)})"
        connection.execute(
            f"CREATE TEMP TABLE not_ok AS SELECT p.key FROM {planned} AS p "
            f"ANTI JOIN (SELECT key FROM {rows} WHERE status = 'ok') AS done USING (key)"
        )
        current = self.current(connection, stage, among="not_ok")
        connection.execute(
            "CREATE TEMP TABLE pending AS SELECT p.key, coalesce(c.attempt + 1, 0)::INTEGER AS attempt, "
            f"coalesce(c.status, '') AS last_status FROM not_ok AS p LEFT JOIN {current} AS c USING (key) "
            "WHERE c.key IS NULL OR list_contains(?, c.status)",
            [again],
        )
        return "pending"

    def statuses(self, stage: str, plan: Path | None = None) -> dict[str, int]:
        """Count the current rows of a stage by status; with a plan, of its keys alone, `pending` for those without."""
        with self.connect() as connection:
            current = self.current(connection, stage)
            if plan is None:
                query = f"SELECT status, count(*) FROM {current} GROUP BY status ORDER BY status"
            else:
                query = (
                    "SELECT coalesce(c.status, 'pending') AS s, count(*) FROM "
                    f"(SELECT DISTINCT key FROM {rows_of(plan)}) AS p "
                    f"LEFT JOIN {current} AS c USING (key) GROUP BY s ORDER BY s"
                )
            return {str(status): int(count) for status, count in connection.execute(query).fetchall()}

    def remove_leftovers(self) -> None:
        """Remove what killed writers left unfinished; what live ones are writing stays."""
        for path in self.root.glob(f"*/*{TEMPORARY_SUFFIX}"):
            remove_unclaimed(path)
        with self.unread() as free:
            if free:  # then nobody spills
                shutil.rmtree(self.root / SCRATCH, ignore_errors=True)


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
        self._rows.append({**row, "row_hash": _row_hash(row)})
        if len(self._rows) >= self._flush_rows or time.monotonic() - self._oldest >= self._flush_seconds:
            self.flush()

    def before_commit(self) -> None:
        """Run before a shard is committed: what its rows point to must be on disk by then."""

    def after_commit(self) -> None:
        """Run once a shard is committed."""

    def flush(self) -> None:
        """Commit the waiting rows as one shard."""
        if not self._rows:
            return
        self.before_commit()
        write_rows(self.folder / f"{self.shard_name}.parquet", self._rows, self._schema)
        self.after_commit()
        self._rows.clear()
        self._shard += 1

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.flush()


def _row_hash(row: Mapping[str, Any]) -> str:
    if "vector" not in row:
        return digest(row)
    vector = np.asarray(row["vector"], dtype=np.float32)
    return digest({**row, "vector": vector.tobytes().hex()})


def stream(
    connection: duckdb.DuckDBPyConnection, query: str, parameters: list[Any] | None = None
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a query, `BATCH_ROWS` at a time."""
    reader: Any = connection.sql(query, params=parameters).to_arrow_reader(BATCH_ROWS)
    yield from reader
