"""Images by id, opened one at a time: what triplets and galleries name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from PIL import Image

from cirgen.pictures import pixel_hash


class ImageCollection(ABC):
    """A set of images; nothing is decoded before it is asked for."""

    @property
    @abstractmethod
    def ids(self) -> Sequence[str]:
        """Every image id, in a fixed order."""

    @abstractmethod
    def open(self, image_id: str) -> Image.Image:
        """Decode one image, RGB and upright.

        Raises:
            KeyError: the collection has no such image.
            UserError: the file cannot be read.
        """

    @abstractmethod
    def content(self, image_id: str) -> str:
        """Return a hash of the image's pixels or bytes: equal for what is the same picture under two ids.

        A bank of targets has one row for each content (arXiv 2404.11317, released code: pixel-identical images are
        merged); caches are keyed by it, never by a path.
        """

    def group(self, image_id: str) -> str:
        """Return the group of near duplicates that an image is in; by default its content alone."""
        return self.content(image_id)


class PixelImages(ImageCollection):
    """Images whose content is a hash of their pixels, whatever file they come from; decoded once for it."""

    def __init__(self) -> None:
        self._contents: dict[str, str] = {}

    def content(self, image_id: str) -> str:
        """Return the hash of the image's pixels."""
        if image_id not in self._contents:
            self._contents[image_id] = pixel_hash(self.open(image_id))
        return self._contents[image_id]
