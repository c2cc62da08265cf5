"""Pictures small enough to lie inside an HTML file."""

from __future__ import annotations

import base64
import io

from PIL import Image

from cirgen.backends.base import ImageReader

SIDE = 160  # pixels
QUALITY = 78


class Thumbnails:
    """Makes data URIs of pictures, each once."""

    def __init__(self, images: ImageReader) -> None:
        self._images = images
        self._made: dict[str, str] = {}

    def uri(self, image_id: str) -> str:
        """Return a picture as a data URI, or nothing where its file is gone: the report then says so in its place."""
        if image_id not in self._made:
            try:
                self._made[image_id] = _uri(self._images.open(image_id))
            except OSError:
                self._made[image_id] = ""
        return self._made[image_id]


def _uri(image: Image.Image) -> str:
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.convert("RGB").save(file, "JPEG", quality=QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
