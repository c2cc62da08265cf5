"""Several collections as one: what human triplets and a corpus name together."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from cirgen_benchmark.images import ImageCollection


class UnionImages(ImageCollection):
    """All images of some collections; an id that several of them have is the first one's."""

    def __init__(self, *parts: ImageCollection) -> None:
        self._owner = {image_id: part for part in reversed(parts) for image_id in part.ids}
        self._ids = tuple(dict.fromkeys(image_id for part in parts for image_id in part.ids))

    @property
    def ids(self) -> Sequence[str]:
        """Every id once, in the order of the collections."""
        return self._ids

    def open(self, image_id: str) -> Image.Image:
        """Decode one image."""
        return self._owner[image_id].open(image_id)

    def content(self, image_id: str) -> str:
        """Return the hash of what the image shows."""
        return self._owner[image_id].content(image_id)

    def group(self, image_id: str) -> str:
        """Return the group of near duplicates that the image is in."""
        return self._owner[image_id].group(image_id)
