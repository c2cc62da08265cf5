"""Filtering: score what was never scored, then decide from stored scores who is in and why the others are not.

Filters run in the order of the recipe, each on the triplets that all earlier ones accepted. Scores are kept in the
store under a key of everything they depend on; verdicts are derived from them, so a moved threshold scores nothing but
rows that an earlier filter now lets through for the first time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from cirgen.filters.base import Filter, FilterSettings, Score
from cirgen.filters.registry import FILTERS
from cirgen.filters.tools import Question, Tools
from cirgen.keys import KEY_SCHEME, digest
from cirgen.parquet_sql import rows_of
from cirgen.run_folder import Run
from cirgen.schemas import NOT_SCORED, RERUN_STATUSES, UNWRITTEN, VERDICT
from cirgen.shards import distinct, write_rows
from cirgen.stages.ask import STAGE as OBSERVE
from cirgen.stages.ask import RunAsker
from cirgen.store import stream

_KEYS = pa.schema([pa.field("triplet_id", pa.string()), pa.field("key", pa.string())])
_MARKS = pa.schema([pa.field("triplet_id", pa.string()), pa.field("marks", pa.map_(pa.string(), pa.float64()))])
_REASONS = pa.schema([pa.field("triplet_id", pa.string()), pa.field("reason", pa.string())])


ROWS_ASKED = 256
"""Triplets of one call of a filter that asks a model: a kill loses at most the answers of one call."""


def filter_triplets(run: Run, tools_of: Callable[[str, Filter], Tools], turn: int = 0) -> None:
    """Judge every triplet of a run and write the verdicts.

    Args:
        run: has triplets.
        tools_of: gives what a filter, by name, measures with.
        turn: of texts written anew, after which this is asked; what failed is tried again for texts of this turn or
            a later one alone, since the others had their chance before it.

    Raises:
        UserError: a filter needs what the recipe does not have.
    """
    filters = [(_name(settings), FILTERS.build(settings)) for settings in run.recipe.filter]
    tools = {name: tools_of(name, part) for name, part in filters}
    with run.store.connect() as connection:
        connection.execute(f"""
            CREATE TABLE verdicts AS
            SELECT triplet_id, CASE WHEN status = 'ok' THEN '' ELSE '{UNWRITTEN}: ' || status END AS reason
            FROM {_triplets(run)}
        """)
        funnel = {"planned": _count(connection, "true"), "generated": _count(connection, "reason = ''")}
        steps = [_Step(run, connection, name, part, tools[name], turn).run() for name, part in filters]
        write_rows(run.verdicts, _verdicts(run, connection, filters), VERDICT)
        run.note_facts(funnel={**funnel, "filters": steps, "accepted": _count(connection, "reason = ''")})


def _name(settings: FilterSettings) -> str:
    return str(getattr(settings, FILTERS.tag))


def _triplets(run: Run) -> str:
    return rows_of(run.triplets)


def _count(connection: duckdb.DuckDBPyConnection, test: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM verdicts WHERE {test}").fetchall()[0][0])


class _Step:
    """One filter on the triplets that are still accepted."""

    def __init__(
        self,
        run: Run,
        connection: duckdb.DuckDBPyConnection,
        name: str,
        part: Filter,
        tools: Tools,
        turn: int,
    ) -> None:
        self._turn = turn
        self._run = run
        self._connection = connection
        self._name = name
        self._part = part
        self._tools = tools
        self._stage = f"score-{name}"
        self._pending = f"pending_{name}"
        self._remarks: list[str] = []

    def _current(self) -> str:
        return self._run.store.current(self._connection, self._stage)

    def run(self) -> dict[str, Any]:
        """Score, decide and reject; return the filter's line of the funnel."""
        seen = _count(self._connection, "reason = ''")
        self._connection.execute(f"CREATE TABLE {_marks(self._name)} (triplet_id VARCHAR, marks MAP(VARCHAR, DOUBLE))")
        scored = self._score() if self._part.measures else 0
        rejected = self._decide()
        if self._part.measures:
            rejected |= dict.fromkeys(self._unscored(), NOT_SCORED)
        self._reject(rejected)
        by_reason = dict(sorted(Counter(rejected.values()).items()))
        return {
            "name": self._name,
            "seen": seen,
            "scored": scored,
            "rejected": len(rejected),
            "reasons": by_reason,
            "remarks": self._remarks,
        }

    def _decide(self) -> dict[str, str]:
        """Return the reasons of those rejected, by triplet_id."""
        batches = [batch for batch in self._to_decide() if batch.num_rows]
        if not batches:
            return {}
        triplets = pa.Table.from_batches(batches)
        self._remarks = self._part.remarks(triplets)
        ids = triplets.column("triplet_id").to_pylist()
        self._mark(ids, self._part.marks(triplets))
        return {row: reason for row, reason in zip(ids, self._part.decide(triplets), strict=True) if reason}

    def _mark(self, ids: Sequence[str], marks: Mapping[str, Sequence[float]]) -> None:
        if not marks:
            return
        rows = [
            {"triplet_id": row, "marks": list(zip(marks, values, strict=True))}
            for row, *values in zip(ids, *marks.values(), strict=True)
        ]
        with _visible(self._connection, "marked", pa.Table.from_pylist(rows, schema=_MARKS)):
            self._connection.execute(f"INSERT INTO {_marks(self._name)} SELECT triplet_id, marks FROM marked")

    def _accepted(self, columns: str = "t.*") -> Iterator[pa.RecordBatch]:
        return stream(
            self._connection.cursor(),  # so that the caller may write while it reads
            f"SELECT {columns} FROM {_triplets(self._run)} AS t JOIN verdicts AS v USING (triplet_id) "
            "WHERE v.reason = '' ORDER BY triplet_id",
        )

    def _score(self) -> int:
        """Give every accepted triplet a stored score; return how many had none."""
        self._write_keys()
        self._connection.execute(f"""
            CREATE TABLE {self._pending} AS
            SELECT min(k.triplet_id) AS triplet_id, key, any_value(coalesce(c.attempt + 1, 0))::INTEGER AS attempt
            FROM {_keys(self._name)} AS k JOIN {_triplets(self._run)} AS t USING (triplet_id)
            LEFT JOIN {self._current()} AS c USING (key)
            WHERE c.key IS NULL OR (
                t.regenerated >= {self._turn} AND list_contains({[*RERUN_STATUSES, *self._run.retry]}, c.status)
            ) GROUP BY key
        """)
        pending = int(self._connection.execute(f"SELECT count(*) FROM {self._pending}").fetchall()[0][0])
        if pending:
            self._score_pending(pending)
        return pending

    def _write_keys(self) -> None:
        self._connection.execute(f"CREATE TABLE {_keys(self._name)} (triplet_id VARCHAR, key VARCHAR)")
        for batch in self._accepted():
            rows = [{"triplet_id": row["triplet_id"], "key": self._key(row)} for row in batch.to_pylist()]
            with _visible(self._connection, "batch", pa.Table.from_pylist(rows, schema=_KEYS)):
                self._connection.execute(f"INSERT INTO {_keys(self._name)} SELECT triplet_id, key FROM batch")

    def _key(self, row: Mapping[str, Any]) -> str:
        part = self._part
        return digest(
            "score",
            KEY_SCHEME,
            self._name,
            part.version,
            part.scoring(),
            row["reference_id"],
            row["text"],
            row["target_id"],
            part.reads(row),
            *self._identities(row),
        )

    def _identities(self, row: Mapping[str, Any]) -> Iterator[Any]:
        """Yield what of code, encoders, gallery and model a score depends on; nothing for most."""
        tools = self._tools
        if self._part.code:
            yield {"code": self._part.code}
        if len(tools.embeddings) <= 1:
            yield tools.embeddings[0].identity if tools.embeddings else ""
        else:
            yield [embeddings.identity for embeddings in tools.embeddings]
        if tools.gallery:
            yield tools.gallery.identity
        if tools.asker:
            yield dict(tools.asker.identity)
        if tools.classifier:
            yield tools.classifier.identity
        if tools.known:
            yield tools.known.identity
        if self._part.observes:
            yield self._asker().key(self._part.question(row))

    def _score_pending(self, pending: int) -> None:
        if self._part.expensive and self._run.store.shards(self._stage):  # else the bar says it
            self._run.progress.say(
                f"Filter '{self._name}' has {pending:,} triplets to score that it never saw before."
            )
        for embeddings in self._tools.embeddings if self._part.embeds else ():
            embeddings.expect(self._pending_texts())
        with self._run.scratch() as folder:
            batches = self._observed(folder) if self._part.observes else self._to_score("", "")
            with (
                self._run.store.writer(self._stage) as writer,
                self._run.progress.step(f"Score: {self._name}", pending) as step,
            ):
                for batch in batches:
                    scores = self._measured(batch)
                    keys, attempts = batch.column("key").to_pylist(), batch.column("attempt").to_pylist()
                    for key, attempt, score in zip(keys, attempts, scores, strict=True):
                        writer.write(_row(key, attempt, score))
                    step.advance(len(scores))

    def _to_score(self, columns: str, join: str) -> Iterator[pa.RecordBatch]:
        """Yield pending triplets, few at a time where each is worth a question to a model."""
        query = (
            f"SELECT t.*, p.key, p.attempt{columns} FROM {self._pending} AS p "
            f"JOIN {_triplets(self._run)} AS t USING (triplet_id) {join} ORDER BY triplet_id"
        )
        for batch in stream(self._connection, query):
            rows = ROWS_ASKED if self._part.asks else max(batch.num_rows, 1)
            yield from (batch.slice(start, rows) for start in range(0, batch.num_rows, rows))

    def _asker(self) -> RunAsker:
        asker = self._tools.model()
        if not isinstance(asker, RunAsker):
            raise TypeError("only a model of the run observes")
        return asker

    def _observed(self, folder: Path) -> Iterator[pa.RecordBatch]:
        """Have the filter's questions answered, then yield pending triplets with the answers."""
        plan = folder / "questions.parquet"
        self._asker().observe(self._questions(), plan, f"Observe: {self._name}")
        observed = self._run.store.current(self._connection, OBSERVE, among=rows_of(plan))
        yield from self._to_score(
            ", o.raw AS observed, o.status AS observed_status, o.error AS observed_error",
            f"JOIN {rows_of(plan)} AS q USING (triplet_id) JOIN {observed} AS o ON o.key = q.key",
        )

    def _questions(self) -> Iterator[tuple[str, Question]]:
        pending = f"SELECT t.* FROM {self._pending} AS p JOIN {_triplets(self._run)} AS t USING (triplet_id)"
        for batch in stream(self._connection.cursor(), f"{pending} ORDER BY triplet_id"):
            for row in batch.to_pylist():
                yield row["triplet_id"], self._part.question(row)

    def _measured(self, batch: pa.RecordBatch) -> list[Score]:
        """Score a batch; what could not be observed has no score."""
        if not self._part.observes:
            return self._part.score(batch, self._tools)
        failed = [status != "ok" for status in batch.column("observed_status").to_pylist()]
        kept = batch.filter(pa.array([not one for one in failed]))
        scores = iter(self._part.score(kept, self._tools) if kept.num_rows else [])
        statuses, errors = (batch.column(f"observed_{name}").to_pylist() for name in ("status", "error"))
        return [
            Score({}, "", status, error) if lost else next(scores)
            for lost, status, error in zip(failed, statuses, errors, strict=True)
        ]

    def _pending_texts(self) -> Iterator[str]:
        triplets = f"{self._pending} JOIN {_triplets(self._run)} AS t USING (triplet_id)"
        columns = " UNION ".join(f'SELECT t."{column}" AS text FROM {triplets}' for column in self._part.embeds)
        for batch in stream(self._connection, columns):
            yield from batch.column("text").to_pylist()

    def _to_decide(self) -> Iterator[pa.RecordBatch]:
        """Yield what `decide` reads: accepted triplets with their scores."""
        columns = ", ".join(f't."{name}"' for name in dict.fromkeys(("triplet_id", *self._part.decides_on)))
        if not self._part.measures:
            return self._accepted(columns)
        query = (
            f"SELECT {columns}, c.scores FROM {_triplets(self._run)} AS t "
            f"JOIN {_keys(self._name)} AS k USING (triplet_id) JOIN {self._current()} AS c USING (key) "
            "WHERE c.status = 'ok' ORDER BY triplet_id"
        )
        return map(_spread, stream(self._connection, query))

    def _unscored(self) -> list[str]:
        found = self._connection.execute(
            f"SELECT triplet_id FROM {_keys(self._name)} LEFT JOIN {self._current()} AS c USING (key) "
            "WHERE c.status IS DISTINCT FROM 'ok'"
        )
        return [str(triplet_id) for (triplet_id,) in found.fetchall()]

    def _reject(self, rejected: Mapping[str, str]) -> None:
        rows = [{"triplet_id": row, "reason": f"{self._name}: {reason}"} for row, reason in rejected.items()]
        with _visible(self._connection, "rejected", pa.Table.from_pylist(rows, schema=_REASONS)):
            self._connection.execute(
                "UPDATE verdicts SET reason = r.reason FROM rejected AS r WHERE verdicts.triplet_id = r.triplet_id"
            )


def _row(key: str, attempt: int, score: Score) -> dict[str, Any]:
    return {
        "key": key,
        "attempt": attempt,
        "status": score.status,
        "error": score.error,
        "scores": score.values,
        "detail": score.detail,
    }


def _keys(name: str) -> str:
    """Name the table (triplet_id, key) of one filter: the triplets that it saw and where their scores are."""
    return f"keys_{name}"


def _marks(name: str) -> str:
    """Name the table (triplet_id, marks) of one filter."""
    return f"marks_{name}"


@contextmanager
def _visible(connection: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> Iterator[None]:
    """Let SQL see an Arrow table under a name."""
    connection.register(name, table)
    try:
        yield
    finally:
        connection.unregister(name)


def _spread(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Turn the map column `scores` into one float64 column per name."""
    scores = batch.column("scores")
    names = dict.fromkeys(pc.unique(scores.keys).to_pylist())
    columns = {name: pc.map_lookup(scores, name, "first") for name in names}
    return pa.RecordBatch.from_pydict(
        {name: batch.column(name) for name in batch.schema.names if name != "scores"} | columns
    )


def _verdicts(
    run: Run, connection: duckdb.DuckDBPyConnection, filters: Sequence[tuple[str, Filter]]
) -> Iterator[dict[str, Any]]:
    """Yield every triplet's verdict (`schemas.VERDICT`) with all scores that were read for it."""
    names = [name for name, part in filters if part.measures]
    marked = [name for name, part in filters if part.mark_notes]
    columns = "".join(f", c_{name}.scores AS {name}" for name in names)
    columns += "".join(f", m_{name}.marks AS marks_{name}" for name in marked)
    joins = " ".join(
        f"LEFT JOIN {_keys(name)} AS k_{name} ON k_{name}.triplet_id = v.triplet_id "
        f"LEFT JOIN {run.store.current(connection, f'score-{name}')} AS c_{name} ON c_{name}.key = k_{name}.key"
        for name in names
    )
    joins += " ".join(
        f" LEFT JOIN {_marks(name)} AS m_{name} ON m_{name}.triplet_id = v.triplet_id" for name in marked
    )
    query = f"SELECT v.triplet_id, v.reason{columns} FROM verdicts AS v {joins} ORDER BY v.triplet_id"
    for batch in distinct(stream(connection, query), "triplet_id"):
        for row in batch.to_pylist():
            scores = {f"{name}.{score}": value for name in names for score, value in row[name] or ()}
            scores |= {f"{name}.{mark}": value for name in marked for mark, value in row[f"marks_{name}"] or ()}
            yield {"triplet_id": row["triplet_id"], "reason": row["reason"], "scores": scores}
