"""FashionIQ as people have it: `captions/`, `image_splits/` and `images/{id}.jpg` or `.png` under one root."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import BaseModel

from cirgen.errors import UserError
from cirgen.resources import local_path
from cirgen.settings import Name
from cirgen.sources.annotations import check_missing, load_annotations, missing_remark
from cirgen.sources.base import GivenPair, Item, Known, Source, SourceSettings, file_item, named_in

Category = Literal["dress", "shirt", "toptee"]
_SUFFIXES = (".jpg", ".png", ".jpeg")


class FashionIQSettings(SourceSettings):
    """Where the copy is, and which part of it to take."""

    kind: Literal["fashioniq"] = "fashioniq"
    root: Name
    """Folder that holds captions/, image_splits/ and images/."""
    categories: tuple[Category, ...] = ("dress", "shirt", "toptee")
    split: Literal["train", "val", "test"] = "train"
    allow_missing: bool = False
    """Go on without images that the copy lacks; many links of the original list are dead."""
    only_in_triplets: bool = False
    """Take just the images that a human triplet of the split names, reference or target: SPN4CIR pairs among these."""


class _Caption(BaseModel):
    candidate: str
    target: str | None = None


class _Name(NamedTuple):
    name: str
    category: str


class FashionIQ(Source):
    """The images that `image_splits/split.{category}.{split}.json` name; the id is the name."""

    Settings = FashionIQSettings

    def __init__(self, settings: FashionIQSettings) -> None:
        self.settings = settings

    def items(self) -> Iterator[Item]:
        """Yield every name once per category it is in, by name: one file, several aliases.

        Raises:
            UserError: the layout is another one, or images are missing and that is not allowed.
        """
        check_missing(self._missing, len(self._names), self._folder, self.settings.allow_missing)
        for name, category in self._names:
            if name in self._files:
                known = Known(category=category).or_else(self.settings)
                yield file_item("fashioniq", name, self._folder / self._files[name], known)

    def count(self) -> int:
        """Return the number of names that have an image."""
        return len(self._names) - len(self._missing)

    def remarks(self) -> list[str]:
        """Say which images are missing."""
        return [missing_remark(self._missing, len(self._names)) + "."] if self._missing else []

    def pairs(self) -> Iterator[GivenPair]:
        """Yield the pairs that people described, category by category, in the order of the caption files.

        Raises:
            UserError: there is no caption file, or its targets are withheld.
        """
        for category in self.settings.categories:
            path = self._root / "captions" / f"cap.{category}.{self.settings.split}.json"
            for row in load_annotations(path, list[_Caption]):
                if row.target is None:
                    raise UserError(f"{path} withholds its targets; set images.split to train or val.")
                yield GivenPair(row.candidate, row.target)

    @cached_property
    def _root(self) -> Path:
        return local_path(self.settings.root)

    @property
    def _folder(self) -> Path:
        return self._root / "images"

    @cached_property
    def _names(self) -> list[_Name]:
        folder = self._root / "image_splits"
        named = named_in(self.pairs()) if self.settings.only_in_triplets else None
        return sorted(
            _Name(name, category)
            for category in set(self.settings.categories)
            for name in set(load_annotations(folder / f"split.{category}.{self.settings.split}.json", list[str]))
            if named is None or name in named
        )

    @cached_property
    def _files(self) -> dict[str, str]:
        """File name of each image name; where a name has several files, the suffix that comes first wins."""
        if not self._folder.is_dir():
            raise UserError(f"There is no folder {self._folder}; put the images there as NAME.jpg or NAME.png.")
        files = [path for path in self._folder.iterdir() if path.suffix.lower() in _SUFFIXES]
        files.sort(key=lambda path: (_SUFFIXES.index(path.suffix.lower()), path.name), reverse=True)
        return {path.stem: path.name for path in files}

    @cached_property
    def _missing(self) -> list[str]:
        return [name for name, _ in self._names if name not in self._files]
