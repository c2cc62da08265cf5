"""One strange name or cell costs its own row at most; a table that is wrong as a whole is refused by name."""

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
from hypothesis import example, given
from hypothesis import strategies as st

from cirgen.errors import UserError
from cirgen.images import RunImages
from cirgen.keys import digest
from cirgen.run_folder import Run
from cirgen.sources.base import utf8_text
from cirgen.sources.parquet import cell_text
from cirgen.stages.ingest import ingest, item_key
from ingest_runs import catalog, fill, make_run, names, png, source, stored


@given(st.binary(min_size=1))
@example(b"caf\xe9.png")
def test_a_file_name_of_any_bytes_is_shown_with_escapes(name: bytes) -> None:
    assert utf8_text(os.fsdecode(name)) == name.decode("utf8", "backslashreplace")


@given(st.text(st.characters()))
def test_any_text_can_be_stored_and_hashed_and_plain_text_stays_as_it_is(text: str) -> None:
    shown = utf8_text(text)
    pa.array([shown], pa.string())
    digest(shown)
    assert shown == text or not text.isprintable()


CELLS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.binary() | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=4,
)


@given(CELLS)
def test_any_cell_has_a_text(cell: Any) -> None:
    assert isinstance(cell_text(cell), str)
    assert cell_text(float("nan")) == ""


def statuses(run: Run) -> dict[str, str]:
    return {row["alias"]["source_id"]: row["status"] for row in stored(run)}


def errors(run: Run) -> dict[str, str]:
    return {row["alias"]["source_id"]: row["error"] for row in stored(run) if row["status"] != "ok"}


def test_a_file_whose_name_is_not_utf8_is_an_image_like_any_other(tmp_path: Path) -> None:
    folder = fill(tmp_path / "images", 1)
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.png")).write_bytes(png(1))
    run = make_run(tmp_path / "run", {"kind": "folder", "path": str(folder)})
    ingest(run)
    assert statuses(run) == {"0000.png": "ok", "caf\\xe9.png": "ok"}
    images = RunImages(run.catalog, run.store.root / "ingest")
    read = {row["aliases"][0]["source_id"]: images.read(row["image_id"]) for row in catalog(run)}
    assert read == {"0000.png": png(0), "caf\\xe9.png": png(1)}
    before = run.catalog.read_bytes()
    ingest(run)
    assert run.catalog.read_bytes() == before
    assert len(stored(run)) == 2


def test_a_folder_whose_name_is_not_utf8_can_hold_shards(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    folder.mkdir()
    with tarfile.open(folder / "a.tar", "w") as tar:
        _add(tar, "1.png", png(1))
    run = make_run(tmp_path / "run", {"kind": "webdataset", "path": f"{tmp_path}/caf*/a.tar"})
    ingest(run)
    assert list(statuses(run).values()) == ["ok"]


def test_one_bad_row_of_a_manifest_costs_that_row_alone(tmp_path: Path) -> None:
    fill(tmp_path / "images", 2)
    os.mkfifo(tmp_path / "pipe.png")
    rows: list[dict[str, Any]] = [
        {"path": "images/0000.png", "author": "\ud800", "caption": "\udce9"},
        {"path": "x" * 300 + ".png"},
        {"path": "images/0000.png/x.png"},
        {"path": "a\0b.png"},
        {"path": "\ud800.png"},
        {"path": "images"},
        {"path": "pipe.png"},
        {"path": "none.png"},
        {"path": "images/0001.png", "category": ["hat"], "license": None, "url": {"a": 1}},
    ]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, rows)))
    run = make_run(tmp_path / "run", {"kind": "manifest", "path": str(tmp_path / "m.jsonl")})
    ingest(run)
    assert statuses(run) == {
        "images/0000.png": "ok",
        "x" * 300 + ".png": "image_error",
        "images/0000.png/x.png": "engine_error",
        "a\0b.png": "image_error",
        "\\ud800.png": "image_error",
        "images": "engine_error",
        "pipe.png": "engine_error",
        "none.png": "engine_error",
        "images/0001.png": "ok",
    }
    told = errors(run)
    assert all(reason.startswith("cannot be read: ") for reason in told.values())
    for name, reason in (
        ("x" * 300 + ".png", "File name too long"),
        ("images/0000.png/x.png", "Not a directory"),
        ("a\0b.png", "null byte"),
        ("pipe.png", "no regular file"),
    ):
        assert reason in told[name]
    first, second = sorted(catalog(run), key=lambda row: row["aliases"][0]["source_id"])
    assert (first["aliases"][0]["author"], first["caption"]) == ("\\ud800", "\\xe9")
    assert (second["category"], second["aliases"][0]["license"]) == ("hat", "")


def test_a_manifest_may_name_a_file_by_its_bytes(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png")).write_bytes(png(1))
    pq.write_table(pa.table({"path": [b"caf\xe9.png"]}), tmp_path / "m.parquet")
    (item,) = source(kind="manifest", path=str(tmp_path / "m.parquet")).items()
    assert (item.source_id, item.read()) == ("caf\\xe9.png", png(1))


def test_one_picture_named_in_many_ways_is_one_picture_with_all_its_names(tmp_path: Path) -> None:
    fill(tmp_path / "images", 2)
    ways = ["images/0000.png", "./images/0000.png", "images/../images/0000.png", str(tmp_path / "images/0000.png")]
    rows = [*ways, "images/0001.png", *ways]
    captions = [f"caption {number}" for number in range(len(rows))]
    lines = [json.dumps({"path": path, "caption": caption}) for path, caption in zip(rows, captions, strict=True)]
    found = []
    for number, order in enumerate((lines, lines[::-1])):
        (tmp_path / "m.jsonl").write_text("\n".join(order))
        run = make_run(tmp_path / f"run{number}", {"kind": "manifest", "path": str(tmp_path / "m.jsonl")})
        ingest(run)
        found.append(catalog(run))
    assert sorted(len(row["aliases"]) for row in found[0]) == [1, 4]
    assert found[0] == found[1], "the order of rows changes nothing, doubled ones with another caption included"


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"path": ["https://example.org/a.png"]}, r"line 1: 'https://example\.org/a\.png' is a URL, and cirgen reads"),
        ({"path": [["a.png"]]}, "line 1: 'path' is of type list"),
        ({"path": [1.5]}, "line 1: 'path' is of type float"),
        ({"path": [None]}, "line 1: 'path' is empty or missing"),
        ({"file": ["a.png"], "license": ["CC0-1.0"]}, "'path' is empty or missing, there is 'file', 'license'; call"),
    ],
)
@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_a_manifest_that_names_no_files_is_refused_by_name(
    tmp_path: Path, columns: dict[str, list[Any]], reason: str, suffix: str
) -> None:
    path = tmp_path / f"m{suffix}"
    if suffix == ".parquet":
        pq.write_table(pa.table(columns), path)
    else:
        path.write_text(json.dumps({name: values[0] for name, values in columns.items()}))
    with pytest.raises(UserError, match=reason):
        names(kind="manifest", path=str(path))


def test_an_unreadable_manifest_says_what_to_do(tmp_path: Path) -> None:
    whole = tmp_path / "whole.parquet"
    pq.write_table(pa.table({"path": [f"{n}.png" for n in range(5_000)]}), whole)
    damaged = bytearray(whole.read_bytes())
    damaged[4:400] = bytes(396)
    for name, data in {"text": b"path", "empty": b"", "cut": whole.read_bytes()[:-9], "hole": bytes(damaged)}.items():
        (tmp_path / f"{name}.parquet").write_bytes(data)
        with pytest.raises(UserError, match=r"cannot be read \(.*\); write it again\.$"):
            names(kind="manifest", path=str(tmp_path / f"{name}.parquet"))
    (tmp_path / "latin.csv").write_bytes(b"path\ncaf\xe9.png\n")
    with pytest.raises(UserError, match="write it again as UTF-8"):
        names(kind="manifest", path=str(tmp_path / "latin.csv"))
    (tmp_path / "deep.jsonl").write_text("[" * 100_000)
    with pytest.raises(UserError, match="line 1 is no JSON"):
        names(kind="manifest", path=str(tmp_path / "deep.jsonl"))


# Image columns


def test_cells_that_hold_no_image_are_rows_with_their_reasons(tmp_path: Path) -> None:
    cells = [
        {"bytes": png(0), "path": None},
        None,
        {"bytes": None, "path": None},
        {"bytes": b"no image", "path": "a.png"},
        {"bytes": None, "path": "https://example.org/a.png"},
        {"bytes": None, "path": "gone.png"},
        {"bytes": None, "path": "x" * 300},
        {"bytes": None, "path": "noprotocol://x"},
    ]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pq.write_table(pa.table({"image": pa.array(cells, kind)}), tmp_path / "t.parquet")
    run = make_run(tmp_path / "run", {"kind": "dataset", "path": str(tmp_path / "t.parquet")})
    ingest(run)
    told = errors(run)
    assert [told[f"t.parquet#{n}"].partition(" (")[0] for n in (1, 2)] == ["the file is empty"] * 2
    assert "no picture format" in told["t.parquet#3"]
    assert "is a URL, and cirgen reads files" in told["t.parquet#4"]
    assert "No such file" in told["t.parquet#5"]
    assert "File name too long" in told["t.parquet#6"]
    assert "cannot be read" in told["t.parquet#7"]
    assert [name for name, status in statuses(run).items() if status == "engine_error"] == [
        "t.parquet#5",
        "t.parquet#7",
    ]


@pytest.mark.parametrize(
    ("values", "kind"),
    [([1], "int64"), ([[1, 2]], "list<"), ([{"src": "a.png"}], "struct<src"), ([True], "bool")],
)
def test_a_column_that_can_hold_no_images_is_refused(tmp_path: Path, values: list[Any], kind: str) -> None:
    pq.write_table(pa.table({"image": values}), tmp_path / "t.parquet")
    with pytest.raises(UserError, match=rf"no images in its column 'image' \(type {kind}"):
        names(kind="dataset", path=str(tmp_path / "t.parquet"))


def test_a_saved_dataset_of_another_column_ends_in_one_sentence(tmp_path: Path) -> None:
    from datasets import Dataset

    Dataset.from_dict({"image": [1, 2], "url": ["https://example.org/1.png", None]}).save_to_disk(tmp_path / "saved")
    for column, reason in (("image", "holds a int"), ("url", "is a URL")):
        images = {"kind": "dataset", "path": str(tmp_path / "saved"), "image_column": column}
        with pytest.raises(UserError, match=f"None of the 2 images can be used.*{reason}"):
            ingest(make_run(tmp_path / column, images))
    (tmp_path / "saved" / "state.json").write_text("{}")
    with pytest.raises(UserError, match="cannot be opened"):
        names(kind="dataset", path=str(tmp_path / "saved"))


def test_texts_and_labels_that_cannot_be_read_end_in_one_sentence(tmp_path: Path) -> None:
    broken = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff\xfe"]).buffers())
    pq.write_table(pa.table({"image": [png(0)], "text": broken}), tmp_path / "t.parquet")
    with pytest.raises(UserError, match="text cannot be read"):
        names(kind="dataset", path=str(tmp_path / "t.parquet"), columns={"caption": "text"})
    table = pa.table({"image": [png(0)], "text": ["x"]}).replace_schema_metadata({"huggingface": '{"info": null}'})
    pq.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(UserError, match="no description by `datasets`"):
        names(kind="dataset", path=str(tmp_path / "t.parquet"), columns={"caption": "text"})


# Tar files


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_tar_files_of_every_shape_are_read(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "s.tar"
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        _add(tar, "1.json", b'{"caption": "alone"}')
        _add(tar, "2.JPG", png(2))
        _add(tar, "2.TXT", b"upper case")
        _add(tar, "3.a.png", png(3))
        _add(tar, "3.b.png", png(4))
        _add(tar, "3.json", json.dumps({"caption": "two pictures", "author": "\ud800"}).encode())
        _add(tar, "caf\udce9.png", png(5))
        _add(tar, "6.png", b"")
    run = make_run(tmp_path / "run", {"kind": "webdataset", "path": str(path)})
    ingest(run)
    assert statuses(run) == {
        "s.tar/2.jpg": "ok",
        "s.tar/3.a.png": "ok",
        "s.tar/3.b.png": "ok",
        "s.tar/caf\\xe9.png": "ok",
        "s.tar/6.png": "image_error",
    }
    captions = {row["aliases"][0]["source_id"]: row["caption"] for row in catalog(run)}
    assert captions["s.tar/2.jpg"] == "upper case"
    assert captions["s.tar/3.a.png"] == captions["s.tar/3.b.png"] == "two pictures"


def test_keys_of_ordinary_names_are_what_they_always_were(tmp_path: Path) -> None:
    fill(tmp_path, 1)
    os.utime(tmp_path / "0000.png", ns=(0, 0))
    (item,) = source(kind="folder", path=str(tmp_path)).items()
    assert item_key(item) == digest("ingest", 1, str(tmp_path), "0000.png", f"{len(png(0))}-0")
