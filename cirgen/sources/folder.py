"""A folder of image files, searched recursively."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from cirgen.errors import UserError
from cirgen.resources import local_path
from cirgen.sources.base import Item, Source, SourceSettings


class FolderSettings(SourceSettings):
    """Where the folder is."""

    kind: Literal["folder"] = "folder"
    path: str
    """Local folder, or `cirgen:images`."""


class Folder(Source):
    """Every file under a folder that Pillow knows by its suffix."""

    Settings = FolderSettings

    def __init__(self, settings: FolderSettings) -> None:
        self.settings = settings

    def items(self) -> Iterator[Item]:
        """Yield the files by relative path."""
        root = local_path(self.settings.path)
        if not root.is_dir():
            raise UserError(f"There is no folder at {root}; set images.path to a folder of images.")
        files = sorted(path for path in root.rglob("*") if path.suffix.lower() in _suffixes() and path.is_file())
        if not files:
            raise UserError(
                f"No image file lies under {root}; put images there, or set images.path to another folder."
            )
        for path in files:
            yield self._item(root, path)

    def _item(self, root: Path, path: Path) -> Item:
        stat = path.stat()
        return Item(
            source=self.settings.path,
            source_id=path.relative_to(root).as_posix(),
            identity=f"{stat.st_size}-{stat.st_mtime_ns}",
            read=path.read_bytes,
            path=path,
            category=self.settings.category,
            license=self.settings.license,
            author=self.settings.author,
        )


def _suffixes() -> frozenset[str]:
    from PIL import Image

    return frozenset(Image.registered_extensions())
