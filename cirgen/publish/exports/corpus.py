"""A dataset folder read for export: rows as streams, pictures one at a time."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from cirgen.errors import UserError
from cirgen.full_disk import full_disk_told
from cirgen.parquet_sql import rows_of
from cirgen.progress import Progress
from cirgen.publish.images import plain_picture
from cirgen.publish.manifest import MANIFEST_NAME
from cirgen.publish.tables import SPLITS
from cirgen.store import MEMORY_LIMIT, stream
from cirgen.triplets import CorpusPictures, load_pictures

if TYPE_CHECKING:
    import duckdb

Row = dict[str, Any]
BATCH_ROWS = 256
_NAMED = """
SELECT DISTINCT image_id FROM (
    SELECT unnest([reference_id, target_id]) AS image_id FROM rows
    UNION ALL SELECT unnest(positive_ids) FROM rows
    UNION ALL SELECT unnest(hard_negatives).image_id FROM rows
) ORDER BY image_id
"""


class DatasetFolder:
    """What `cirgen run` left in `RUN/dataset/`, or a copy of it.

    Args:
        folder: the dataset folder.
        progress: where long steps report to.
        images: folder of the originals, for a corpus that goes without pictures.
        only: the splits to take; empty takes all.

    Raises:
        UserError: it has no triplets, or not that split.
    """

    def __init__(
        self, folder: Path, progress: Progress, images: Path | None = None, only: tuple[str, ...] = ()
    ) -> None:
        self.folder = folder
        self.progress = progress
        self._images = images
        there = [split for split in SPLITS if self.files(split)]
        missing = sorted(set(only) - set(there))
        if missing or not there:
            known = f"it has {', '.join(there)}" if there else "export the run again"
            raise UserError(f"{folder} has no triplets of {', '.join(missing) or 'any split'}; {known}.")
        self.splits = tuple(split for split in there if not only or split in only)

    def files(self, split: str, config: str = "triplets") -> list[Path]:
        """Return the Parquet files of a split, in order."""
        return sorted((self.folder / config).glob(f"{split}-*.parquet"))

    @cached_property
    def manifest(self) -> Mapping[str, Any]:
        """What made the corpus."""
        try:
            found: dict[str, Any] = json.loads((self.folder / MANIFEST_NAME).read_text(encoding="utf8"))
        except (OSError, ValueError) as error:
            raise UserError(
                f"{self.folder / MANIFEST_NAME} cannot be read ({error}); export the run again."
            ) from error
        return found

    @property
    def name(self) -> str:
        """Return what its maker called it."""
        return str(self.manifest.get("name", self.folder.name))

    @cached_property
    def pictures(self) -> CorpusPictures:
        """Its pictures by image id.

        Raises:
            UserError: the corpus goes without, and no folder of originals was given.
        """
        return load_pictures(self.folder, images=self._images)

    def count(self, split: str) -> int:
        """Return how many triplets a split has."""
        return sum(pq.ParquetFile(path).metadata.num_rows for path in self.files(split))

    def triplets(self, split: str) -> Iterator[Row]:
        """Yield the triplets of a split by triplet_id."""
        for path in self.files(split):
            for batch in pq.ParquetFile(path).iter_batches(BATCH_ROWS):
                yield from batch.to_pylist()

    def image_rows(self, columns: list[str]) -> Iterator[Row]:
        """Yield columns of every image of the corpus by image_id."""
        for path in self.files("train", "images"):
            file = pq.ParquetFile(path)
            known = [name for name in columns if name in file.schema_arrow.names]
            for batch in file.iter_batches(BATCH_ROWS, columns=known):
                yield from batch.to_pylist()

    @contextmanager
    def query(self, split: str, query: str) -> Iterator[Iterator[Row]]:
        """Yield the rows of a query; DuckDB spills to disk.

        Args:
            split: whose triplets the query finds as `rows`; `pictures` are the rows of all images.
            query: SQL.
        """
        with _connected() as connection:
            for name, files in (("rows", self.files(split)), ("pictures", self.files("train", "images"))):
                connection.execute(f"CREATE TEMP VIEW {name} AS SELECT * FROM {rows_of(*files)}")
            yield (row for batch in stream(connection, query) for row in batch.to_pylist())

    @contextmanager
    def named(self, split: str, where: str = "true") -> Iterator[Iterator[str]]:
        """Yield the ids of the images that triplets of a split name, sorted."""
        source = f"(SELECT * FROM rows WHERE {where})"
        with self.query(split, _NAMED.replace("FROM rows", f"FROM {source}")) as found:
            yield (str(row["image_id"]) for row in found)


@contextmanager
def _connected() -> Iterator[duckdb.DuckDBPyConnection]:
    import duckdb

    with tempfile.TemporaryDirectory(prefix="cirgen-export-") as scratch:
        settings = {"memory_limit": MEMORY_LIMIT, "temp_directory": scratch, "threads": "2"}
        with full_disk_told(), duckdb.connect(":memory:", config={**settings}) as connection:
            connection.execute("SET enable_progress_bar = false")
            yield connection


class JsonFile:
    """A JSON list or object that is written one entry a line as it comes, in ASCII."""

    def __init__(self, path: Path, brackets: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("w", encoding="ascii")
        self._open, self._close = brackets[0], brackets[1]
        self._count = 0

    def __enter__(self) -> JsonFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.write(f"\n{self._close}\n" if self._count else f"{self._open}{self._close}\n")
        self._file.close()

    def add(self, value: Any, key: str | None = None) -> None:
        """Write one entry; an object's has a key."""
        label = "" if key is None else f"{json.dumps(key)}: "
        self._file.write(f"{',' if self._count else self._open}\n{label}{json.dumps(value)}")
        self._count += 1


def write_pictures(
    corpus: DatasetFolder, ids: Iterator[str], place: Callable[[str, str], Path], told: Callable[[str, Path], None]
) -> int:
    """Write pictures as files; returns how many.

    Args:
        corpus: whose they are.
        ids: of the pictures.
        place: gives the file of an id and a suffix.
        told: called with the id and the file of each.
    """
    count, pictures = 0, corpus.pictures
    with corpus.progress.step("Write pictures") as step:
        for image_id in ids:
            suffix, content = plain_picture(pictures.read(image_id))
            path = place(image_id, suffix)
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                path.write_bytes(content)
            told(image_id, path)
            count += 1
            step.advance()
    return count
