"""A table of image files with what is known of each: CSV, TSV, JSON lines or Parquet."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from cirgen.errors import UserError, one_line
from cirgen.object_storage import Listed, Objects, is_url, opened
from cirgen.resources import local_path
from cirgen.settings import Name
from cirgen.sources.base import Item, Known, Source, SourceSettings, file_item, object_item, utf8_text
from cirgen.sources.parquet import cell_text

_BATCH_ROWS = 1_000
Reader = Callable[[BinaryIO, str], Iterator[tuple[int, Mapping[str, Any]]]]
"""Yields the rows of an open table, with their lines, given its name for errors."""
_WEB = re.compile(r"(https?|ftp)://", re.IGNORECASE)


class ManifestSettings(SourceSettings):
    """Where the table is."""

    kind: Literal["manifest"] = "manifest"
    path: Name
    """Table, here or by a url. Columns: `path`; and category, license, author, url, caption.

    A path is relative to the table's folder, absolute, or the url of an object such as s3://bucket/photo.jpg.
    """


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
        empty, objects = True, Objects()
        for line, row in self._rows():
            empty = False
            name = self._file_name(line, row)
            known = Known(**{field: cell_text(row.get(field)) for field in Known._fields})
            yield self._item(name, known.or_else(self.settings), objects)
        if empty:
            raise UserError(f"{self._where} names no image; add a row per image with its 'path'.")

    def _item(self, name: str, known: Known, objects: Objects) -> Item:
        if is_url(name) or self._is_url:
            url = name if is_url(name) else f"{self.settings.path.rpartition('/')[0]}/{name.lstrip('/')}"
            return object_item(self.settings.path, Listed(url, name, objects.stamp(url)), known)
        return file_item(self.settings.path, name, self._path.parent / name, known)

    @property
    def _is_url(self) -> bool:
        return is_url(self.settings.path)

    @cached_property
    def _path(self) -> Path:
        return local_path(self.settings.path)

    @property
    def _where(self) -> str:
        return self.settings.path if self._is_url else str(self._path)

    def _file_name(self, line: int, row: Mapping[str, Any]) -> str:
        where, name = f"{self._where}, line {line}", row.get("path")
        if "path" not in row:
            raise _no_path(where, row)
        if name is None or name in ("", b""):
            raise UserError(f"{where}: 'path' is empty or missing; name an image file there.")
        if isinstance(name, bool) or not isinstance(name, str | bytes | int):
            raise UserError(
                f"{where}: 'path' is of type {type(name).__name__}; write the name of an image file there."
            )
        text = os.fsdecode(name) if isinstance(name, bytes) else str(name)
        if _WEB.match(text):
            raise UserError(
                f"{where}: '{utf8_text(text)}' is a URL, and cirgen reads files; download the images first, "
                "for example with img2dataset."
            )
        return text

    def _rows(self) -> Iterator[tuple[int, Mapping[str, Any]]]:
        reader = _READERS.get(Path(self._where).suffix.lower())
        if reader is None:
            raise UserError(f"{self._where} is no manifest; name a file that ends in {', '.join(_READERS)}.")
        if not self._is_url and not self._path.is_file():
            raise UserError(f"There is no manifest at {self._path}; set images.path to a {', '.join(_READERS)} file.")
        try:
            with opened(self._where) if self._is_url else self._path.open("rb") as file:
                yield from reader(file, self._where)
        except (csv.Error, OSError, ValueError, OverflowError, pa.ArrowException) as error:
            reason = one_line(error)
            encoding = " as UTF-8" if isinstance(error, UnicodeDecodeError) else ""
            raise UserError(f"{self._where} cannot be read ({reason}); write it again{encoding}.") from error


def _no_path(where: str, columns: Iterable[str | None]) -> UserError:
    there = ", ".join(f"'{column}'" for column in columns if column) or "nothing"
    return UserError(f"{where}: 'path' is empty or missing, there is {there}; call the image file 'path'.")


def _separated(delimiter: str) -> Reader:
    def rows(file: BinaryIO, where: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
        del where
        reader = csv.DictReader(io.TextIOWrapper(file, encoding="utf-8-sig", newline=""), delimiter=delimiter)
        for row in reader:
            yield reader.line_num, row

    return rows


def _json_lines(file: BinaryIO, where: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(io.TextIOWrapper(file, encoding="utf-8-sig"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{where}, line {number} is no JSON ({error}); mend or remove it.") from error
        if not isinstance(row, dict):
            raise UserError(f"{where}, line {number} is no JSON object; write one object with a 'path' per line.")
        yield number, row


def _parquet(opened_file: BinaryIO, where: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with pq.ParquetFile(opened_file) as file:
        there = file.schema_arrow.names
        if "path" not in there:
            raise _no_path(where, there)
        wanted = [name for name in ("path", *Known._fields) if name in there]
        number = 0
        for batch in file.iter_batches(_BATCH_ROWS, columns=wanted):
            for row in batch.to_pylist():
                number += 1
                yield number, row


_READERS: Mapping[str, Reader] = {
    ".csv": _separated(","),
    ".tsv": _separated("\t"),
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".parquet": _parquet,
}
