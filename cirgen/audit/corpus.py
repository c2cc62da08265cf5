"""What an audit looks at: rows of (reference, text, target), the galleries they are asked of, and pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, Protocol

from PIL import Image

from cirgen.pictures import decode


class Row(NamedTuple):
    """One query of a corpus."""

    row_id: str
    split: str
    gallery: str
    """Name of the gallery that it is asked of."""
    reference: str
    text: str
    target: str
    """Empty where a benchmark withholds it."""
    positives: tuple[str, ...] = ()
    """Other right answers, as far as the corpus lists them."""
    change_type: str = ""


class Facts(NamedTuple):
    """What a corpus says of one image; None where it does not say, empty where it says that it does not know."""

    caption: str = ""
    group: str | None = None
    """Name of its near-duplicate group."""
    license: str | None = None


class Pictures(Protocol):
    """The files of a corpus's pictures."""

    def has(self, image_id: str) -> bool:
        """Return whether there is a file of this image."""
        ...

    def read(self, image_id: str) -> bytes:
        """Return the bytes of a picture file.

        Raises:
            OSError: it cannot be read any more.
        """
        ...


@dataclass(frozen=True)
class ModelFact:
    """A model that made or filtered a corpus."""

    role: str
    model: str
    content: str
    """Hash of its files."""


@dataclass(frozen=True)
class Corpus:
    """A dataset, however it came."""

    name: str
    kind: str
    """What it was taken for, in words."""
    rows: tuple[Row, ...]
    galleries: Mapping[str, tuple[str, ...]]
    """Name to distinct image ids."""
    facts: Mapping[str, Facts] = field(default_factory=dict)
    """What is known of images, by id."""
    pictures: Pictures | None = None
    no_pictures: str = ""
    """Why there are none, and what to do."""
    models: tuple[ModelFact, ...] = ()
    """What its manifest says of the models that made it."""
    notes: tuple[str, ...] = ()
    """What a reader must know of how it was read."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Hash of the files of a dataset folder that hold rows and images, by relative path."""

    @cached_property
    def image_ids(self) -> tuple[str, ...]:
        """Every image of any gallery once, sorted."""
        return tuple(sorted({image_id for gallery in self.galleries.values() for image_id in gallery}))

    @cached_property
    def triplets(self) -> tuple[Row, ...]:
        """The rows whose target is known."""
        return tuple(row for row in self.rows if row.target)

    def open(self, image_id: str) -> Image.Image:
        """Return a picture, RGB, upright.

        Raises:
            OSError: there is none, or it cannot be decoded.
        """
        if self.pictures is None or not self.pictures.has(image_id):
            raise OSError(f"no picture of {image_id}")
        return decode(self.pictures.read(image_id)).image


class BytePictures:
    """Pictures held in memory, for few and small ones."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files

    def has(self, image_id: str) -> bool:
        """Return whether there is such a picture."""
        return image_id in self._files

    def read(self, image_id: str) -> bytes:
        """Return its bytes."""
        return self._files[image_id]


def named_gallery(rows: Sequence[Row]) -> tuple[str, ...]:
    """Return every image that some rows name, sorted."""
    return tuple(sorted({i for row in rows for i in (row.reference, row.target, *row.positives) if i}))


def content_key(data: bytes) -> str:
    """Return the sha256 of file bytes."""
    return hashlib.sha256(data).hexdigest()
