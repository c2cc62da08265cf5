"""Images on object storage, taken in from a real S3 server on loopback."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

pytest.importorskip("s3fs", reason="s3fs is not installed: pip install 'cirgen[s3]'")
pytest.importorskip("moto.server", reason="the S3 server of the tests is not installed: pip install 'cirgen[dev]'")

from buckets import BUCKET, Bucket, bucket_server
from cirgen.errors import UserError
from cirgen.images import RunImages
from cirgen.run_folder import Run
from cirgen.stages.ingest import ingest
from ingest_runs import make_run


def png(number: int) -> bytes:
    file = io.BytesIO()
    Image.radial_gradient("L").resize((40 + 5 * number, 60)).rotate(20 * number).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    with bucket_server(monkeypatch) as made:
        yield made


def folder_of(bucket: Bucket, tmp_path: Path, prefix: str = "shoes") -> Run:
    return make_run(tmp_path, {"kind": "folder", "path": f"s3://{BUCKET}/{prefix}"})


def rows_of(run: Run) -> list[dict[str, Any]]:
    return list(pq.read_table(run.catalog).to_pylist())


def test_a_folder_of_a_bucket_is_taken_in_and_its_pictures_stay_where_they_are(bucket: Bucket, tmp_path: Path) -> None:
    pictures = {f"shoes/{number}.png": png(number) for number in range(5)}
    for key, data in {**pictures, "shoes/notes.txt": b"no picture", "shoes/.hidden/9.png": png(9)}.items():
        bucket.put(key, data)
    run = folder_of(bucket, tmp_path)
    ingest(run)
    rows = rows_of(run)
    assert {row["aliases"][0]["source_id"] for row in rows} == {f"{number}.png" for number in range(5)}
    assert {row["path"] for row in rows} == {f"s3://{BUCKET}/{key}" for key in pictures}
    assert not list((run.store.root / "ingest").glob("*.blob"))
    images = RunImages(run.catalog, run.store.root / "ingest")
    assert {images.read(row["image_id"]) for row in rows} == set(pictures.values())


def test_a_resumed_run_reads_new_and_changed_objects_alone(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        bucket.put(f"shoes/{number}.png", png(number))
    ingest(folder_of(bucket, tmp_path))
    bucket.put("shoes/1.png", png(7))
    bucket.put("shoes/3.png", png(3))
    run = folder_of(bucket, tmp_path)
    ingest(run)
    assert sum(run.store.statuses("ingest").values()) == 5
    assert len(rows_of(run)) == 4


def test_an_object_that_changed_or_is_gone_is_an_error_that_names_it(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("shoes/0.png", png(0))
    bucket.put("shoes/1.png", png(1))
    run = folder_of(bucket, tmp_path)
    ingest(run)
    images = RunImages(run.catalog, run.store.root / "ingest")
    by_name = {row["aliases"][0]["source_id"]: row["image_id"] for row in rows_of(run)}
    bucket.put("shoes/0.png", png(8)[:-1] + b"x")
    bucket.remove("shoes/1.png")
    for name in ("0.png", "1.png"):
        with pytest.raises(OSError, match=f"shoes/{name}"):
            images.read(by_name[name])


def shard(numbers: range, compressed: bool = False) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for number in numbers:
            for name, data in ((f"{number:03d}.png", png(number)), (f"{number:03d}.txt", b"a gradient")):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return gzip.compress(file.getvalue()) if compressed else file.getvalue()


@pytest.mark.parametrize("path", ["shards", "shards/*.tar*", "shards/{0,1}.tar"])
def test_tar_files_of_a_bucket_are_read_where_they_lie(bucket: Bucket, tmp_path: Path, path: str) -> None:
    bucket.put("shards/0.tar", shard(range(4)))
    bucket.put("shards/1.tar", shard(range(4, 8)))
    bucket.put("shards/notes.txt", b"no tar file")
    if "{" in path:
        path = "shards/[01].tar"
    run = make_run(tmp_path, {"kind": "webdataset", "path": f"s3://{BUCKET}/{path}"})
    ingest(run)
    rows = rows_of(run)
    assert len(rows) == 8
    assert {row["caption"] for row in rows} == {"a gradient"}
    assert {row["path"] for row in rows} == {f"s3://{BUCKET}/shards/{number}.tar" for number in range(2)}
    images = RunImages(run.catalog, run.store.root / "ingest")
    assert {images.read(row["image_id"]) for row in rows} == {png(number) for number in range(8)}


def test_compressed_tar_files_of_a_bucket_are_copied_into_the_run(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("shards/0.tar.gz", shard(range(3), compressed=True))
    run = make_run(tmp_path, {"kind": "webdataset", "path": f"s3://{BUCKET}/shards/0.tar.gz"})
    ingest(run)
    assert len(rows_of(run)) == 3
    assert {row["path"] for row in rows_of(run)} == {""}
    images = RunImages(run.catalog, run.store.root / "ingest")
    assert {images.read(row["image_id"]) for row in rows_of(run)} == {png(number) for number in range(3)}


@pytest.mark.parametrize("table", ["photos.csv", "photos.jsonl", "photos.parquet"])
def test_a_manifest_of_a_bucket_names_objects_beside_it_or_anywhere(
    bucket: Bucket, tmp_path: Path, table: str
) -> None:
    bucket.put("shoes/one.png", png(1))
    bucket.put("more/deep/two.png", png(2))
    rows = [
        {"path": "shoes/one.png", "caption": "a shoe"},
        {"path": f"s3://{BUCKET}/more/deep/two.png", "caption": "another"},
        {"path": "shoes/missing.png", "caption": "nothing"},
    ]
    if table.endswith("csv"):
        data = "path,caption\n" + "".join(f"{row['path']},{row['caption']}\n" for row in rows)
        bucket.put(table, data.encode())
    elif table.endswith("jsonl"):
        bucket.put(table, "".join(json.dumps(row) + "\n" for row in rows).encode())
    else:
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / table)
        bucket.put(table, (tmp_path / table).read_bytes())
    run = make_run(tmp_path, {"kind": "manifest", "path": f"s3://{BUCKET}/{table}"})
    ingest(run)
    assert {(row["caption"], row["path"]) for row in rows_of(run)} == {
        ("a shoe", f"s3://{BUCKET}/shoes/one.png"),
        ("another", f"s3://{BUCKET}/more/deep/two.png"),
    }
    assert run.store.statuses("ingest") == {"ok": 2, "engine_error": 1}


def test_a_local_manifest_names_objects_by_their_urls(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("shoes/one.png", png(1))
    (tmp_path / "photos.csv").write_text(f"path\ns3://{BUCKET}/shoes/one.png\n", encoding="utf8")
    run = make_run(tmp_path, {"kind": "manifest", "path": str(tmp_path / "photos.csv")})
    ingest(run)
    assert [row["path"] for row in rows_of(run)] == [f"s3://{BUCKET}/shoes/one.png"]


@pytest.mark.parametrize("path", [f"s3://{BUCKET}/nothing", "s3://no-such-bucket/shoes"])
def test_what_is_not_there_is_one_sentence_that_names_the_address(bucket: Bucket, tmp_path: Path, path: str) -> None:
    with pytest.raises(UserError, match=path):
        ingest(make_run(tmp_path, {"kind": "folder", "path": path}))


def test_storage_without_its_library_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="pip install gcsfs"):
        ingest(make_run(tmp_path, {"kind": "folder", "path": "gs://photos/shoes"}))
