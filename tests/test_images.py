"""A run opens its pictures by id, from files, tar files and blobs, and notices when they changed."""

from __future__ import annotations

import hashlib
import pickle
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from cirgen.images import RunImages
from cirgen.run_folder import Run
from cirgen.stages.ingest import ingest
from ingest_runs import catalog, encoded, fill, make_run, png, tiny


def reader(run: Run) -> RunImages:
    ingest(run)
    return RunImages(run.catalog, run.store.root / "ingest")


def test_files_open_by_id_wherever_the_process_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "images", 5)
    monkeypatch.chdir(tmp_path)
    images = reader(make_run(tmp_path / "run", {"kind": "folder", "path": "images"}))
    monkeypatch.chdir("/")
    assert len(images) == 5
    for number in range(5):
        image_id = hashlib.sha256(png(number)).hexdigest()
        assert images.read(image_id) == png(number)
        assert images.open(image_id).tobytes() == tiny(number).tobytes()


def test_pictures_come_out_upright_and_over_white(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    clear = encoded(Image.new("RGBA", (9, 5), (0, 0, 0, 0)))
    (tmp_path / "images" / "clear.png").write_bytes(clear)
    images = reader(make_run(tmp_path / "run", {"kind": "folder", "path": str(tmp_path / "images")}))
    opened = images.open(hashlib.sha256(clear).hexdigest())
    assert (opened.mode, opened.getextrema()) == ("RGB", ((255, 255),) * 3)


@pytest.mark.parametrize("suffix", ["tar", "tar.gz"])
def test_pictures_inside_tar_files_open(tmp_path: Path, suffix: str) -> None:
    fill(tmp_path / "images", 6)
    with tarfile.open(tmp_path / f"shard.{suffix}", "w:gz" if suffix.endswith("gz") else "w") as tar:
        for path in sorted((tmp_path / "images").iterdir()):
            tar.add(path, path.name)
    run = make_run(tmp_path / "run", {"kind": "webdataset", "path": str(tmp_path / f"shard.{suffix}")}, flush_rows=2)
    images = reader(run)
    for number in range(6):
        assert images.read(hashlib.sha256(png(number)).hexdigest()) == png(number)
    copied = list((run.store.root / "ingest").glob("*.blob"))
    assert len(copied) == (3 if suffix == "tar.gz" else 0)  # a plain tar file is read in place


def test_pictures_of_parquet_files_open(tmp_path: Path) -> None:
    rows = [{"image": {"bytes": png(number), "path": None}} for number in range(6)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "shard.parquet")
    images = reader(make_run(tmp_path / "run", {"kind": "dataset", "path": str(tmp_path / "shard.parquet")}, 4))
    for number in range(6):
        assert images.read(hashlib.sha256(png(number)).hexdigest()) == png(number)


def test_a_file_that_changed_since_ingest_is_an_error(tmp_path: Path) -> None:
    folder = fill(tmp_path / "images", 2)
    images = reader(make_run(tmp_path / "run", {"kind": "folder", "path": str(folder)}))
    (folder / "0000.png").write_bytes(png(7))
    with pytest.raises(OSError, match="changed since ingest"):
        images.open(hashlib.sha256(png(0)).hexdigest())
    (folder / "0001.png").unlink()
    with pytest.raises(OSError, match=r"0001\.png"):
        images.open(hashlib.sha256(png(1)).hexdigest())


def test_an_unknown_id_is_an_error(tmp_path: Path) -> None:
    images = reader(make_run(tmp_path / "run", {"kind": "folder", "path": str(fill(tmp_path / "images", 2))}))
    for image_id in ("0" * 64, "f" * 64):
        with pytest.raises(OSError, match="not in"):
            images.open(image_id)


def test_threads_share_a_reader_and_processes_may_be_sent_one(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", {"kind": "folder", "path": str(fill(tmp_path / "images", 40))})
    images = pickle.loads(pickle.dumps(reader(run)))
    ids = [row["image_id"] for row in catalog(run)] * 5
    with ThreadPoolExecutor(8) as pool:
        for image_id, data in zip(ids, pool.map(images.read, ids), strict=True):
            assert hashlib.sha256(data).hexdigest() == image_id
