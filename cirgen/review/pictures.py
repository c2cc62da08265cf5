"""The pictures of a review as the page shows them: made anew from what cirgen decodes, never a file passed on."""

from __future__ import annotations

import functools
import io
from collections.abc import Iterable
from typing import NamedTuple

from PIL import Image

from cirgen.backends.base import ImageReader

MAX_SIDE = 1024  # pixels: two of them fill a wide screen
LOSSLESS_SIDE = 512  # pixels: what is shown enlarged would show what JPEG does to edges
QUALITY = 95
KEPT = 64
"""Pictures kept in memory, up to some 500 kB each: a reviewer goes back and forth."""


class Picture(NamedTuple):
    """A picture ready to be sent."""

    kind: str
    """Content type."""
    content: bytes


class ReviewPictures:
    """Makes copies of the pictures of a sample, and of no other; threads may share it."""

    def __init__(self, images: ImageReader, image_ids: Iterable[str]) -> None:
        self._images = images
        self._known = frozenset(image_ids)
        self._made = functools.lru_cache(KEPT)(self._make)

    def picture(self, image_id: str) -> Picture | None:
        """Return a picture, None where it is none of the sample, or its file is gone or changed."""
        if image_id not in self._known:
            return None
        try:
            return self._made(image_id)
        except OSError:
            return None

    def _make(self, image_id: str) -> Picture:
        image = self._images.open(image_id)
        image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
        file = io.BytesIO()
        if max(image.size) <= LOSSLESS_SIDE:
            image.save(file, "PNG")
            return Picture("image/png", file.getvalue())
        image.save(file, "JPEG", quality=QUALITY, subsampling=0)
        return Picture("image/jpeg", file.getvalue())
