"""A table of image files with what is known of each: CSV, TSV, JSON lines or Parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from cirgen.errors import UserError
from cirgen.resources import local_path
from cirgen.sources.base import Item, Known, Source, SourceSettings, file_item
from cirgen.sources.parquet import cell_text

_BATCH_ROWS = 1_000


class ManifestSettings(SourceSettings):
    """Where the table is."""

    kind: Literal["manifest"] = "manifest"
    path: str
    """Columns: `path`, relative to the table's folder or absolute; and category, license, author, url, caption."""


class Manifest(Source):
    """The files that a table names, in its order; other columns are ignored."""

    Settings = ManifestSettings

    def __init__(self, settings: ManifestSettings) -> None:
        self.settings = settings
        self._path = local_path(settings.path)

    def items(self) -> Iterator[Item]:
        """Yield one item per row; a file that is missing becomes an item that cannot be read.

        Raises:
            UserError: there is no such table, it cannot be read, or a row names no path.
        """
        empty = True
        for line, row in self._rows():
            if not row.get("path"):
                raise UserError(f"{self._path}, line {line}: 'path' is empty or missing; name an image file there.")
            empty = False
            name = str(row["path"])
            known = Known(**{field: cell_text(row.get(field)) for field in Known._fields})
            yield file_item(self.settings.path, name, self._path.parent / name, known.or_else(self.settings))
        if empty:
            raise UserError(f"{self._path} names no image; add a row per image with its 'path'.")

    def _rows(self) -> Iterator[tuple[int, Mapping[str, Any]]]:
        reader = _READERS.get(self._path.suffix.lower())
        if reader is None:
            raise UserError(f"{self._path} is no manifest; name a file that ends in {', '.join(_READERS)}.")
        if not self._path.is_file():
            raise UserError(f"There is no manifest at {self._path}; set images.path to a {', '.join(_READERS)} file.")
        try:
            yield from reader(self._path)
        except (csv.Error, UnicodeDecodeError, pa.ArrowInvalid) as error:
            raise UserError(f"{self._path} cannot be read ({error}); write it again as UTF-8.") from error


def _separated(delimiter: str) -> Callable[[Path], Iterator[tuple[int, Mapping[str, Any]]]]:
    def rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, delimiter=delimiter)
            for row in reader:
                yield reader.line_num, row

    return rows


def _json_lines(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise UserError(f"{path}, line {number} is no JSON ({error}); mend or remove it.") from error
            if not isinstance(row, dict):
                raise UserError(f"{path}, line {number} is no JSON object; write one object with a 'path' per line.")
            yield number, row


def _parquet(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with pq.ParquetFile(path) as file:
        wanted = [name for name in ("path", *Known._fields) if name in file.schema_arrow.names]
        number = 0
        for batch in file.iter_batches(_BATCH_ROWS, columns=wanted):
            for row in batch.to_pylist():
                number += 1
                yield number, row


_READERS: Mapping[str, Callable[[Path], Iterator[tuple[int, Mapping[str, Any]]]]] = {
    ".csv": _separated(","),
    ".tsv": _separated("\t"),
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".parquet": _parquet,
}
