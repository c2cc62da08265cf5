"""Picture files below a folder, by the names that a corpus knows them by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from cirgen.audit.corpora.options import Options
from cirgen.audit.corpus import Pictures
from cirgen.errors import UserError
from cirgen.pictures import suffixes
from cirgen.sources.base import Item, Source


class FolderPictures:
    """Files found by their path below a folder, by their name, or by their name without suffix, in this order.

    Raises:
        UserError: there is no such folder.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise UserError(f"There is no folder {folder}; set --images to the folder of the pictures.")
        paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in suffixes() and path.is_file())
        self._paths: dict[str, Path] = {}
        for names in (
            ((path.relative_to(folder).as_posix(), path) for path in paths),
            ((path.name, path) for path in paths),
            ((path.stem, path) for path in paths),
        ):
            for name, path in names:
                self._paths.setdefault(name, path)

    def has(self, image_id: str) -> bool:
        """Return whether there is a file of that name."""
        return image_id in self._paths

    def read(self, image_id: str) -> bytes:
        """Return the bytes of a file; raises OSError where it is gone."""
        return self._paths[image_id].read_bytes()


class ItemPictures:
    """Pictures as a source lists them, by the id that it gives."""

    def __init__(self, items: Mapping[str, Item]) -> None:
        self._items = items

    def has(self, image_id: str) -> bool:
        """Return whether the source has a file of it."""
        return image_id in self._items

    def read(self, image_id: str) -> bytes:
        """Return the bytes of a file; raises OSError where it is gone."""
        return self._items[image_id].read()


def benchmark_pictures(sources: Iterable[Source], options: Options, lack: str) -> tuple[Pictures | None, str]:
    """Return the pictures of a benchmark's copy, or of the folder that the user names; None and `lack` without any."""
    if options.images is not None:
        return FolderPictures(options.images), ""
    try:
        return ItemPictures({item.source_id: item for source in sources for item in source.items()}), ""
    except UserError:
        return None, lack


def chosen_splits(root: Path, there: list[str], options: Options) -> list[str]:
    """Return the split that the user names, or all that a copy has.

    Raises:
        UserError: the copy has no such split.
    """
    if options.split is not None and options.split not in there:
        raise UserError(f"{root} has no captions of split '{options.split}'; it has {', '.join(there)}.")
    return [options.split] if options.split else there
