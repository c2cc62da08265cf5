"""A table of image files with what is known of each: CSV, TSV, JSON lines or Parquet."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from cirgen.errors import UserError
from cirgen.resources import local_path
from cirgen.settings import Name
from cirgen.sources.base import Item, Known, Source, SourceSettings, file_item, utf8_text
from cirgen.sources.parquet import cell_text

_BATCH_ROWS = 1_000
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


class ManifestSettings(SourceSettings):
    """Where the table is."""

    kind: Literal["manifest"] = "manifest"
    path: Name
    """Columns: `path`, relative to the table's folder or absolute; and category, license, author, url, caption."""


class Manifest(Source):
    """The files that a table names, in its order; other columns are ignored."""

    Settings = ManifestSettings

    def __init__(self, settings: ManifestSettings) -> None:
        self.settings = settings

    def items(self) -> Iterator[Item]:
        """Yield one item per row; a file that is missing becomes an item that cannot be read.

        Raises:
            UserError: there is no such table, it cannot be read, or a row names no file.
        """
        empty = True
        for line, row in self._rows():
            empty = False
            name = self._file_name(line, row)
            known = Known(**{field: cell_text(row.get(field)) for field in Known._fields})
            yield file_item(self.settings.path, name, self._path.parent / name, known.or_else(self.settings))
        if empty:
            raise UserError(f"{self._path} names no image; add a row per image with its 'path'.")

    @cached_property
    def _path(self) -> Path:
        return local_path(self.settings.path)

    def _file_name(self, line: int, row: Mapping[str, Any]) -> str:
        where, name = f"{self._path}, line {line}", row.get("path")
        if "path" not in row:
            raise _no_path(where, row)
        if name is None or name in ("", b""):
            raise UserError(f"{where}: 'path' is empty or missing; name an image file there.")
        if isinstance(name, bool) or not isinstance(name, str | bytes | int):
            raise UserError(
                f"{where}: 'path' is of type {type(name).__name__}; write the name of an image file there."
            )
        text = os.fsdecode(name) if isinstance(name, bytes) else str(name)
        if _URL.match(text):
            raise UserError(
                f"{where}: '{utf8_text(text)}' is a URL, and cirgen reads files; download the images first, "
                "for example with img2dataset."
            )
        return text

    def _rows(self) -> Iterator[tuple[int, Mapping[str, Any]]]:
        reader = _READERS.get(self._path.suffix.lower())
        if reader is None:
            raise UserError(f"{self._path} is no manifest; name a file that ends in {', '.join(_READERS)}.")
        if not self._path.is_file():
            raise UserError(f"There is no manifest at {self._path}; set images.path to a {', '.join(_READERS)} file.")
        try:
            yield from reader(self._path)
        except (csv.Error, OSError, ValueError, OverflowError, pa.ArrowException) as error:
            reason = " ".join(str(error).split())
            encoding = " as UTF-8" if isinstance(error, UnicodeDecodeError) else ""
            raise UserError(f"{self._path} cannot be read ({reason}); write it again{encoding}.") from error


def _no_path(where: str, columns: Iterable[str | None]) -> UserError:
    there = ", ".join(f"'{column}'" for column in columns if column) or "nothing"
    return UserError(f"{where}: 'path' is empty or missing, there is {there}; call the image file 'path'.")


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
            except (ValueError, RecursionError) as error:
                raise UserError(f"{path}, line {number} is no JSON ({error}); mend or remove it.") from error
            if not isinstance(row, dict):
                raise UserError(f"{path}, line {number} is no JSON object; write one object with a 'path' per line.")
            yield number, row


def _parquet(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with pq.ParquetFile(path) as file:
        there = file.schema_arrow.names
        if "path" not in there:
            raise _no_path(str(path), there)
        wanted = [name for name in ("path", *Known._fields) if name in there]
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
