"""Images in Parquet files, local or remote: rows are listed without their images, which are read when asked for."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from cirgen.errors import UserError
from cirgen.resources import read_file
from cirgen.sources.base import Item, Known, KnownField, SourceSettings

_WEB = ("http://", "https://", "ftp://")


class Shard(NamedTuple):
    """One Parquet file."""

    url: str
    """Local path, or anything fsspec opens."""
    name: str
    """Stable name within the collection; a part of every row's source id."""
    stamp: str
    """Stands for the content of the file."""


class Columns(NamedTuple):
    """Where the rows keep what."""

    image: str
    """Struct of `bytes` and `path` (Hugging Face `Image`), bytes, or paths relative to the file's folder."""
    known: Mapping[KnownField, str]
    """Field of `Known` to column."""


def parquet_items(shards: list[Shard], columns: Columns, source: str, settings: SourceSettings) -> Iterator[Item]:
    """Yield one item per row, row groups in order; a row group's images are in memory while its items are.

    Raises:
        UserError: a file is no Parquet, or lacks a column.
    """
    for shard in shards:
        file = _ParquetFile(shard.url)
        _check_columns(file.schema, columns, shard)
        cells = ((group, position, known) for group in file.groups(columns) for position, known in group.known_rows())
        for index, (group, position, known) in enumerate(cells):
            yield Item(
                source=source,
                source_id=f"{shard.name}#{index}",
                identity=f"{shard.stamp}-{index}",
                read=partial(group.read, position),
                **known.or_else(settings)._asdict(),
            )


def row_count(shards: list[Shard]) -> int:
    """Return the number of rows, from the footers alone."""
    return sum(_ParquetFile(shard.url).rows for shard in shards)


def image_bytes(value: Any, folder: Path) -> bytes:
    """Return the bytes of an image cell; no bytes for an empty one.

    Raises:
        OSError: the cell names a file that cannot be read.
        ValueError: the cell holds something else, or a URL.
    """
    if isinstance(value, bytes):
        return value
    if isinstance(value, Mapping) and {"bytes", "path"} & set(value):
        data = value.get("bytes")
        return image_bytes(value.get("path") if data is None else data, folder)
    if value is None or value == "":
        return b""
    if not isinstance(value, str):
        raise ValueError(f"the cell holds a {type(value).__name__}, no bytes and no path of an image")
    if value.startswith(_WEB):
        raise ValueError(f"'{value}' is a URL, and cirgen reads files; download the images first")
    return _opened(value) if "://" in value else read_file(Path(folder, value))


def _opened(url: str) -> bytes:
    import fsspec

    try:
        with fsspec.open(url, "rb") as file:
            return bytes(file.read())
    except Exception as error:  # every file system behind fsspec has errors of its own
        raise OSError(f"{url} cannot be read: {error}") from error


def _check_columns(schema: pa.Schema, columns: Columns, shard: Shard) -> None:
    missing = [name for name in (columns.image, *columns.known.values()) if name not in schema.names]
    if missing:
        raise UserError(
            f"{shard.name} has no column '{missing[0]}'; set images.image_column and images.columns to some of: "
            f"{', '.join(schema.names)}."
        )
    kind = schema.field(columns.image).type
    if not _may_hold_images(kind):
        raise UserError(
            f"{shard.name} has no images in its column '{columns.image}' (type {kind}); set images.image_column to "
            "one of bytes, of paths, or of the type Image of Hugging Face datasets."
        )


def _may_hold_images(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _may_hold_images(kind.value_type)
    if pa.types.is_struct(kind):
        return any(field.name in ("bytes", "path") for field in kind)
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    data = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_fixed_size_binary)
    return pa.types.is_null(kind) or any(is_kind(kind) for is_kind in (*texts, *data))


def cell_text(value: Any, names: list[str] | None = None) -> str:
    """Return a cell as text: labels by name, the first of several texts, nothing for null and NaN."""
    if isinstance(value, list):
        return cell_text(value[0], names) if value else ""
    if value is None or value != value:  # noqa: PLR0124 - NaN alone is not itself: what pandas writes for no text
        return ""
    if isinstance(value, bytes):
        return value.decode("utf8", "backslashreplace")
    return names[value] if names and isinstance(value, int) and 0 <= value < len(names) else str(value)


class _ParquetFile:
    """One open file, read by one thread at a time; closed when the last row group is forgotten."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._lock = threading.Lock()
        try:
            self._file = pq.ParquetFile(url if "://" not in url else _remote(url))
        except (pa.ArrowException, OSError) as error:
            raise UserError(f"{url} is no readable Parquet file ({error}); fetch it again, or remove it.") from error
        self.schema: pa.Schema = self._file.schema_arrow
        self.rows = int(self._file.metadata.num_rows)

    def groups(self, columns: Columns) -> Iterator[_RowGroup]:
        return (_RowGroup(self, number, columns) for number in range(self._file.num_row_groups))

    def read(self, group: int, columns: list[str]) -> pa.Table:
        """Read some columns of a row group; OSError whatever goes wrong."""
        try:
            with self._lock:
                return self._file.read_row_group(group, columns=columns)
        except Exception as error:  # every HTTP library behind fsspec has errors of its own
            raise OSError(f"{self.url} cannot be read: {error}") from error

    def rows_of(self, group: int) -> int:
        return int(self._file.metadata.row_group(group).num_rows)


def _remote(url: str) -> Any:
    import fsspec

    try:
        return fsspec.open(url, "rb").open()
    except Exception as error:  # as in `_ParquetFile.read`
        raise UserError(f"{url} cannot be opened ({error}); run again when it can, to go on from there.") from error


class _RowGroup:
    """The rows of one row group; the images are read at the first request and kept while an item refers to them."""

    def __init__(self, file: _ParquetFile, number: int, columns: Columns) -> None:
        self._file = file
        self._number = number
        self._columns = columns
        self._cells: pa.ChunkedArray | None = None
        self._lock = threading.Lock()

    def known_rows(self) -> Iterator[tuple[int, Known]]:
        """Yield what is known of each row, without its image."""
        wanted = self._columns.known
        if not wanted:
            yield from ((position, Known()) for position in range(self._file.rows_of(self._number)))
            return
        names = _class_names(self._file.schema)
        try:
            rows = self._file.read(self._number, list(wanted.values())).to_pylist()
        except OSError as error:
            raise UserError(f"{error}; run again when it can, to go on from there.") from error
        except (ValueError, OverflowError, pa.ArrowException) as error:
            columns = ", ".join(wanted.values())
            raise UserError(
                f"{self._file.url}: {columns} cannot be read ({error}); write the file again, or take other columns."
            ) from error
        for position, row in enumerate(rows):
            texts = {field: cell_text(row[column], names.get(column)) for field, column in wanted.items()}
            yield position, Known(**texts)

    def read(self, position: int) -> bytes:
        """Return the image of a row."""
        with self._lock:
            if self._cells is None:
                self._cells = self._file.read(self._number, [self._columns.image]).column(0)
        return image_bytes(self._cells[position].as_py(), Path(self._file.url).parent)


def _class_names(schema: pa.Schema) -> dict[str, list[str]]:
    """Return the names of the labels of each ClassLabel column, from the features that `datasets` writes."""
    stored = (schema.metadata or {}).get(b"huggingface")
    try:
        features = json.loads(stored)["info"]["features"] if stored else {}
        labels = {name: f for name, f in features.items() if isinstance(f, dict) and f.get("_type") == "ClassLabel"}
        return {name: [str(label) for label in f["names"]] for name, f in labels.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"The footer of a Parquet file is no description by `datasets` ({error}); write it again."
        ) from error
