"""WebDataset shards: a sample a triplet, both pictures in it, for reading in one go from slow or distant storage.

`{split}-000000.tar` and so on; a sample has `reference.jpg` or `.png`, `target.jpg` or `.png`, `txt` (the text) and
`json` (every other column). Samples come by triplet_id, which is a hash: they are mixed already. Pictures lie in a
shard as often as triplets show them. Equal corpora give equal bytes.
"""

from __future__ import annotations

import io
import itertools
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

from cirgen.publish.exports.corpus import DatasetFolder, Row
from cirgen.publish.images import plain_picture

SHARD_BYTES = 400 * 1024**2  # as the Parquet shards; the Hub advises files of some hundred megabytes
ENDS = {"reference": "reference_id", "target": "target_id"}


def write_webdataset(corpus: DatasetFolder, root: Path, shard_bytes: int = SHARD_BYTES) -> dict[str, int]:
    """Write the shards; returns split to samples."""
    return {split: _write_split(corpus, root, split, shard_bytes) for split in corpus.splits}


def _write_split(corpus: DatasetFolder, root: Path, split: str, shard_bytes: int) -> int:
    total = corpus.count(split)
    rows, count = corpus.triplets(split), 0
    with corpus.progress.step(f"Write {split} samples", total) as step:
        for shard in itertools.count():
            if count == total:
                return count
            with tarfile.open(root / f"{split}-{shard:06d}.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
                for row in rows:
                    _add(tar, corpus, row)
                    count += 1
                    step.advance()
                    if tar.offset >= shard_bytes:
                        break
    raise AssertionError("unreachable")


def _add(tar: tarfile.TarFile, corpus: DatasetFolder, row: Row) -> None:
    for name, content in _sample(corpus, row):
        info = tarfile.TarInfo(f"{row['triplet_id']}.{name}")
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))


def _sample(corpus: DatasetFolder, row: Row) -> Iterator[tuple[str, bytes]]:
    for end, column in ENDS.items():
        suffix, content = plain_picture(corpus.pictures.read(row[column]))
        yield f"{end}{suffix}", content
    yield "txt", row["text"].encode()
    facts = {name: value for name, value in row.items() if name != "text"}
    yield "json", json.dumps(facts, ensure_ascii=False).encode()
