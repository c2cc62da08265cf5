"""Every image is read once, every failure is a row, and the catalog is what the source has now."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from cirgen.errors import UserError
from cirgen.executors.local import LocalReader
from cirgen.recipe import Export
from cirgen.resources import local_path
from cirgen.run_folder import Run
from cirgen.schemas import CATALOG, INGEST
from cirgen.sources.base import Item
from cirgen.sources.folder import Folder
from cirgen.stages import ingest as stage
from cirgen.stages.catalog import split_of
from cirgen.stages.ingest import ingest
from ingest_runs import catalog, encoded, fill, make_run, png, stored, tiny


def folder_run(tmp_path: Path, count: int = 6, flush_rows: int = 1_000) -> Run:
    images = fill(tmp_path / "images", count)
    return make_run(tmp_path / "run", {"kind": "folder", "path": str(images)}, flush_rows)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the items that were read, in any order."""
    names: list[str] = []
    original = Folder.items

    def counted(item: Item) -> Item:
        def read() -> bytes:
            names.append(item.source_id)
            return item.read()

        return replace(item, read=read)

    monkeypatch.setattr(Folder, "items", lambda self: map(counted, original(self)))
    return names


def test_one_row_per_image_and_one_per_unique_picture(tmp_path: Path) -> None:
    run = folder_run(tmp_path)
    (tmp_path / "images" / "again.bmp").write_bytes(encoded(tiny(3), "BMP"))
    ingest(run)
    assert len(stored(run)) == 7
    rows = catalog(run)
    assert len(rows) == 6
    assert [row["image_id"] for row in rows] == sorted(row["image_id"] for row in rows)
    merged = next(row for row in rows if len(row["aliases"]) == 2)
    assert [alias["source_id"] for alias in merged["aliases"]] == ["0003.png", "again.bmp"]
    files = png(3), encoded(tiny(3), "BMP")
    assert merged["image_id"] == min(hashlib.sha256(data).hexdigest() for data in files)


def test_tables_have_the_promised_schemas(tmp_path: Path) -> None:
    run = folder_run(tmp_path)
    ingest(run)
    assert pq.read_schema(run.catalog) == CATALOG
    assert pq.read_schema(run.store.shards("ingest")[0]) == INGEST


def test_resume_reads_nothing_twice(tmp_path: Path, reads: list[str]) -> None:
    run = folder_run(tmp_path, flush_rows=2)
    ingest(run)
    assert sorted(reads) == [f"{number:04d}.png" for number in range(6)]
    before = run.catalog.read_bytes()
    ingest(run)
    assert len(reads) == 6
    assert run.catalog.read_bytes() == before
    fill(tmp_path / "images", 2, start=6)
    ingest(run)
    assert sorted(reads)[6:] == ["0006.png", "0007.png"]


def test_each_file_is_opened_once_by_the_operating_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    original = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda self: opened.append(self.name) or original(self))
    ingest(folder_run(tmp_path))
    assert sorted(opened) == [f"{number:04d}.png" for number in range(6)]


def test_a_changed_file_is_read_again_and_its_old_picture_leaves(tmp_path: Path, reads: list[str]) -> None:
    run = folder_run(tmp_path)
    ingest(run)
    (tmp_path / "images" / "0000.png").write_bytes(png(50))
    ingest(run)
    assert sorted(reads)[:2] == ["0000.png", "0000.png"]
    ids = {row["image_id"] for row in catalog(run)}
    assert hashlib.sha256(png(50)).hexdigest() in ids
    assert hashlib.sha256(png(0)).hexdigest() not in ids


def test_a_deleted_file_leaves_the_catalog_and_comes_back_unread(tmp_path: Path, reads: list[str]) -> None:
    run = folder_run(tmp_path)
    ingest(run)
    before = run.catalog.read_bytes()
    away = (tmp_path / "images" / "0002.png").rename(tmp_path / "away.png")
    ingest(run)
    assert len(catalog(run)) == 5
    away.rename(tmp_path / "images" / "0002.png")
    ingest(run)
    assert run.catalog.read_bytes() == before
    assert len(reads) == 6


def test_limit_takes_the_first_items(tmp_path: Path, reads: list[str]) -> None:
    run = folder_run(tmp_path)
    run.limit = 4
    ingest(run)
    assert len(catalog(run)) == 4
    assert sorted(reads) == ["0000.png", "0001.png", "0002.png", "0003.png"]
    run.limit = None
    ingest(run)
    assert len(catalog(run)) == 6
    assert len(reads) == 6


def test_what_the_recipe_says_of_the_images_may_change_without_reading_them(tmp_path: Path, reads: list[str]) -> None:
    ingest(folder_run(tmp_path))
    run = make_run(
        tmp_path / "run", {"kind": "folder", "path": str(tmp_path / "images"), "license": "CC0-1.0", "category": "toy"}
    )
    ingest(run)
    assert len(reads) == 6
    assert {row["category"] for row in catalog(run)} == {"toy"}
    assert {row["aliases"][0]["license"] for row in catalog(run)} == {"CC0-1.0"}


def test_a_moved_folder_is_found_where_it_is_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "one" / "images", 3)
    (tmp_path / "two").mkdir()
    run = make_run(tmp_path / "run", {"kind": "folder", "path": "images"})
    monkeypatch.chdir(tmp_path / "one")
    ingest(run)
    (tmp_path / "one" / "images").rename(tmp_path / "two" / "images")
    monkeypatch.chdir(tmp_path / "two")
    ingest(run)
    assert all(Path(row["path"]).is_file() for row in catalog(run))
    assert len(stored(run)) == 3


BROKEN = {
    "empty.png": (b"", "the file is empty"),
    "text.jpg": (b"no picture", "no picture format that can be decoded"),
    "cut.png": (png(1)[:100], "broken picture"),
    "phone.heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "no picture format that can be decoded"),
}


def test_every_broken_file_is_a_row_with_its_reason(tmp_path: Path) -> None:
    run = folder_run(tmp_path)
    for name, (data, _) in BROKEN.items():
        (tmp_path / "images" / name).write_bytes(data)
    ingest(run)
    failed = {row["alias"]["source_id"]: row for row in stored(run) if row["status"] != "ok"}
    assert set(failed) == set(BROKEN)
    for name, (_, reason) in BROKEN.items():
        assert failed[name]["status"] == "image_error"
        assert failed[name]["error"].startswith(reason)
    assert len(catalog(run)) == 6


def test_broken_files_are_tried_again_only_when_asked(tmp_path: Path, reads: list[str]) -> None:
    run = folder_run(tmp_path)
    (tmp_path / "images" / "text.jpg").write_bytes(b"no picture")
    ingest(run)
    ingest(run)
    assert reads.count("text.jpg") == 1
    run.retry = ("image_error",)
    ingest(run)
    assert reads.count("text.jpg") == 2
    assert sorted(row["attempt"] for row in stored(run) if row["status"] != "ok") == [0, 1]


def test_a_file_that_cannot_be_read_is_tried_again_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = folder_run(tmp_path)
    original = Folder.items

    def failing(self: Folder) -> Iterator[Item]:
        for item in original(self):
            yield replace(item, read=_refuse) if item.source_id == "0001.png" else item

    monkeypatch.setattr(Folder, "items", failing)
    ingest(run)
    assert run.store.statuses("ingest") == {"engine_error": 1, "ok": 5}
    monkeypatch.undo()
    ingest(run)
    assert run.store.statuses("ingest", run.ingest_plan) == {"ok": 6}
    assert len(catalog(run)) == 6


def _refuse() -> bytes:
    raise OSError("the disk is away")


def test_a_folder_without_one_picture_that_opens_is_the_users_error(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for name, (data, _) in BROKEN.items():
        (tmp_path / "images" / name).write_bytes(data)
    run = make_run(tmp_path / "run", {"kind": "folder", "path": str(tmp_path / "images")})
    with pytest.raises(UserError, match=r"None of the 4 images .* 'cut\.png', fails with 'broken picture"):
        ingest(run)


@pytest.mark.parametrize("seed", range(3))
def test_the_order_in_which_reading_ends_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    run = folder_run(tmp_path, 30)
    ingest(run)
    original, dice = Folder.items, random.Random(seed)

    def slow(item: Item) -> Item:
        pause = dice.random() / 100
        return replace(item, read=lambda: (time.sleep(pause), item.read())[1])

    def shuffled(self: Folder) -> Iterator[Item]:
        items = [slow(item) for item in original(self)]
        dice.shuffle(items)
        return iter(items)

    monkeypatch.setattr(Folder, "items", shuffled)
    again = make_run(tmp_path / "again", {"kind": "folder", "path": str(tmp_path / "images")}, flush_rows=7)
    ingest(again)
    assert catalog(again) == catalog(run)


def test_no_more_images_wait_in_memory_than_the_queue_is_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, listed, committed = folder_run(tmp_path, 100), [0], [0]
    original, write = Folder.items, stage.IngestWriter.write_image
    lead: list[int] = []

    def counted(self: Folder) -> Iterator[Item]:
        for item in original(self):
            listed[0] += 1
            lead.append(listed[0] - committed[0])
            yield item

    def written(self: stage.IngestWriter, row: dict[str, Any], data: bytes) -> None:
        committed[0] += 1
        write(self, row, data)

    monkeypatch.setattr(Folder, "items", counted)
    monkeypatch.setattr(stage.IngestWriter, "write_image", written)
    ingest(run)
    assert max(lead) <= LocalReader.most + 1


def test_an_error_in_the_source_keeps_what_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = folder_run(tmp_path, 60)
    original = Folder.items

    def broken(self: Folder) -> Iterator[Item]:
        yield from list(original(self))[:50]
        raise UserError("The rest is missing; fetch it again.")

    monkeypatch.setattr(Folder, "items", broken)
    with pytest.raises(UserError, match="fetch it again"):
        ingest(run)
    assert not run.catalog.exists()
    assert len(stored(run)) >= 50 - LocalReader.most
    assert threading.active_count() < 20


# Splits and groups


def test_near_duplicates_share_a_group_and_a_split_but_stay_two_pictures(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for number, path in enumerate(sorted(local_path("cirgen:images").iterdir())[:30]):
        (folder / f"{number}.png").write_bytes(path.read_bytes())
        small = Image.open(path).convert("RGB").resize((128, 128))
        (folder / f"{number}.jpg").write_bytes(encoded(small, "JPEG", quality=75))
    run = make_run(tmp_path / "run", {"kind": "folder", "path": str(folder)}, validation=0.2, test=0.3)
    ingest(run)
    rows = catalog(run)
    assert len(rows) == 60
    by_number: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_number.setdefault(row["aliases"][0]["source_id"].partition(".")[0], []).append(row)
    for pair in by_number.values():
        assert pair[0]["group"] == pair[1]["group"] == min(row["image_id"] for row in pair)
        assert pair[0]["split"] == pair[1]["split"]
    assert len({row["group"] for row in rows}) == 30
    assert {row["split"] for row in rows} == {"train", "validation", "test"}


def test_splits_have_their_shares_and_do_not_depend_on_other_images() -> None:
    shares = Export(validation=0.1, test=0.2)
    splits = [split_of(f"{number:064x}", 0, shares) for number in range(5_000)]
    assert abs(splits.count("test") / 5_000 - 0.2) < 0.02
    assert abs(splits.count("validation") / 5_000 - 0.1) < 0.02
    assert set(splits) == {"train", "validation", "test"}
    assert {split_of(f"{n:064x}", 0, Export(validation=0, test=0)) for n in range(100)} == {"train"}
    assert splits != [split_of(f"{number:064x}", 1, shares) for number in range(5_000)]


# Kills

CHILD = """
import sys, time
from pathlib import Path
from ingest_runs import make_run
from cirgen.stages import ingest as stage
run = make_run(Path(sys.argv[1]), {"kind": "dataset", "path": sys.argv[2]}, flush_rows=3)
original = stage.IngestWriter.write_image
def slow(self, row, data):
    time.sleep(0.004)
    original(self, row, data)
stage.IngestWriter.write_image = slow
stage.ingest(run)
"""


def check_blobs(run: Run) -> int:
    rows = [row for row in stored(run) if row["status"] == "ok"]
    for row in rows:
        with (run.store.root / "ingest" / row["blob"]).open("rb") as blob:
            blob.seek(row["offset"])
            assert hashlib.sha256(blob.read(row["length"])).hexdigest() == row["image_id"]
    return len(rows)


def test_whatever_is_killed_when_every_committed_row_has_its_bytes(tmp_path: Path) -> None:
    count, dice = 60, random.Random(0)
    shard = tmp_path / "shard.parquet"
    rows = [{"image": {"bytes": png(number), "path": None}} for number in range(count)]
    pq.write_table(pa.Table.from_pylist(rows), shard, row_group_size=16)
    run = make_run(tmp_path / "killed", {"kind": "dataset", "path": str(shard)}, flush_rows=3)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    seen = []
    for _ in range(3):
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(run.folder), str(shard)], env=environment)
        goal = len(run.store.shards("ingest")) + dice.randint(2, 5)
        while len(run.store.shards("ingest")) < goal and child.poll() is None:
            time.sleep(0.002)
        child.send_signal(signal.SIGKILL)
        child.wait()
        seen.append(check_blobs(run))
    assert 0 < seen[0] < seen[1] < seen[2] < count
    run.store.remove_leftovers()
    ingest(run)
    assert check_blobs(run) == count
    undisturbed = make_run(tmp_path / "undisturbed", {"kind": "dataset", "path": str(shard)})
    ingest(undisturbed)
    place = ("blob", "offset")
    strip = [[{k: v for k, v in row.items() if k not in place} for row in catalog(r)] for r in (run, undisturbed)]
    assert strip[0] == strip[1]


def test_a_shard_is_committed_only_after_its_blob(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cirgen import store

    shard, order = tmp_path / "shard.parquet", []
    rows = [{"image": {"bytes": png(number), "path": None}} for number in range(8)]
    pq.write_table(pa.Table.from_pylist(rows), shard)
    run = make_run(tmp_path / "run", {"kind": "dataset", "path": str(shard)}, flush_rows=3)
    original = store.write_rows

    def checked(path: Path, *rest: Any) -> int:
        blob = path.with_suffix(".blob")
        order.append(blob.stat().st_size)
        assert all(row["blob"] == blob.name for row in rest[0])
        return original(path, *rest)

    monkeypatch.setattr(store, "write_rows", checked)
    ingest(run)
    sizes = [len(png(number)) for number in range(8)]
    assert order == [sum(sizes[:3]), sum(sizes[3:6]), sum(sizes[6:])]


def test_a_picture_too_large_to_open_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cirgen import pictures

    run = folder_run(tmp_path)
    (tmp_path / "images" / "big.png").write_bytes(encoded(Image.new("RGB", (64, 64))))
    monkeypatch.setattr(pictures, "MAX_PIXELS", 64 * 63)
    ingest(run)
    failed = [row for row in stored(run) if row["status"] == "image_error"]
    assert [row["error"] for row in failed] == ["64 x 64 pixels are more than the limit of 4032"]
