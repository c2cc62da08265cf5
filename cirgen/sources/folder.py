"""A folder of image files, searched recursively, here or on object storage."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Literal

from cirgen.errors import UserError
from cirgen.object_storage import Listed, is_url, listed
from cirgen.pictures import suffixes
from cirgen.resources import local_path
from cirgen.settings import Name
from cirgen.sources.base import Item, Known, Source, SourceSettings, file_item, object_item


class FolderSettings(SourceSettings):
    """Where the folder is."""

    kind: Literal["folder"] = "folder"
    path: Name
    """Local folder, `cirgen:images`, or a url such as s3://bucket/folder."""


class Folder(Source):
    """Every file under a folder that its suffix calls a picture, hidden ones left out."""

    Settings = FolderSettings

    def __init__(self, settings: FolderSettings) -> None:
        self.settings = settings
        self._closed: list[OSError] = []

    def items(self) -> Iterator[Item]:
        """Yield the files by relative path."""
        known = Known().or_else(self.settings)
        if is_url(self.settings.path):
            for image in self._objects:
                yield object_item(self.settings.path, image, known)
            return
        root = local_path(self.settings.path)
        for name in self._names:
            yield file_item(self.settings.path, name, root / name, known)

    def count(self) -> int:
        """Return the number of files."""
        return len(self._objects if is_url(self.settings.path) else self._names)

    def remarks(self) -> list[str]:
        """Name the folders that could not be looked into."""
        self.count()  # looks into all
        return [f"{error.filename} was left out ({error.strerror}); mend it and run again." for error in self._closed]

    @cached_property
    def _objects(self) -> list[Listed]:
        found = [one for one in listed(self.settings.path) if _is_picture(one.name)]
        if not found:
            raise UserError(f"No image lies under {self.settings.path}; put images there, or correct images.path.")
        return found

    @cached_property
    def _names(self) -> list[str]:
        root = local_path(self.settings.path)
        if not root.is_dir():
            raise UserError(f"There is no folder at {root}; set images.path to a folder of images.")
        names = sorted(path.relative_to(root).as_posix() for path in files_under(root, self._closed.append))
        if not names:
            raise UserError(
                f"No image file lies under {root}; put images there, or set images.path to another folder."
            )
        return names


def _is_picture(name: str) -> bool:
    """Return whether a name below a folder is a picture's, and nothing on the way to it is hidden."""
    parts = name.split("/")
    return Path(parts[-1]).suffix.lower() in suffixes() and not any(part.startswith(".") for part in parts)


def files_under(root: Path, closed: Callable[[OSError], None]) -> Iterator[Path]:
    """Yield the picture files under a folder; a folder that links reach twice is entered once, so loops end.

    Args:
        root: where to begin.
        closed: takes the error of every folder that cannot be looked into.
    """
    entered: set[tuple[int, int]] = set()
    for folder, folders, files in os.walk(root, onerror=closed, followlinks=True):
        stat = Path(folder).stat()
        if (stat.st_dev, stat.st_ino) in entered:
            folders.clear()
            continue
        entered.add((stat.st_dev, stat.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in files:
            path = Path(folder, name)
            if path.suffix.lower() in suffixes() and not name.startswith(".") and path.is_file():
                yield path
