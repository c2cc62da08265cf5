"""A plain folder: `{split}/metadata.parquet` beside the picture files, as `datasets`' imagefolder reads it.

`reference_file_name` and `target_file_name` become the image columns `reference` and `target`; every other column of
`triplets` follows. Each picture is there once.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cirgen.publish.exports.corpus import BATCH_ROWS, DatasetFolder, Row, write_pictures

PICTURES = "images"
_SUFFIXES = (".jpg", ".png")


def write_folder(corpus: DatasetFolder, root: Path) -> dict[str, int]:
    """Write the layout; returns split to rows."""
    return {split: _write_split(corpus, root / split, split) for split in corpus.splits}


def _write_split(corpus: DatasetFolder, root: Path, split: str) -> int:
    with corpus.named(split) as named:
        write_pictures(
            corpus,
            named,
            lambda image_id, suffix: root / PICTURES / image_id[:2] / f"{image_id}{suffix}",
            lambda *_: None,
        )
    own = pq.read_schema(corpus.files(split)[0]).remove_metadata()
    schema = pa.schema([*(pa.field(f"{end}_file_name", pa.string()) for end in ("reference", "target")), *own])
    count = 0
    with pq.ParquetWriter(root / "metadata.parquet", schema, compression="zstd") as writer:
        for rows in _few(corpus.triplets(split)):
            shown = [
                {
                    "reference_file_name": _file(root, row["reference_id"]),
                    "target_file_name": _file(root, row["target_id"]),
                    **row,
                }
                for row in rows
            ]
            writer.write_batch(pa.RecordBatch.from_pylist(shown, schema))
            count += len(rows)
    return count


def _few(rows: Iterator[Row]) -> Iterator[list[Row]]:
    from itertools import islice

    while some := list(islice(rows, BATCH_ROWS)):
        yield some


def _file(root: Path, image_id: str) -> str:
    """Return where a picture was written, relative to the folder of the metadata."""
    for suffix in _SUFFIXES:
        name = f"{PICTURES}/{image_id[:2]}/{image_id}{suffix}"
        if (root / name).is_file():
            return name
    raise FileNotFoundError(f"{root / PICTURES} lacks {image_id}")
