"""Hugging Face datasets and Parquet files yield their rows, and an unreachable Hub ends in one sentence."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cirgen.errors import UserError
from cirgen.sources import dataset as dataset_module
from cirgen.sources import parquet
from cirgen.sources.folder import FolderSettings
from cirgen.stages.ingest import ingest
from ingest_runs import catalog, fill, identities, make_run, names, png, source


def write_parquet(path: Path, numbers: range, row_group: int = 2, **columns: list[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table({"image": [{"bytes": png(n), "path": f"{n}.png"} for n in numbers], **columns})
    pq.write_table(table, path, row_group_size=row_group)
    return path


def labelled(path: Path) -> Path:
    from datasets import ClassLabel, Dataset, Features, Image, Value

    rows = {
        "image": [{"bytes": png(n), "path": None} for n in range(5)],
        "kind": [0, 1, 1, 0, 1],
        "text": [f"picture {n}" for n in range(5)],
    }
    features = Features({"image": Image(), "kind": ClassLabel(names=["dress", "shirt"]), "text": Value("string")})
    table = Dataset.from_dict(rows, features=features)
    if path.suffix == ".parquet":
        table.to_parquet(path)
    else:
        table.save_to_disk(path)
    return path


@pytest.mark.parametrize("name", ["table.parquet", "saved"])
def test_columns_say_what_is_known_and_labels_become_words(tmp_path: Path, name: str) -> None:
    path = labelled(tmp_path / name)
    columns = {"category": "kind", "caption": "text"}
    items = list(source(kind="dataset", path=str(path), columns=columns, license="CC0-1.0").items())
    assert [item.category for item in items] == ["dress", "shirt", "shirt", "dress", "shirt"]
    assert [item.caption for item in items] == [f"picture {n}" for n in range(5)]
    assert {item.license for item in items} == {"CC0-1.0"}
    assert [item.read() for item in items] == [png(n) for n in range(5)]


def test_a_local_dataset_repository_keeps_its_splits_apart(tmp_path: Path) -> None:
    root = tmp_path / "repository"
    write_parquet(root / "data" / "train-00000-of-00002.parquet", range(3))
    write_parquet(root / "data" / "train-00001-of-00002.parquet", range(3, 5))
    write_parquet(root / "data" / "test-00000-of-00001.parquet", range(5, 9))
    train = list(source(kind="dataset", path=str(root)).items())
    assert [item.source_id for item in train] == [
        *(f"data/train-00000-of-00002.parquet#{n}" for n in range(3)),
        *(f"data/train-00001-of-00002.parquet#{n}" for n in range(2)),
    ]
    assert [item.read() for item in train] == [png(n) for n in range(5)]
    assert source(kind="dataset", path=str(root), split="test").count() == 4
    with pytest.raises(UserError, match=r"no split 'validation'; set images\.split to one of: "):
        names(kind="dataset", path=str(root), split="validation")


def test_the_identity_of_a_row_is_its_place_in_its_own_file(tmp_path: Path) -> None:
    write_parquet(tmp_path / "data" / "train-2.parquet", range(3))
    before = identities(list(source(kind="dataset", path=str(tmp_path)).items()))
    write_parquet(tmp_path / "data" / "train-1.parquet", range(3, 6))
    assert before < identities(list(source(kind="dataset", path=str(tmp_path)).items()))


def test_images_may_be_bytes_or_paths_beside_the_table(tmp_path: Path) -> None:
    fill(tmp_path / "images", 2)
    pq.write_table(pa.table({"image": [png(5), None]}), tmp_path / "bytes.parquet")
    pq.write_table(pa.table({"image": ["images/0000.png", "images/9999.png"]}), tmp_path / "paths.parquet")
    first, second = source(kind="dataset", path=str(tmp_path / "bytes.parquet")).items()
    assert (first.read(), second.read()) == (png(5), b"")
    first, second = source(kind="dataset", path=str(tmp_path / "paths.parquet")).items()
    assert first.read() == png(0)
    with pytest.raises(OSError, match=r"9999\.png"):
        second.read()


def test_a_folder_of_pictures_can_be_read_as_a_dataset_too(tmp_path: Path) -> None:
    fill(tmp_path / "pictures" / "train", 3)
    assert [item.read() for item in source(kind="dataset", path=str(tmp_path / "pictures")).items()] == [
        png(n) for n in range(3)
    ]


def test_resume_reads_no_image_of_rows_that_are_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_parquet(tmp_path / "table.parquet", range(20), row_group=5)
    run = make_run(tmp_path / "run", {"kind": "dataset", "path": str(path)})
    reads: list[int] = []
    original = parquet._ParquetFile.read
    monkeypatch.setattr(
        parquet._ParquetFile,
        "read",
        lambda self, group, columns: reads.append(group) or original(self, group, columns),
    )
    ingest(run)
    assert sorted(reads) == [0, 1, 2, 3]
    ingest(run)
    assert len(reads) == 4
    assert len(catalog(run)) == 20


@pytest.mark.parametrize("name", ["table.parquet", "saved"])
def test_a_missing_column_is_named_with_those_there_are(tmp_path: Path, name: str) -> None:
    path = str(labelled(tmp_path / name))
    with pytest.raises(UserError, match=r"no column 'picture'.*image, kind, text"):
        names(kind="dataset", path=path, image_column="picture")
    with pytest.raises(UserError, match=r"no column 'words'.*image, kind, text"):
        names(kind="dataset", path=path, columns={"caption": "words"})


def test_a_saved_dataset_names_its_splits(tmp_path: Path) -> None:
    from datasets import DatasetDict, load_from_disk

    table = load_from_disk(labelled(tmp_path / "one"))
    DatasetDict({"train": table, "test": table}).save_to_disk(tmp_path / "both")
    assert names(kind="dataset", path=str(tmp_path / "both"), split="test") == [f"test#{n}" for n in range(5)]
    with pytest.raises(UserError, match="no split 'val'; it has train, test"):
        names(kind="dataset", path=str(tmp_path / "both"), split="val")


def test_remote_files_are_read_row_group_by_row_group(tmp_path: Path) -> None:
    import fsspec

    data = write_parquet(tmp_path / "table.parquet", range(6)).read_bytes()
    fsspec.filesystem("memory").pipe("memory://images/table.parquet", data)
    shard = parquet.Shard("memory://images/table.parquet", "table.parquet", "commit")
    items = parquet.parquet_items([shard], parquet.Columns("image", {}), "x", FolderSettings(path="x"))
    assert [(item.identity, item.read()) for item in items] == [(f"commit-{n}", png(n)) for n in range(6)]
    gone = parquet.Shard("memory://images/gone.parquet", "gone.parquet", "commit")
    with pytest.raises(UserError, match="cannot be opened"):
        list(parquet.parquet_items([gone], parquet.Columns("image", {}), "x", FolderSettings(path="x")))


@pytest.mark.parametrize("path", ["none.parquet", "./none", "/none/at/all", "~/none"])
def test_a_missing_local_dataset_is_not_asked_of_the_hub(path: str) -> None:
    with pytest.raises(UserError, match="There is no dataset at"):
        names(kind="dataset", path=path)


def test_a_file_that_is_no_parquet_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"no parquet")
    with pytest.raises(UserError, match=r"x\.parquet is no readable Parquet"):
        names(kind="dataset", path=str(tmp_path / "x.parquet"))


# The Hub


@pytest.fixture
def silent_hub(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A Hub that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.setattr(dataset_module, "HUB_TIMEOUT_SECONDS", 0.3)
        yield server


@pytest.mark.parametrize("streaming", [True, False])
def test_a_hub_that_does_not_answer_ends_in_one_sentence(silent_hub: Any, streaming: bool) -> None:
    start = time.monotonic()
    with pytest.raises(UserError, match=r"cannot be reached .*hf download some/dataset .*--local-dir"):
        names(kind="dataset", path="some/dataset", streaming=streaming)
    assert time.monotonic() - start < 20
    silent_hub.settimeout(1)
    silent_hub.accept()  # it was asked
