"""A blob that no row points to is removed; one that a live writer is about to commit is not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cirgen.compaction import compact
from cirgen.run_folder import Run
from cirgen.stages import ingest as stage
from cirgen.stages.ingest import IngestWriter, ingest
from ingest_runs import catalog, make_run, png


def streamed_run(folder: Path) -> Run:
    """A run of eight images whose bytes only the store keeps."""
    folder.mkdir(exist_ok=True)
    source = folder / "images.parquet"
    pq.write_table(pa.Table.from_pylist([{"image": {"bytes": png(n), "path": None}} for n in range(8)]), source)
    return make_run(folder / "run", {"kind": "dataset", "path": str(source)}, flush_rows=3)


def blobs(run: Run) -> list[str]:
    return sorted(path.name for path in (run.store.root / "ingest").glob("*.blob"))


CHILD = """
import os, signal, sys
from pathlib import Path
from test_blobs import streamed_run
from cirgen import store
from cirgen.stages.ingest import ingest
store.write_rows = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
ingest(streamed_run(Path(sys.argv[1])))
"""


def test_a_blob_whose_shard_was_never_committed_is_removed_by_the_next_run(tmp_path: Path) -> None:
    paths = [str(Path(__file__).parent), *sys.path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    subprocess.run([sys.executable, "-c", CHILD, str(tmp_path)], env=environment, check=False)
    run = streamed_run(tmp_path)
    assert len(blobs(run)) == 1
    assert run.store.shards("ingest") == []
    run.remove_leftovers()
    assert blobs(run) == []
    ingest(run)
    assert len(catalog(run)) == 8


def test_blobs_that_rows_point_to_stay_also_once_their_shards_are_merged(tmp_path: Path) -> None:
    run = streamed_run(tmp_path)
    ingest(run)
    before = blobs(run)
    assert len(before) == 3
    assert compact(run.store, many=1) == 3
    (run.store.root / "ingest" / "orphan.blob").write_bytes(b"x")
    run.remove_leftovers()
    assert blobs(run) == before


def test_the_blob_of_a_live_writer_stays_between_its_two_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, seen = streamed_run(tmp_path), []
    commit = IngestWriter.before_commit

    def interrupted(writer: IngestWriter) -> None:
        run.remove_leftovers()
        commit(writer)
        run.remove_leftovers()
        seen.append(f"{writer.shard_name}.blob" in blobs(run))

    monkeypatch.setattr(stage.IngestWriter, "before_commit", interrupted)
    ingest(run)
    assert seen.count(True) == 3
    assert len(catalog(run)) == 8
