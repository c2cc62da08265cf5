"""Image files by name, as the benchmarks keep them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PIL import Image

from cirgen.errors import UserError
from cirgen.pictures import PictureError, decode, pixel_hash
from cirgen.sources.base import Item, Source
from cirgen_benchmark.images import ImageCollection


class SourceImages(ImageCollection):
    """The images of a `cirgen` source under the names that its annotations give them.

    Names that lead to the same pixels have the same content.
    """

    def __init__(self, items: Mapping[str, Item]) -> None:
        self._items = items
        self._contents: dict[str, str] = {}

    @classmethod
    def of(cls, source: Source) -> SourceImages:
        """List the images of a source; a name in several categories is one image.

        Raises:
            UserError: as `source.items`, such as for missing images.
        """
        return cls({item.source_id: item for item in source.items()})

    @property
    def ids(self) -> Sequence[str]:
        """Every name, in the order of the source."""
        return tuple(self._items)

    def open(self, image_id: str) -> Image.Image:
        """Decode one image."""
        item = self._items[image_id]
        try:
            return decode(item.read()).image
        except (PictureError, OSError, ValueError) as error:
            where = item.path or image_id
            raise UserError(f"The image {where} cannot be read ({error}); fetch it again.") from error

    def content(self, image_id: str) -> str:
        """Return the hash of the image's pixels; decodes it at the first call."""
        if image_id not in self._contents:
            self._contents[image_id] = pixel_hash(self.open(image_id))
        return self._contents[image_id]
