"""Folders, manifests and tar files yield what lies in them, under names that do not move."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cirgen.errors import UserError
from cirgen.sources.folder import files_under
from cirgen.stages.ingest import ingest
from ingest_runs import catalog, fill, identities, make_run, names, png, source, stored

# Folder


def test_a_folder_is_searched_recursively_in_order_of_names(tmp_path: Path) -> None:
    for name in ("b/2.JPG", "b/1.png", "a.webp", "b/c/3.tiff"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(png(0))
    (tmp_path / "notes.txt").write_text("no picture")
    assert names(kind="folder", path=str(tmp_path)) == ["a.webp", "b/1.png", "b/2.JPG", "b/c/3.tiff"]
    assert source(kind="folder", path=str(tmp_path)).count() == 4


def test_hidden_files_and_folders_are_left_out(tmp_path: Path) -> None:
    fill(tmp_path / ".cache", 2)
    fill(tmp_path, 1)
    (tmp_path / "._0000.png").write_bytes(b"\0")
    assert names(kind="folder", path=str(tmp_path)) == ["0000.png"]


def test_links_are_followed_and_loops_end(tmp_path: Path) -> None:
    fill(tmp_path / "elsewhere", 2)
    fill(tmp_path / "images" / "deep", 1)
    (tmp_path / "images" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "images" / "deep" / "loop").symlink_to(tmp_path / "images")
    (tmp_path / "images" / "one.png").symlink_to(tmp_path / "elsewhere" / "0001.png")
    (tmp_path / "images" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    found = names(kind="folder", path=str(tmp_path / "images"))
    assert found == ["deep/0000.png", "link/0000.png", "link/0001.png", "one.png"]


def test_pictures_that_cannot_be_decoded_here_are_still_listed(tmp_path: Path) -> None:
    (tmp_path / "phone.HEIC").write_bytes(b"x")
    (tmp_path / "scan.pdf").write_bytes(b"x")
    assert names(kind="folder", path=str(tmp_path)) == ["phone.HEIC"]


@pytest.mark.parametrize("make", [False, True])
def test_a_missing_or_empty_folder_is_the_users_error(tmp_path: Path, make: bool) -> None:
    if make:
        (tmp_path / "images").mkdir()
    with pytest.raises(UserError, match=r"images\.path"):
        names(kind="folder", path=str(tmp_path / "images"))


def test_the_identity_of_a_file_does_not_depend_on_what_lies_beside_it(tmp_path: Path) -> None:
    fill(tmp_path, 3, start=5)
    before = identities(list(source(kind="folder", path=str(tmp_path)).items()))
    fill(tmp_path, 3)
    assert before < identities(list(source(kind="folder", path=str(tmp_path)).items()))
    os.utime(tmp_path / "0005.png", (0, 0))
    assert len(before - identities(list(source(kind="folder", path=str(tmp_path)).items()))) == 1


# Manifest

ROWS = [
    {"path": "images/0000.png", "license": "CC0-1.0", "author": "Ada", "caption": 'a "red", hat', "extra": 1},
    {"path": "images/0001.png", "category": "shirt", "url": "https://example.org/1"},
]


def write_manifest(path: Path, rows: list[dict[str, Any]]) -> Path:
    import csv

    if path.suffix in (".csv", ".tsv"):
        with path.open("w", newline="", encoding="utf-8-sig") as file:
            columns = list(dict.fromkeys(name for row in rows for name in row))
            writer = csv.DictWriter(file, columns, delimiter="," if path.suffix == ".csv" else "\t")
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text("\n\n".join(map(json.dumps, rows)))
    return path


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_a_manifest_says_what_is_known_of_each_image(tmp_path: Path, suffix: str) -> None:
    fill(tmp_path / "images", 2)
    rows = [{**dict.fromkeys(("path", "license", "author", "caption", "category", "url")), **row} for row in ROWS]
    path = write_manifest(tmp_path / f"images{suffix}", rows)
    run = make_run(tmp_path / "run", {"kind": "manifest", "path": str(path), "license": "CC-BY-4.0"})
    ingest(run)
    found = {row["aliases"][0]["source_id"]: row for row in catalog(run)}
    first, second = found["images/0000.png"], found["images/0001.png"]
    assert first["caption"] == 'a "red", hat'
    assert (first["aliases"][0]["license"], first["aliases"][0]["author"]) == ("CC0-1.0", "Ada")
    assert (second["category"], second["aliases"][0]["license"]) == ("shirt", "CC-BY-4.0")
    assert second["aliases"][0]["url"] == "https://example.org/1"


def test_a_file_that_a_manifest_names_in_vain_is_a_row_until_it_is_there(tmp_path: Path) -> None:
    fill(tmp_path / "images", 1)
    path = write_manifest(tmp_path / "images.csv", ROWS)
    run = make_run(tmp_path / "run", {"kind": "manifest", "path": str(path)})
    ingest(run)
    failed = next(row for row in stored(run) if row["status"] != "ok")
    assert "No such file" in failed["error"]
    fill(tmp_path / "images", 2)
    ingest(run)
    assert len(catalog(run)) == 2


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("a.csv", "path,license\n,CC0\n", "line 2"),
        ("a.csv", "file\nx.png\n", "'path' is empty or missing"),
        ("a.csv", "", "names no image"),
        ("a.jsonl", '{"path": "x.png"}\n{"path": \n', "line 2 is no JSON"),
        ("a.jsonl", '["x.png"]\n', "no JSON object"),
        ("a.xlsx", "x", "ends in .csv"),
        ("a.parquet", "x", "cannot be read"),
    ],
)
def test_mistakes_in_a_manifest_are_named(tmp_path: Path, name: str, text: str, reason: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=reason):
        names(kind="manifest", path=str(tmp_path / name))


def test_a_missing_manifest_is_the_users_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no manifest"):
        names(kind="manifest", path=str(tmp_path / "none.csv"))


# WebDataset


def write_tar(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


SAMPLES = {
    "000/a.json": json.dumps({"caption": "from json", "license": "CC0-1.0", "author": None, "other": [1]}).encode(),
    "000/a.png": png(0),
    "000/b.png": png(1),
    "000/b.txt": b"a red hat\n",
    "000/b.json": b'{"caption": "from json", "category": "hat"}',
    "000/c.jpg": b"broken",
    "000/d.cls": b"3",
}


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_files_beside_an_image_in_a_tar_file_say_what_it_is(tmp_path: Path, mode: str) -> None:
    path = write_tar(tmp_path / "shard.tar", SAMPLES, mode)
    items = list(source(kind="webdataset", path=str(path), author="Eve").items())
    assert [item.source_id for item in items] == [f"shard.tar/000/{name}" for name in ("a.png", "b.png", "c.jpg")]
    assert [item.caption for item in items] == ["from json", "a red hat", ""]
    assert [item.license for item in items] == ["CC0-1.0", "", ""]
    assert [item.author for item in items] == ["Eve"] * 3
    assert [item.category for item in items] == ["", "hat", ""]
    assert [item.read() for item in items] == [png(0), png(1), b"broken"]


def test_the_identity_of_a_member_is_its_place_in_its_own_tar_file(tmp_path: Path) -> None:
    write_tar(tmp_path / "2.tar", {f"{n}.png": png(n) for n in range(3)})
    before = identities(list(source(kind="webdataset", path=str(tmp_path)).items()))
    write_tar(tmp_path / "1.tar", {f"{n}.png": png(n) for n in range(3, 6)})
    after = list(source(kind="webdataset", path=str(tmp_path)).items())
    assert [item.source_id for item in after[:2]] == ["1.tar/3.png", "1.tar/4.png"]
    assert before < identities(after)


def test_shards_are_found_by_glob_and_by_folder(tmp_path: Path) -> None:
    for name in ("a/1.tar", "a/2.tar", "b/3.tar"):
        write_tar(tmp_path / name, {f"{Path(name).stem}.png": png(0)})
    for pattern, count in (("a/*.tar", 2), ("*/*.tar", 3), ("**/*.tar", 3), ("a/[2-9].tar", 1), ("", 3)):
        found = names(kind="webdataset", path=str(tmp_path / pattern))
        assert len(found) == count
    assert names(kind="webdataset", path=str(tmp_path / "a/*.tar"))[0] == "1.tar/1.png"


def test_some_parts_of_a_collection_can_be_taken_alone_by_file_or_folder(tmp_path: Path) -> None:
    for number, name in enumerate(("part_0.tar", "part_32.tar.gz", "part_64/0.tar", "part_64/1.tar", "part_6/0.tar")):
        write_tar(tmp_path / name, {f"{number}.png": png(number)}, "w:gz" if name.endswith("gz") else "w")
    parts = ["part_64", "part_0"]
    taken = ["part_0.tar/0.png", "part_64/0.tar/2.png", "part_64/1.tar/3.png"]
    assert names(kind="webdataset", path=str(tmp_path), parts=parts) == taken
    assert names(kind="webdataset", path=str(tmp_path / "**/*.tar"), parts=parts) == taken
    assert names(kind="webdataset", path=str(tmp_path), parts=["part_32"]) == ["part_32.tar.gz/1.png"]
    with pytest.raises(UserError, match=r"No tar file under .* is of 64, part_7; name in images\.parts what is there"):
        names(kind="webdataset", path=str(tmp_path), parts=["part_0", "part_7", "64"])


def test_masks_beside_the_images_can_be_left_out(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "s.tar", {"a.jpg": png(0), "a.seg.png": png(1), "b.JPG": png(2)})
    assert len(names(kind="webdataset", path=str(path))) == 3
    assert names(kind="webdataset", path=str(path), extensions=["jpg"]) == ["s.tar/a.jpg", "s.tar/b.jpg"]


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_damaged_tar_file_is_named(tmp_path: Path, mode: str) -> None:
    path = write_tar(tmp_path / "shard.tar", {f"{n}.png": os.urandom(4_000) for n in range(20)}, mode)
    path.write_bytes(path.read_bytes()[:30_000])
    with pytest.raises(UserError, match=r"shard\.tar is no whole tar file"):
        names(kind="webdataset", path=str(path))


@pytest.mark.parametrize(
    ("members", "reason"),
    [({"a.txt": b"x"}, "No image lies in"), ({"a.png": b"x", "a.json": b"{"}, r"a\.json is no JSON")],
)
def test_mistakes_in_tar_files_are_named(tmp_path: Path, members: dict[str, bytes], reason: str) -> None:
    path = write_tar(tmp_path / "shard.tar", members)
    with pytest.raises(UserError, match=reason):
        names(kind="webdataset", path=str(path))


def test_no_tar_file_at_all_is_the_users_error(tmp_path: Path) -> None:
    for path in ("none.tar", "*.tar", ""):
        with pytest.raises(UserError, match="No tar file matches"):
            names(kind="webdataset", path=str(tmp_path / path))


def test_a_folder_that_cannot_be_looked_into_is_named(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    (tmp_path / "a.png").write_bytes(png(1))
    closed: list[OSError] = []
    found = files_under(tmp_path, closed.append)
    assert next(found).name == "a.png"
    (tmp_path / "gone").rmdir()
    assert list(found) == []
    assert [error.filename for error in closed] == [str(tmp_path / "gone")]
