"""Reads an item of a source once: its bytes, what they show, or why they show nothing."""

from __future__ import annotations

import errno
import hashlib
from typing import Any, NamedTuple

import pyarrow as pa

from cirgen.keys import KEY_SCHEME, digest
from cirgen.pictures import PictureError, color_hash, decode, perceptual_hash, pixel_hash
from cirgen.schemas import ALIAS, INGEST, Status
from cirgen.sources.base import Item, utf8_text

UNREADABLE = "cannot be read"
"""How the error of a row begins whose bytes could not be had."""


class Read(NamedTuple):
    """One item after reading: the row, and the bytes where the store has to keep them."""

    row: dict[str, Any]
    data: bytes


def item_key(item: Item) -> str:
    """Return the key of an item's row: its name and what stands for its content, never its position."""
    return digest("ingest", KEY_SCHEME, item.source, item.source_id, item.identity)


def alias_of(item: Item) -> dict[str, str]:
    """Return who an item says that it is (`schemas.ALIAS`)."""
    return {field.name: getattr(item, field.name) for field in ALIAS}


def item_path(item: Item) -> str:
    """Return where the bytes lie; empty where no table can hold the name, so that they are copied into the run."""
    path = str(item.path.absolute()) if item.path else item.url_path
    return path if path == utf8_text(path) else ""


def read_item(item: Item, key: str, attempt: int) -> Read:
    """Read an item once and describe it; whatever is wrong with it becomes the row's status and reason."""
    row = _empty_row(item, key, attempt)
    try:
        data = item.read()
    except (OSError, ValueError, MemoryError) as error:
        return _failed(row, _status_of(error), f"{UNREADABLE}: {error}")
    row |= {"image_id": hashlib.sha256(data).hexdigest(), "length": len(data)}
    try:
        image, notes, format_name = decode(data)
        row |= {"notes": list(notes), "format": format_name, "width": image.width, "height": image.height}
        row |= {"pixel_hash": pixel_hash(image), "color_hash": color_hash(image)}
        row["perceptual_hash"] = perceptual_hash(image)
    except PictureError as error:
        return _failed(row, "image_error", str(error))
    except MemoryError:
        return _failed(row, "oom", "decoding needs more memory than there is")
    return Read(row, b"" if row["path"] else data)


def _status_of(error: Exception) -> Status:
    """Tell what may be read another time, which every resumed run tries, from what can never be."""
    if isinstance(error, MemoryError):
        return "oom"
    hopeless = isinstance(error, ValueError) or getattr(error, "errno", None) == errno.ENAMETOOLONG
    return "image_error" if hopeless else "engine_error"


def _empty_row(item: Item, key: str, attempt: int) -> dict[str, Any]:
    empty = {field.name: "" for field in INGEST if field.type == pa.string()}
    place = {
        "path": item_path(item),
        "offset": item.offset,
        "length": 0,
        "caption": item.caption,
        "alias": alias_of(item),
    }
    return {**empty, "key": key, "attempt": attempt, "status": "ok", "width": 0, "height": 0, "notes": [], **place}


def _failed(row: dict[str, Any], status: Status, error: str) -> Read:
    return Read({**row, "status": status, "error": utf8_text(error)}, b"")


def cannot_be_read(read: Read) -> bool:
    """Return whether the bytes of an item could not be had, as opposed to understood."""
    return str(read.row["error"]).startswith(UNREADABLE)


def failed_read(item: Item, key: str, attempt: int, error: str) -> Read:
    """Return the row of an item that ended whoever read it."""
    return _failed(_empty_row(item, key, attempt), "engine_error", error)
