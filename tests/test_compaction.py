"""Compaction changes no row: whatever runs beside it, and whenever it is killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cirgen.compaction import LOCK_NAME, compact
from cirgen.file_locks import exclusive
from cirgen.schemas import SCORE, STATUSES
from cirgen.store import Store

STAGE = "score-x"
Row = dict[str, Any]


def row(key: str, attempt: int = 0, status: str = "ok", **score: float) -> Row:
    return {"key": key, "attempt": attempt, "status": status, "error": "", "scores": score, "detail": ""}


def commit(store: Store, *rows: Row) -> None:
    with store.writer(STAGE) as writer:
        for one in rows:
            writer.write(one)


def rows_of(shards: list[str]) -> list[Row]:
    """Every row of some shards, doubled ones included, in an order of their own."""
    rows = [{**one, "scores": dict(one["scores"])} for shard in shards for one in pq.read_table(shard).to_pylist()]
    return sorted(rows, key=repr)


def stored(store: Store) -> list[Row]:
    return rows_of(store.shards(STAGE))


def distinct(rows: list[Row]) -> set[str]:
    return set(map(repr, rows))


def current(store: Store) -> list[Row]:
    with store.connect() as connection:
        found = connection.sql(f"SELECT * FROM {store.current(connection, STAGE)} ORDER BY key").to_arrow_table()
    return [{**one, "scores": dict(one["scores"])} for one in found.to_pylist()]


def expected_current(rows: list[Row]) -> list[Row]:
    """The current rows, said in Python: ok rows first, of these the first attempt, of the others the last."""

    def rank(one: Row) -> tuple[bool, int, str]:
        ok = one["status"] == "ok"
        return not ok, one["attempt"] if ok else -one["attempt"], one["row_hash"]

    keys = sorted({one["key"] for one in rows})
    return [min((one for one in rows if one["key"] == key), key=rank) for key in keys]


class KilledError(BaseException):
    """The process is dead: nothing that it would do now happens."""


@contextmanager
def killed_after(operations: int | None) -> Iterator[Callable[[], int]]:
    """Let so many file operations happen, and none after; None kills nothing. Yields how many happened."""
    done = 0

    def counted(operation: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **settings: Any) -> Any:
            nonlocal done
            if operations is not None and done >= operations:
                raise KilledError
            done += 1
            return operation(*args, **settings)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for owner, name in (
            (os, "fsync"),
            (Path, "open"),
            (Path, "replace"),
            (Path, "unlink"),
            (pq.ParquetWriter, "write_batch"),
            (pq.ParquetWriter, "close"),
        ):
            patch.setattr(owner, name, counted(getattr(owner, name)))
        try:
            yield lambda: done
        except KilledError:
            assert operations is not None


def filled(folder: Path, shards: int = 6) -> Store:
    """A store of small shards: each has a key of its own, one that all share, and an answer to an earlier failure."""
    store = Store(folder)
    for number in range(shards):
        answers = [row(f"own {number}"), row("shared", number, "oom"), row("late", number, STATUSES[number % 2])]
        commit(store, *answers)
    return store


def test_many_small_shards_become_one_with_the_same_rows_sorted_by_key(tmp_path: Path) -> None:
    store = filled(tmp_path)
    before, current_before = stored(store), current(store)
    assert compact(store, many=5) == 6
    (shard,) = store.shards(STAGE)
    table = pq.read_table(shard)
    assert table.schema == SCORE
    assert table.column("key").to_pylist() == sorted(table.column("key").to_pylist())
    assert stored(store) == before
    assert current(store) == current_before == expected_current(before)


def test_few_shards_and_large_ones_stay_as_they_are(tmp_path: Path) -> None:
    store = filled(tmp_path)
    shards = store.shards(STAGE)
    assert compact(store, many=6) == 0
    assert compact(store, many=1, merged_bytes=100) == 0
    assert store.shards(STAGE) == shards


def test_shards_are_merged_up_to_a_size(tmp_path: Path) -> None:
    store = filled(tmp_path, shards=9)
    before = stored(store)
    size = max(Path(shard).stat().st_size for shard in store.shards(STAGE))
    assert compact(store, many=1, merged_bytes=3 * size) == 9
    assert len(store.shards(STAGE)) == 3
    assert stored(store) == before


@pytest.mark.parametrize("stage", ["caption", "ingest", "embed"])
def test_the_rows_of_every_stage_survive(tmp_path: Path, stage: str) -> None:
    from cirgen.schemas import stage_schema

    blank = {"string": "", "int32": 0, "int64": 0}
    store = Store(tmp_path)
    for number in range(3):
        fields = {field.name: blank.get(str(field.type), []) for field in stage_schema(stage)}
        if stage == "embed":
            fields["vector"] = np.arange(4, dtype=np.float32) + number
        if stage == "ingest":
            fields["alias"] = {"source": "a", "source_id": str(number)}
        with store.writer(stage) as writer:
            writer.write({**fields, "key": str(number)})
    before = sorted((one for shard in store.shards(stage) for one in pq.read_table(shard).to_pylist()), key=repr)
    assert compact(store, many=1) == 3
    (shard,) = store.shards(stage)
    assert sorted(pq.read_table(shard).to_pylist(), key=repr) == before
    assert pq.read_schema(shard) == stage_schema(stage)


def test_no_shard_disappears_while_somebody_reads(tmp_path: Path) -> None:
    store = filled(tmp_path)
    before = current(store)
    with store.connect() as connection:
        listed = store.current(connection, STAGE)
        compact(store, many=1)
        assert len(store.shards(STAGE)) == 7
        assert len(connection.sql(listed).fetchall()) == len(before)
        assert compact(store, many=1) == 0  # what is merged already is not merged again
    assert current(store) == before
    assert compact(store, many=1) == 0
    assert len(store.shards(STAGE)) == 1


def test_a_second_process_that_compacts_goes_on_with_its_work(tmp_path: Path) -> None:
    store = filled(tmp_path)
    with exclusive(store.root / LOCK_NAME) as alone:
        assert alone
        assert compact(store, many=1) == 0
    assert compact(store, many=1) == 6


def test_rows_that_wait_in_a_writer_are_committed_beside_a_compaction(tmp_path: Path) -> None:
    store = filled(tmp_path)
    before = stored(store)
    with store.writer(STAGE) as writer:
        writer.write(row("waiting"))
        compact(store, many=1)
    assert len(stored(store)) == len(before) + 1
    assert len(store.shards(STAGE)) == 2


def test_a_compaction_killed_after_any_file_operation_loses_and_keeps_double_nothing(tmp_path: Path) -> None:
    undisturbed = filled(tmp_path / "undisturbed")
    with killed_after(None) as operations:
        compact(undisturbed, many=1)
        total = operations()
    assert total > 6  # at least one for each shard that is removed
    for operation in range(total):
        store = filled(tmp_path / str(operation))
        before = stored(store)
        with killed_after(operation):
            compact(store, many=1)
            pytest.fail("it should have died")
        assert distinct(stored(store)) == distinct(before)
        assert current(store) == expected_current(before)
        compact(store, many=0)
        store.remove_leftovers()
        assert stored(store) == before
        assert not list(store.root.rglob("*.tmp"))


ROWS = st.lists(
    st.builds(
        row,
        key=st.sampled_from("abc"),
        attempt=st.integers(0, 2),
        status=st.sampled_from(STATUSES),
        value=st.integers(0, 2).map(float),
    ),
    min_size=1,
    max_size=5,
)
STEPS = st.lists(
    st.tuples(
        st.one_of(ROWS, st.sampled_from([3_000, 12_000, 1_000_000])),  # rows to append, or bytes to compact to
        st.one_of(st.none(), st.integers(0, 25)),  # operations until the process dies
    ),
    min_size=2,
    max_size=7,
)


@settings(max_examples=20, deadline=None)
@given(steps=STEPS)
def test_any_order_of_appends_compactions_and_crashes_reads_the_same_rows(
    steps: list[tuple[list[Row] | int, int | None]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = Store(tmp_path_factory.mktemp("store"), flush_rows=2)
    committed: list[Row] = []
    for step, operations in steps:
        before = set(store.shards(STAGE))
        with killed_after(operations):
            if isinstance(step, int):
                compact(store, many=1, merged_bytes=step)
            else:
                commit(store, *step)
        if not isinstance(step, int):
            committed += rows_of(sorted(set(store.shards(STAGE)) - before))
        assert distinct(stored(store)) == distinct(committed)
        assert current(store) == expected_current(committed)
    compact(store, many=0)
    assert stored(store) == sorted(committed, key=repr)


CHILD = """
import os, sys, time
from pathlib import Path
from cirgen.compaction import compact
from cirgen.store import Store
flush = os.fsync
def slow(descriptor):
    time.sleep(0.01)
    flush(descriptor)
    time.sleep(0.01)
os.fsync = slow
while compact(Store(Path(sys.argv[1])), many=1, merged_bytes=int(sys.argv[2])):
    pass
"""


def test_a_compaction_killed_at_random_leaves_the_rows_as_they_were(tmp_path: Path) -> None:
    store = filled(tmp_path, shards=120)
    before, current_before = stored(store), current(store)
    size = max(Path(shard).stat().st_size for shard in store.shards(STAGE))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    dice = random.Random(0)
    for _ in range(4):
        shards = store.shards(STAGE)
        command = [sys.executable, "-c", CHILD, str(tmp_path), str(4 * size)]
        with subprocess.Popen(command, env=environment) as child:
            while store.shards(STAGE) == shards and child.poll() is None:
                time.sleep(0.001)
            time.sleep(dice.uniform(0, 0.1))
            child.send_signal(signal.SIGKILL)
        assert store.shards(STAGE) != shards
        assert distinct(stored(store)) == distinct(before)
        assert current(store) == current_before
    compact(store, many=0)
    store.remove_leftovers()
    assert stored(store) == before
    assert not list(store.root.rglob("*.tmp"))
