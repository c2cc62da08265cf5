"""How a picture travels: its id, and with it the place where its bytes lie, or the bytes themselves."""

from __future__ import annotations

import io
from collections.abc import Callable

from PIL import Image

from cirgen.backends.base import ImageReader
from cirgen.images import Place, RunImages, read_place
from cirgen.pictures import decode


class Travelling(str):
    """An image id that brings its picture along; as an id it is like any other, whoever compares or hashes it."""

    __slots__ = ("data", "place")

    place: Place | None
    data: bytes | None

    def __new__(cls, image_id: str, place: Place | None = None, data: bytes | None = None) -> Travelling:
        """Give an id a place, or bytes."""
        made = super().__new__(cls, image_id)
        made.place, made.data = place, data
        return made

    def __reduce__(self) -> tuple[type[Travelling], tuple[str, Place | None, bytes | None]]:
        return Travelling, (str(self), self.place, self.data)


def read_travelled(image_id: str) -> Travelling:
    """Return the id with the bytes of its picture.

    Raises:
        OSError: it brought a place that cannot be read from here, or nothing.
    """
    if isinstance(image_id, Travelling):
        if image_id.data is not None:
            return image_id
        if image_id.place is not None:
            return Travelling(image_id, data=read_place(image_id.place, image_id))
    raise OSError(f"image {image_id} brought no picture along")


class Travelled:
    """Opens pictures where they have travelled to: an `ImageReader` without state, for threads and processes."""

    def open(self, image_id: str) -> Image.Image:
        """Return the picture, RGB, upright.

        Raises:
            OSError: as `read_travelled`.
        """
        return decode(read_travelled(image_id).data or b"").image


Pack = Callable[[str, bool], str]
"""Makes an id travel, given whether its bytes must."""


def packing(images: ImageReader) -> Pack:
    """Return what makes the pictures of a reader travel.

    Compressed bytes travel as they are; a reader that has none is asked for the picture, which travels as PNG.
    """

    def pack(image_id: str, by_value: bool) -> str:
        """Raises OSError where the picture cannot be read here either."""
        if not isinstance(images, RunImages):
            file = io.BytesIO()
            images.open(image_id).save(file, "PNG")
            return Travelling(image_id, data=file.getvalue())
        return (
            Travelling(image_id, data=images.read(image_id))
            if by_value
            else Travelling(image_id, images.place(image_id))
        )

    return pack
