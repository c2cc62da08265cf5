"""Image files by name, as the benchmarks keep them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PIL import Image

from cirgen.errors import UserError
from cirgen.pictures import PictureError, decode
from cirgen.sources.base import Item, Source
from cirgen_benchmark.images import PixelImages


class SourceImages(PixelImages):
    """The images of a `cirgen` source under the names that its annotations give them.

    Names that lead to the same pixels have the same content.
    """

    def __init__(self, items: Mapping[str, Item]) -> None:
        super().__init__()
        self._items = items

    @classmethod
    def of(cls, source: Source, name: str, allow_missing: bool = False) -> SourceImages:
        """List the images of a source; a name in several categories is one image.

        Args:
            source: which is told to go on without missing images.
            name: of what it is a copy, for messages.
            allow_missing: go on without them.

        Raises:
            UserError: images are missing and that is not allowed, or all of them are.
        """
        remarks = " ".join(source.remarks())
        if source.count() == 0:
            raise UserError(f"No image of {name} was found ({remarks}); set --root to a folder that holds its images.")
        if remarks and not allow_missing:
            raise UserError(
                f"The copy of {name} has holes ({remarks}); fetch the images, or go on without them: "
                "--set allow_missing=true."
            )
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
