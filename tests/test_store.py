"""What is committed stays, counts once, and is found again whatever order it came in."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cirgen.errors import UserError
from cirgen.keys import digest
from cirgen.schemas import STATUSES
from cirgen.shards import distinct, write_batches, write_rows
from cirgen.store import Store

PLAN = pa.schema([pa.field("key", pa.string()), pa.field("image_id", pa.string())])


def row(key: str, attempt: int = 0, status: str = "ok", **score: float) -> dict[str, Any]:
    return {"key": key, "attempt": attempt, "status": status, "error": "", "scores": score, "detail": ""}


def current(store: Store, stage: str = "score-x") -> list[dict[str, Any]]:
    with store.connect() as connection:
        table = connection.sql(f"SELECT * FROM {store.current(connection, stage)} ORDER BY key").to_arrow_table()
    return table.to_pylist()


def commit(store: Store, *rows: dict[str, Any]) -> None:
    with store.writer("score-x") as writer:
        for one in rows:
            writer.write(one)


def test_an_empty_store_has_no_rows_and_misses_the_whole_plan(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    plan = tmp_path / "plan.parquet"
    write_rows(plan, [{"key": "b", "image_id": "2"}, {"key": "a", "image_id": "1"}], PLAN)
    (batch,) = store.missing(plan, "score-x")
    assert current(store) == []
    assert batch.to_pylist() == [
        {"key": "a", "image_id": "1", "attempt": 0, "last_status": ""},
        {"key": "b", "image_id": "2", "attempt": 0, "last_status": ""},
    ]


def test_rows_are_committed_by_count_and_the_rest_on_leaving(tmp_path: Path) -> None:
    store = Store(tmp_path, flush_rows=2)
    with store.writer("score-x") as writer:
        for key in "abc":
            writer.write(row(key))
        assert len(store.shards("score-x")) == 1
    assert [r["key"] for r in current(store)] == ["a", "b", "c"]


def test_an_error_in_the_block_still_commits_what_was_written(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(RuntimeError), store.writer("score-x") as writer:
        writer.write(row("a"))
        raise RuntimeError
    assert [r["key"] for r in current(store)] == ["a"]


def test_a_resumed_run_skips_everything_but_oom_and_engine_errors(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    commit(store, *(row(status, status=status) for status in STATUSES))
    plan = tmp_path / "plan.parquet"
    write_rows(plan, [{"key": status, "image_id": ""} for status in STATUSES], PLAN)
    again = [r for batch in store.missing(plan, "score-x") for r in batch.to_pylist()]
    assert [(r["key"], r["attempt"], r["last_status"]) for r in again] == [
        ("engine_error", 1, "engine_error"),
        ("oom", 1, "oom"),
    ]
    retried = [r["key"] for batch in store.missing(plan, "score-x", ["truncated"]) for r in batch.to_pylist()]
    assert retried == ["engine_error", "oom", "truncated"]


def test_statuses_of_a_plan_count_what_is_pending(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    commit(store, row("a"), row("b", status="oom"), row("unplanned"))
    plan = tmp_path / "plan.parquet"
    write_rows(plan, [{"key": key, "image_id": ""} for key in "abc"], PLAN)
    assert store.statuses("score-x", plan) == {"ok": 1, "oom": 1, "pending": 1}


ROWS = st.lists(
    st.builds(
        row,
        key=st.sampled_from("abc"),
        attempt=st.integers(0, 3),
        status=st.sampled_from(STATUSES),
        value=st.integers(0, 3).map(float),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(rows=ROWS, data=st.data())
def test_the_current_row_does_not_depend_on_the_order_of_commits(
    rows: list[dict[str, Any]], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shuffled = data.draw(st.permutations(rows))
    one, other = (Store(tmp_path_factory.mktemp("store"), flush_rows=3) for _ in range(2))
    commit(one, *rows)
    commit(other, *shuffled, *shuffled[:2])  # doubled rows are resolved on read
    assert current(one) == current(other)
    for kept in current(one):
        rivals = [r for r in rows if r["key"] == kept["key"]]
        good = [r["attempt"] for r in rivals if r["status"] == "ok"]
        expected = min(good) if good else max(r["attempt"] for r in rivals)
        assert kept["attempt"] == expected
        assert (kept["status"] == "ok") == bool(good)


def test_two_writers_never_overwrite_each_other(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.writer("score-x") as one, store.writer("score-x") as other:
        one.write(row("a"))
        other.write(row("b"))
    assert [r["key"] for r in current(store)] == ["a", "b"]


def test_a_killed_writer_leaves_only_whole_shards(tmp_path: Path) -> None:
    script = textwrap.dedent("""
        import sys
        from pathlib import Path
        from cirgen.store import Store
        with Store(Path(sys.argv[1]), flush_rows=50).writer("score-x") as writer:
            for i in range(10**6):
                row = {"key": f"{i:09d}", "attempt": 0, "status": "ok", "error": "", "scores": {}, "detail": ""}
                writer.write(row)
                if i == 200:
                    print("ready", flush=True)
    """)
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    store = Store(tmp_path)
    rows = current(store)
    assert len(rows) >= 200
    assert len(rows) % 50 == 0
    assert [r["key"] for r in rows] == [f"{i:09d}" for i in range(len(rows))]
    store.remove_leftovers()
    assert not list(tmp_path.rglob("*.tmp"))
    assert all(pq.ParquetFile(shard).metadata.num_rows == 50 for shard in store.shards("score-x"))


def test_a_full_disk_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_rows(tmp_path / "a.parquet", [{"key": "a", "image_id": ""}], PLAN)
    assert list(tmp_path.iterdir()) == []


@given(ids=st.lists(st.sampled_from("abcd"), max_size=8).map(sorted), size=st.integers(1, 3))
def test_an_id_that_comes_twice_is_an_error_wherever_batches_end(
    ids: list[str], size: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("table") / "t.parquet"
    batches = pa.table({"key": ids, "image_id": ids}, schema=PLAN).to_batches(size)
    if len(set(ids)) == len(ids):
        assert write_batches(path, distinct(batches, "key"), PLAN) == len(ids)
        return
    with pytest.raises(ValueError, match="comes twice"):
        write_batches(path, distinct(batches, "key"), PLAN)
    assert not path.exists()


def test_a_key_that_several_rows_plan_is_run_as_the_same_one_of_them_each_time(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    plan = tmp_path / "plan.parquet"
    write_rows(plan, [{"key": str(n % 50), "image_id": str(n * 7919 % 5_000)} for n in range(5_000)], PLAN)
    planned = [[row for batch in store.missing(plan, "score-x") for row in batch.to_pylist()] for _ in range(3)]
    assert planned[0] == planned[1] == planned[2]
    assert len(planned[0]) == 50


def test_what_is_about_one_image_can_come_together(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    plan = tmp_path / "plan.parquet"
    write_rows(plan, [{"key": digest(n), "image_id": str(n % 7)} for n in range(50)], PLAN)
    rows = [row for batch in store.missing(plan, "score-x", near=["image_id"]) for row in batch.to_pylist()]
    assert [row["image_id"] for row in rows] == sorted(str(n % 7) for n in range(50))
    assert rows == sorted(rows, key=lambda row: (row["image_id"], row["key"]))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"notes"], ids=["emptied", "cut", "foreign"])
def test_a_shard_that_is_none_is_named_with_the_way_out(tmp_path: Path, content: bytes) -> None:
    store = Store(tmp_path)
    commit(store, row("a"))
    damaged = tmp_path / "score-x" / "damaged.parquet"
    damaged.write_bytes(content)
    with pytest.raises(UserError, match=f"{damaged} is damaged .*move it away.*made again"):
        current(store)
    damaged.unlink()
    pq.write_table(pa.table({"key": ["a"]}), damaged)
    with pytest.raises(UserError, match=f"{damaged} is not what the folder .* is for: move it away"):
        current(store)
    damaged.unlink()
    assert [r["key"] for r in current(store)] == ["a"]


def test_a_folder_that_no_stage_made_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    store = Store(tmp_path)
    commit(store, row("a"))
    assert store.stages() == ["score-x"]


def test_more_than_fits_in_memory_goes_to_disk_and_leaves_nothing_there(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    with store.connect() as connection:
        connection.execute("SET memory_limit = '60MB'")
        connection.execute("CREATE TEMP TABLE t AS SELECT sha256(n::VARCHAR) AS key FROM range(2_000_000) AS r(n)")
        assert connection.execute("SELECT count(key) FROM t").fetchall() == [(2_000_000,)]
        assert list((tmp_path / "store" / "scratch").iterdir())
    assert not list((tmp_path / "store" / "scratch").iterdir())
