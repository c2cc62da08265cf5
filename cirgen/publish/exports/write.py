"""A corpus in another layout, as a whole or not at all, and never over what somebody else put there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import pyarrow as pa

from cirgen import __version__
from cirgen.errors import UserError
from cirgen.publish.exports.cirr import write_cirr
from cirgen.publish.exports.corpus import DatasetFolder
from cirgen.publish.exports.fashioniq import write_fashioniq
from cirgen.publish.exports.folder import write_folder
from cirgen.publish.exports.webdataset import write_webdataset
from cirgen.publish.folder import replaced_folder
from cirgen.schemas import ALIAS
from cirgen.shards import write_rows

Format = Literal["hf", "webdataset", "cirr", "fashioniq", "folder"]
FORMATS: tuple[Format, ...] = get_args(Format)
WRITERS: dict[Format, Callable[[DatasetFolder, Path], dict[str, int]]] = {
    "webdataset": write_webdataset,
    "cirr": write_cirr,
    "fashioniq": write_fashioniq,
    "folder": write_folder,
}
MARK = ".cirgen-export.json"
"""What tells that cirgen wrote a folder, and from what."""
ATTRIBUTION = pa.schema(
    [
        pa.field("image_id", pa.string()),
        pa.field("license", pa.string()),
        pa.field("author", pa.string()),
        pa.field("url", pa.string()),
        pa.field("aliases", pa.list_(ALIAS)),
    ]
)
"""Licence and origin of each picture, which no other layout has a place for."""


@dataclass(frozen=True)
class Exported:
    """What an export came to."""

    folder: Path
    rows: dict[str, int]
    """Split to rows."""
    files: int
    bytes: int

    def record(self) -> dict[str, Any]:
        """Return plain data."""
        return {"folder": str(self.folder), "rows": self.rows, "files": self.files, "bytes": self.bytes}


def write_export(corpus: DatasetFolder, form: Format, out: Path) -> Exported:
    """Write a corpus in another layout; a kill leaves what was there before.

    Raises:
        UserError: something that cirgen did not write is there, or a picture cannot be had.
    """
    check_place(corpus.folder, out)
    with replaced_folder(out) as root:
        rows = _copy(corpus, root) if form == "hf" else _write(corpus, form, root)
    files = [path for path in out.rglob("*") if path.is_file()]
    return Exported(out, rows, len(files), sum(path.stat().st_size for path in files))


def check_place(source: Path, out: Path) -> None:
    """Refuse to replace anything but an earlier export.

    Raises:
        UserError: says what is there.
    """
    if out.is_file():
        raise UserError(f"{out} is a file; give the name of a folder with --out.")
    inside, place = source.resolve(), out.resolve()
    if inside == place or place in inside.parents or inside in place.parents:
        raise UserError(f"{out} holds the corpus itself, or lies in it; give another --out.")
    if out.is_dir() and any(out.iterdir()) and not (out / MARK).is_file():
        raise UserError(f"{out} holds files that no export wrote; give another --out, or empty it.")


def _copy(corpus: DatasetFolder, root: Path) -> dict[str, int]:
    """Copy the dataset folder, file by file; the mark is no part of what `datasets` reads."""
    paths = sorted(path for path in corpus.folder.rglob("*") if path.is_file())
    with corpus.progress.step("Copy files", len(paths)) as step:
        for path in paths:
            place = root / path.relative_to(corpus.folder)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
            step.advance()
    rows = {split: corpus.count(split) for split in corpus.splits}
    _mark(corpus, "hf", root, rows)
    return rows


def _write(corpus: DatasetFolder, form: Format, root: Path) -> dict[str, int]:
    rows = WRITERS[form](corpus, root)
    (root / "CARD.md").write_text(_card(corpus.folder / "README.md"), encoding="utf8")
    if (corpus.folder / "LICENSE").is_file():
        shutil.copyfile(corpus.folder / "LICENSE", root / "LICENSE")
    write_rows(root / "attribution.parquet", corpus.image_rows(ATTRIBUTION.names), ATTRIBUTION)
    _mark(corpus, form, root, rows)
    return rows


def _card(readme: Path) -> str:
    """Return the text of a card without its front matter, whose files are not those of another layout."""
    text = readme.read_text(encoding="utf8") if readme.is_file() else ""
    return text.split("\n---\n", 1)[1].lstrip() if text.startswith("---\n") else text


def _mark(corpus: DatasetFolder, form: str, root: Path, rows: dict[str, int]) -> None:
    facts = {
        "cirgen": __version__,
        "format": form,
        "corpus": corpus.name,
        "recipe_hash": corpus.manifest.get("recipe_hash", ""),
        "files": {path: sha for path, sha in corpus.manifest.get("files", {}).items() if path.startswith("triplets/")},
        "rows": rows,
    }
    (root / MARK).write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf8")
