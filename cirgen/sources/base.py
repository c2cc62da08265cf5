"""What a source of images yields: where the bytes are, and what is known of them."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

from cirgen.object_storage import Listed, read_range
from cirgen.resources import read_file
from cirgen.settings import Settings


class SourceSettings(Settings):
    """What every source can be told; `license`, `author` and `category` hold where the source itself is silent."""

    license: str = ""
    author: str = ""
    category: str = ""


KnownField = Literal["category", "license", "author", "url", "caption"]
"""What a source may know of an image: the fields of `Known`."""


class Known(NamedTuple):
    """What a source says of one image; empty where it says nothing."""

    category: str = ""
    license: str = ""
    author: str = ""
    url: str = ""
    caption: str = ""

    def or_else(self, settings: SourceSettings) -> Known:
        """Fill in what the recipe says of the whole collection."""
        return self._replace(
            category=self.category or settings.category,
            license=self.license or settings.license,
            author=self.author or settings.author,
        )


@dataclass(frozen=True)
class Item:
    """One image of a source, not yet read; its texts are what `utf8_text` makes of them.

    `identity` stands for the content without reading it (size and modification time of a file, hash of a shard and the
    index in it): together with `source_id` it decides whether a resumed run has seen the item.
    """

    source: str
    source_id: str
    identity: str
    read: Callable[[], bytes]
    """Returns the original file bytes; raises OSError when they cannot be had, ValueError when there can be none."""
    path: Path | None = None
    """The local file that holds these bytes, so that they need not be copied into the run."""
    url_path: str = ""
    """The object of a store, by its url, that holds them, where no local file does."""
    offset: int = 0
    """Of the first byte in `path` or `url_path`: a tar file holds many images."""
    category: str = ""
    license: str = ""
    author: str = ""
    url: str = ""
    caption: str = ""

    def __post_init__(self) -> None:
        for name in ("source", "source_id", *Known._fields):
            object.__setattr__(self, name, utf8_text(getattr(self, name)))


_RAW_BYTE = re.compile("[\udc80-\udcff]")


def utf8_text(text: str) -> str:
    r"""Return a text as tables and hashes can hold it: `\xe9` for a byte of a file name that is no UTF-8.

    Other lone surrogates, as JSON can escape them, become `\ud800`; every other text stays as it is.
    """
    escaped = _RAW_BYTE.sub(lambda byte: f"\\x{ord(byte.group()) - 0xDC00:02x}", text)
    return escaped.encode("utf8", "backslashreplace").decode("utf8")


def file_item(source: str, source_id: str, path: Path, known: Known) -> Item:
    """Describe an image file on disk; one that is missing becomes an item that cannot be read."""
    return Item(source, source_id, file_stamp(path), partial(read_file, path), path, **known._asdict())


def object_item(source: str, found: Listed, known: Known) -> Item:
    """Describe an image on object storage."""
    return Item(source, found.name, found.stamp, partial(read_range, found.url), url_path=found.url, **known._asdict())


def file_stamp(path: Path) -> str:
    """Return what stands for a local file's content: size and modification time, or `missing` where it has none."""
    try:
        found = path.stat()
    except (OSError, ValueError):  # reading the file tells why
        return "missing"
    return f"{found.st_size}-{found.st_mtime_ns}"


class GivenPair(NamedTuple):
    """A pair that the source itself names, by source ids."""

    reference: str
    target: str


def named_in(pairs: Iterable[GivenPair]) -> set[str]:
    """Return the names that occur in pairs."""
    return {name for pair in pairs for name in pair}


class Source(ABC):
    """A collection of images."""

    Settings: ClassVar[type[SourceSettings]]

    @abstractmethod
    def items(self) -> Iterator[Item]:
        """Yield every image, in an order that depends on the collection alone.

        Raises:
            UserError: the collection is missing, empty or not of this kind.
        """

    def count(self) -> int | None:
        """Return how many items there are, where that is known without reading them all."""
        return None

    def remarks(self) -> list[str]:
        """Return what the reader of a run should know of the collection, such as how many images are missing."""
        return []

    def pairs(self) -> Iterator[GivenPair]:
        """Yield the pairs that the source names; most name none."""
        return iter(())
