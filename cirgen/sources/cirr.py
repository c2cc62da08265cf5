"""CIRR as people have it: `captions/`, `image_splits/`, and images where the split paths start."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from cirgen.errors import UserError
from cirgen.resources import local_path
from cirgen.settings import Name
from cirgen.sources.annotations import check_missing, load_annotations, missing_remark
from cirgen.sources.base import GivenPair, Item, Known, Source, SourceSettings, file_item, named_in

_VERSION = "rc2"
_IMAGE_LEVELS = ("", "cirr", "img_raw", "images", "..", "../img_raw", "../images")
"""Where, from the annotations, copies keep the images that the split file calls `./train/34/NAME.png`."""
_PROBES = 200  # paths that are looked up to tell the image folder


class CIRRSettings(SourceSettings):
    """Where the copy is, and which split to take."""

    kind: Literal["cirr"] = "cirr"
    root: Name
    """Folder that holds captions/ and image_splits/, or a folder cirr/ that does."""
    split: Literal["train", "val", "test1"] = "train"
    allow_missing: bool = False
    """Go on without images that the copy lacks."""
    only_in_triplets: bool = False
    """Take just the images that a human triplet of the split names, reference or target: SPN4CIR pairs among these."""


class _Caption(BaseModel):
    reference: str
    target_hard: str | None = None


class CIRR(Source):
    """The images of `image_splits/split.rc2.{split}.json`; the id is the name there."""

    Settings = CIRRSettings

    def __init__(self, settings: CIRRSettings) -> None:
        self.settings = settings

    def items(self) -> Iterator[Item]:
        """Yield the images by name.

        Raises:
            UserError: the layout is another one, or images are missing and that is not allowed.
        """
        check_missing(self._missing, len(self._paths), self._folder, self.settings.allow_missing)
        missing = set(self._missing)
        for name, path in sorted(self._paths.items()):
            if name not in missing:
                yield file_item("cirr", name, self._folder / path, Known().or_else(self.settings))

    def count(self) -> int:
        """Return the number of names that have an image."""
        return len(self._paths) - len(self._missing)

    def remarks(self) -> list[str]:
        """Say which images are missing."""
        return [missing_remark(self._missing, len(self._paths)) + "."] if self._missing else []

    def pairs(self) -> Iterator[GivenPair]:
        """Yield the pairs that people described, in the order of the caption file.

        Raises:
            UserError: there is no caption file, or its targets are withheld.
        """
        for row in load_annotations(self.captions_file, list[_Caption]):
            if row.target_hard is None:
                raise UserError(f"{self.captions_file} withholds its targets; set images.split to train or val.")
            yield GivenPair(row.reference, row.target_hard)

    @property
    def captions_file(self) -> Path:
        """The annotation file of the split's triplets."""
        return self._annotations / "captions" / f"cap.{_VERSION}.{self.settings.split}.json"

    @cached_property
    def _annotations(self) -> Path:
        root = local_path(self.settings.root)
        return root / "cirr" if (root / "cirr" / "image_splits").is_dir() else root

    @cached_property
    def _paths(self) -> dict[str, str]:
        path = self._annotations / "image_splits" / f"split.{_VERSION}.{self.settings.split}.json"
        paths = load_annotations(path, dict[str, str])
        if not self.settings.only_in_triplets:
            return paths
        named = named_in(self.pairs())
        return {name: place for name, place in paths.items() if name in named}

    @cached_property
    def _folder(self) -> Path:
        """The folder that holds most of a sample of the images; the first one where none holds any."""
        sample = list(islice(sorted(self._paths.values()), 0, None, max(1, len(self._paths) // _PROBES)))
        folders = [self._annotations / level for level in _IMAGE_LEVELS]
        return max(folders, key=lambda folder: sum((folder / place).is_file() for place in sample))

    @cached_property
    def _missing(self) -> list[str]:
        return sorted(name for name, place in self._paths.items() if not (self._folder / place).is_file())
