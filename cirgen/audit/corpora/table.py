"""Any table with reference, text and target: a hub dataset, a folder that `datasets` opens, or one file."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cirgen.audit.corpora.files import FolderPictures
from cirgen.audit.corpora.options import Options
from cirgen.audit.corpus import Corpus, Facts, Pictures, Row, content_key, named_gallery
from cirgen.dataset_cache import cache_of
from cirgen.errors import UserError

BUILDERS = {".parquet": "parquet", ".json": "json", ".jsonl": "json", ".csv": "csv", ".tsv": "csv"}
OTHERS = {
    "id": ("triplet_id", "id", "pairid"),
    "reference": ("reference", "reference_id", "candidate", "query_image", "source_image", "q_img"),
    "text": ("text", "caption", "modification", "modification_text", "relative_caption", "instruction", "q_text"),
    "target": ("target", "target_id", "target_image", "target_hard", "t_img"),
    "positives": ("positive_ids", "positives"),
    "change_type": ("change_type", "type", "category"),
    "reference_caption": ("reference_caption",),
    "target_caption": ("target_caption",),
    "license": ("license",),
}
"""What columns mean, and the names that are looked for, in this order."""
NEEDED = ("reference", "text", "target")
GALLERY = "every image that a row names"


def read_table(name: str, options: Options, shown: str) -> Corpus:
    """Read a table.

    Raises:
        UserError: it cannot be opened, or lacks a column.
    """
    tables = _tables(name, options)
    columns = _columns(name, next(iter(tables.values())), options)
    reading = _Reading(columns)
    for split, table in tables.items():
        reading.take(split, table)
    rows = tuple(reading.rows)
    pictures, reason = _pictures(reading, options)
    found = ", ".join(f"{meaning} = {column}" for meaning, column in columns.items())
    return Corpus(
        name=shown,
        kind="a table",
        rows=rows,
        galleries={GALLERY: named_gallery(rows)},
        facts=reading.facts,
        pictures=pictures,
        no_pictures=reason,
        notes=(f"Columns: {found}.", *reading.notes()),
    )


def _tables(name: str, options: Options) -> dict[str, Any]:
    from datasets import DatasetDict, load_dataset, load_from_disk

    path = Path(name).expanduser()
    with _opening(name):
        if path.is_file():
            if path.suffix.lower() not in BUILDERS:
                raise UserError(f"{path} is none of {', '.join(BUILDERS)}; name a table of reference, text, target.")
            separator = {"sep": "\t"} if path.suffix.lower() == ".tsv" else {}
            opened = load_dataset(BUILDERS[path.suffix.lower()], data_files=str(path), **separator)
        elif any((path / mark).is_file() for mark in ("state.json", "dataset_dict.json")):
            opened = load_from_disk(str(path))
        else:
            opened = load_dataset(
                str(path) if path.is_dir() else name,
                options.config,
                revision=options.revision,
                cache_dir=cache_of(str(path)),
            )
    found = dict(opened) if isinstance(opened, DatasetDict) else {"all": opened}
    if options.split is not None and options.split not in found:
        raise UserError(f"The corpus '{name}' has no split '{options.split}'; it has {', '.join(map(str, found))}.")
    return {str(split): table for split, table in found.items() if options.split in (None, split)}


@contextmanager
def _opening(name: str) -> Iterator[None]:
    from datasets.exceptions import DatasetsError

    try:
        yield
    except (OSError, ValueError, LookupError, DatasetsError) as error:
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        if "corresponds to no data" in reason:
            reason = "it has no rows"
        raise UserError(
            f"The corpus '{name}' cannot be opened ({reason}); give a dataset folder, a table, a hub id, or the root "
            "of FashionIQ or CIRR."
        ) from error


def _columns(name: str, table: Any, options: Options) -> dict[str, str]:
    there = list(table.column_names)
    wanted = dict(options.columns)
    unknown = [meaning for meaning in wanted if meaning not in OTHERS]
    if unknown:
        raise UserError(f"--column knows no '{unknown[0]}'; write one of {', '.join(OTHERS)} before the '='.")
    absent = [column for column in wanted.values() if column not in there]
    if absent:
        raise UserError(f"The corpus '{name}' has no column '{absent[0]}'; it has {', '.join(there)}.")
    found = {meaning: next((one for one in names if one in there), "") for meaning, names in OTHERS.items()} | wanted
    missing = [meaning for meaning in NEEDED if not found[meaning]]
    if missing:
        raise UserError(
            f"The corpus '{name}' has no column of its {missing[0]}s; say which with --column {missing[0]}=NAME, "
            f"one of {', '.join(there)}."
        )
    return {meaning: column for meaning, column in found.items() if column}


class _Reading:
    """Rows of a table, and where its pictures lie: images in cells are called by the hash of their bytes."""

    def __init__(self, columns: Mapping[str, str]) -> None:
        self._columns = columns
        self.rows: list[Row] = []
        self.facts: dict[str, Facts] = {}
        self.cells: dict[str, tuple[Any, int, str]] = {}
        """Image id to a table, a row of it, and a column."""

    def take(self, split: str, table: Any) -> None:
        """Read the rows of one split."""
        from datasets import Image

        pictured = {name for name in self._columns.values() if isinstance((table.features or {}).get(name), Image)}
        for name in pictured:
            table = table.cast_column(name, Image(decode=False))
        for place, row in enumerate(table.select_columns(sorted(set(self._columns.values())))):
            ends = {}
            for end in ("reference", "target"):
                column = self._columns[end]
                ends[end] = self._image(table, place, column, row[column]) if column in pictured else _id(row[column])
            self._add(split, place, row, ends)

    def _image(self, table: Any, place: int, column: str, cell: Mapping[str, Any] | None) -> str:
        if cell is None:
            return ""
        data = cell_bytes(cell)
        image_id = content_key(data)
        self.cells.setdefault(image_id, (table, place, column))
        return image_id

    def _add(self, split: str, place: int, row: Mapping[str, Any], ends: Mapping[str, str]) -> None:
        value = {meaning: row[column] for meaning, column in self._columns.items()}
        name = _id(value.get("id")) or f"{split}-{place}"
        texts = value["text"] if isinstance(value["text"], list) else [value["text"]]
        for end, image_id in ends.items():
            caption, license = value.get(f"{end}_caption"), value.get("license")
            known = self.facts.get(image_id)
            if image_id and (known is None or not known.caption) and (caption or license is not None):
                self.facts[image_id] = Facts(_id(caption), None, license)
        for number, text in enumerate(texts):
            self.rows.append(
                Row(
                    name if len(texts) == 1 else f"{name}-{number}",
                    split,
                    GALLERY,
                    ends["reference"],
                    str(text or ""),
                    ends["target"],
                    _ids(value.get("positives")),
                    str(value.get("change_type") or ""),
                )
            )

    def notes(self) -> list[str]:
        """Say what images are called."""
        return ["Images are called by the sha256 of their bytes."] if self.cells else []


def cell_bytes(cell: Mapping[str, Any]) -> bytes:
    """Return the bytes of an image cell, or of the file it names.

    Raises:
        OSError: that file cannot be read.
    """
    if cell["bytes"] is not None:
        return bytes(cell["bytes"])
    return Path(cell["path"]).read_bytes()


def _id(value: Any) -> str:
    """Return a value as a name; a column of whole numbers that has a hole is read as one of fractions."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _ids(value: Any) -> tuple[str, ...]:
    """Return names from a list, from a list written as JSON, or from a single name."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        with suppress(ValueError):
            value = json.loads(value)
    values = value if isinstance(value, list | tuple) else [value]
    return tuple(name for name in map(_id, values) if name)


class CellPictures:
    """Pictures in the cells of a table."""

    def __init__(self, cells: Mapping[str, tuple[Any, int, str]]) -> None:
        self._cells = cells

    def has(self, image_id: str) -> bool:
        """Return whether a cell holds it."""
        return image_id in self._cells

    def read(self, image_id: str) -> bytes:
        """Return its bytes."""
        table, place, column = self._cells[image_id]
        return cell_bytes(table.select_columns([column])[place][column])


def _pictures(reading: _Reading, options: Options) -> tuple[Pictures | None, str]:
    if reading.cells:
        return CellPictures(reading.cells), ""
    if options.images is not None:
        return FolderPictures(options.images), ""
    return None, "the table names its images and does not hold them; name their folder with --images"
