"""Where the files of a split begin: a new version changes few of them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from cirgen.publish.parquet import Written, write_split

SCHEMA = pa.schema([pa.field("triplet_id", pa.string()), pa.field("text", pa.string())])
GROUP, SHARD = 20, 4_000  # rows; Arrow bytes, some forty rows


def ids(count: int, salt: str = "") -> list[str]:
    return sorted(hashlib.sha256(f"{salt}{number}".encode()).hexdigest() for number in range(count))


def written(root: Path, names: list[str], batch: int = 33) -> Written:
    table = pa.table({"triplet_id": names, "text": [f"make it {name[:12]}" for name in names]}, SCHEMA)
    [split] = write_split(root, "c", "train", SCHEMA, table.to_batches(batch), GROUP, SHARD, count=len(names))
    return split


def contents(split: Written) -> set[str]:
    return {hashlib.sha256(path.read_bytes()).hexdigest() for path in split.files}


def test_a_row_more_changes_one_file_and_every_row_stays_in_order(tmp_path: Path) -> None:
    names = ids(1_000)
    before = written(tmp_path / "before", names)
    after = written(tmp_path / "after", sorted([*names, "00" * 32]))
    assert len(before.files) == len(after.files) > 8
    assert len(contents(after) - contents(before)) == 1
    read = [name for path in after.files for name in pq.read_table(path).column("triplet_id").to_pylist()]
    assert read == sorted([*names, "00" * 32])
    assert [path.name for path in after.files][:1] == [f"train-00000-of-{len(after.files):05d}.parquet"]


@given(st.integers(1, 300), st.integers(1, 64), st.integers(1, 64))
def test_files_depend_on_rows_alone_and_lose_none(count: int, one: int, other: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        names = ids(count)
        first, second = (written(Path(folder) / str(n), names, batch) for n, batch in enumerate((one, other)))
        assert [path.read_bytes() for path in first.files] == [path.read_bytes() for path in second.files]
        assert first.rows == sum(pq.ParquetFile(path).metadata.num_rows for path in first.files) == count


def test_a_split_that_fits_one_file_has_one(tmp_path: Path) -> None:
    assert len(written(tmp_path, ids(30)).files) == 1
