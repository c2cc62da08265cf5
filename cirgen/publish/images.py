"""The bytes of a published picture: the original file less its metadata, or a smaller copy where it is too large."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Literal, Protocol

import pyarrow as pa
from PIL import Image

from cirgen.backends.base import ImageReader
from cirgen.errors import UserError
from cirgen.pictures import decode
from cirgen.publish.metadata import without_metadata
from cirgen.publish.places import public_alias
from cirgen.publish.tables import IMAGES, PREVIEW, Tables

ImageMode = Literal["embed", "link", "none"]

PREVIEW_SIDE = 512  # pixels: a viewer cuts heavier cells off
JPEG_QUALITY = 92
_PLAIN = {b"\xff\xd8\xff": ".jpg", b"\x89PNG": ".png"}
"""How files of the formats that every reader takes begin."""


class ByteReader(ImageReader, Protocol):
    """Opens a picture of the run, or gives its original bytes."""

    def read(self, image_id: str) -> bytes:
        """Return the original file bytes.

        Raises:
            OSError: the file changed or cannot be read any more.
        """
        ...


@dataclass(frozen=True)
class Picture:
    """A picture as it is published."""

    content: bytes
    width: int
    height: int

    @property
    def sha256(self) -> str:
        """Return the hash of the published bytes."""
        return hashlib.sha256(self.content).hexdigest()


class Pictures:
    """Makes pictures fit for publication.

    Args:
        reader: opens pictures of the run.
        max_side: larger ones are scaled down to this side, in pixels; None leaves all as they are.
        strip: leave out what the file tells beside the picture.
    """

    def __init__(self, reader: ByteReader, max_side: int | None, strip: bool) -> None:
        self._reader = reader
        self._max_side = max_side
        self._strip = strip

    def make(self, image_id: str, width: int, height: int) -> Picture:
        """Return a picture whose original has this size, upright, in pixels.

        Raises:
            UserError: its file is gone or changed.
        """
        try:
            picture = Picture(self._reader.read(image_id), width, height)
            if self._max_side is not None and max(width, height) > self._max_side:
                picture = _smaller(self._reader.open(image_id), _is_png(picture.content), self._max_side)
            return replace(picture, content=without_metadata(picture.content)) if self._strip else picture
        except OSError as error:
            raise UserError(
                f"Image {image_id} can no longer be read ({error}); restore its file, or set export.images to 'none'."
            ) from error


def _is_png(content: bytes) -> bool:
    return content.startswith(b"\x89PNG")


def _smaller(image: Image.Image, keep_png: bool, side: int) -> Picture:
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    if keep_png:
        image.save(file, "PNG", optimize=True)
    else:
        image.save(file, "JPEG", quality=JPEG_QUALITY)
    return Picture(file.getvalue(), image.width, image.height)


def plain_picture(content: bytes) -> tuple[str, bytes]:
    """Return suffix and bytes of a picture as every reader takes it: JPEG and PNG as they are, others as PNG."""
    for start, suffix in _PLAIN.items():
        if content.startswith(start):
            return suffix, content
    file = io.BytesIO()
    decode(content).image.save(file, "PNG")
    return ".png", file.getvalue()


def images_schema(mode: ImageMode) -> pa.Schema:
    """Return the columns of `images`; without pictures there is no `image` and no `sha256`."""
    left_out = {"none": {"image", "sha256"}, "link": {"sha256"}, "embed": set()}[mode]
    return pa.schema([field for field in IMAGES if field.name not in left_out])


def image_batches(tables: Tables, pictures: Pictures, mode: ImageMode, rows: int) -> Iterator[pa.RecordBatch]:
    """Yield one row for every image that a published triplet names, by image_id, so many `rows` at a time."""
    schema = images_schema(mode)
    made = (_image_row(row, pictures, mode) for row in tables.image_rows())
    while batch := list(islice(made, rows)):
        yield pa.RecordBatch.from_pylist(batch, schema)


def _image_row(row: Mapping[str, Any], pictures: Pictures, mode: ImageMode) -> dict[str, Any]:
    source = origin(row["aliases"])
    known = {
        **{name: row[name] for name in ("image_id", "width", "height", "caption", "group")},
        **{name: public_alias(source)[name] for name in ("license", "author", "url")},
        "aliases": [public_alias(alias) for alias in row["aliases"]],
    }
    if mode == "embed":
        picture = pictures.make(row["image_id"], row["width"], row["height"])
        image = {"bytes": picture.content, "path": None}
        known |= {"image": image, "width": picture.width, "height": picture.height, "sha256": picture.sha256}
    elif mode == "link":
        known["image"] = {"bytes": None, "path": _link(row, source)}
    return known


def origin(aliases: list[dict[str, str]]) -> dict[str, str]:
    """Return the alias that speaks for an image: the first that names a licence, else the first."""
    return next((alias for alias in aliases if alias["license"]), aliases[0])


def _link(row: Mapping[str, Any], source: Mapping[str, str]) -> str:
    is_whole_file = row["path"] and row["offset"] == 0
    if not source["url"] and not is_whole_file:
        raise UserError(
            f"Image {row['image_id']} has neither a URL nor a file of its own to link to; "
            "set export.images to 'embed' or 'none'."
        )
    return source["url"] or str(row["path"])


def preview_batches(
    rows: list[dict[str, str]], sizes: Mapping[str, tuple[int, int]], pictures: Pictures
) -> Iterator[pa.RecordBatch]:
    """Yield triplets with both pictures in them, for people and the Hub's viewer."""

    def cell(image_id: str) -> dict[str, Any]:
        return {"bytes": pictures.make(image_id, *sizes[image_id]).content, "path": None}

    for row in rows:
        pair = {"reference": cell(row["reference_id"]), "target": cell(row["target_id"])}
        shown = {**pair, "text": row["text"], "triplet_id": row["triplet_id"]}
        yield pa.RecordBatch.from_pylist([shown], PREVIEW)
