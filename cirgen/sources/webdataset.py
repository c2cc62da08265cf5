"""WebDataset shards: tar files in which neighbouring members with one base name are one sample.

Naming rules of the format (https://github.com/webdataset/webdataset, "The WebDataset Format"): the key is the member's
path up to the first dot of its base name, the rest is the extension.
"""

from __future__ import annotations

import json
import lzma
import re
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fnmatch import fnmatch
from glob import has_magic
from itertools import groupby, takewhile
from pathlib import Path
from typing import BinaryIO, Literal

from cirgen.errors import UserError
from cirgen.object_storage import is_url, listed, opened, read_range
from cirgen.pictures import suffixes
from cirgen.resources import local_path
from cirgen.settings import Name
from cirgen.sources.base import Item, Known, Source, SourceSettings, file_stamp, utf8_text
from cirgen.sources.parquet import cell_text

_MEMBER = re.compile(r"^(?P<key>(?:.*/|)[^./][^./]*)[.](?P<extension>[^/]*)$")
_TEXT_EXTENSIONS = ("txt", "text", "caption")
_DAMAGE = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError)
"""What reading a truncated or otherwise damaged tar file raises, compressed or not."""


class WebDatasetSettings(SourceSettings):
    """Where the shards are."""

    kind: Literal["webdataset"] = "webdataset"
    path: Name
    """A tar file (compressed or not), a folder of them, a glob such as `shards/*.tar`, or a url of any of these."""
    parts: tuple[Name, ...] = ()
    """Take the tar files that are called so, or lie in a folder called so, alone; empty takes all.

    `part_0` takes `part_0.tar` and `part_0/00007.tar`.
    """
    extensions: tuple[str, ...] = ()
    """Take members with these extensions alone, such as `jpg` where samples hold masks too; empty takes any image."""


class WebDataset(Source):
    """Every image member; `txt` beside it is its caption, `json` may hold category, license, author, url, caption."""

    Settings = WebDatasetSettings

    def __init__(self, settings: WebDatasetSettings) -> None:
        self.settings = settings

    def items(self) -> Iterator[Item]:
        """Yield the images shard by shard, in tar order.

        Raises:
            UserError: there is no shard, one is damaged, or none holds an image.
        """
        empty = True
        for shard in self._wanted(self._objects() if is_url(self.settings.path) else self._files()):
            for item in self._items_of(shard):
                empty = False
                yield item
        if empty:
            raise UserError(f"No image lies in the tar files of {self.settings.path}; name shards that hold images.")

    def _files(self) -> list[_Shard]:
        """Return the local shards, sorted."""
        path = local_path(self.settings.path)
        if path.is_file():
            return [_Shard.of_file(path, path.parent)]
        parts = (path / "**/*.tar*" if path.is_dir() else path).parts
        fixed = len(list(takewhile(lambda part: not has_magic(part), parts)))
        root, pattern = Path(*parts[:fixed]), "/".join(parts[fixed:])
        try:
            shards = sorted(shard for shard in root.glob(pattern) if shard.is_file()) if pattern else []
        except ValueError as error:
            raise UserError(f"{path} is no glob ({error}); write one such as shards/*.tar.") from error
        if not shards:
            raise _no_shards(str(path))
        return [_Shard.of_file(shard, root) for shard in shards]

    def _objects(self) -> list[_Shard]:
        """Return the shards on object storage, sorted."""
        url, pattern = self.settings.path, ""
        if has_magic(url):
            parts = url.split("/")
            fixed = len(list(takewhile(lambda part: not has_magic(part), parts)))
            url, pattern = "/".join(parts[:fixed]), "/".join(parts[fixed:])
        found = listed(url)
        if pattern:
            found = [one for one in found if fnmatch(one.name, pattern)]
        elif len(found) > 1:
            found = [one for one in found if ".tar" in one.name.rpartition("/")[2]]
        if not found:
            raise _no_shards(self.settings.path)
        return [_Shard(one.name, one.stamp, url=one.url) for one in found]

    def _wanted(self, shards: list[_Shard]) -> list[_Shard]:
        """Return the shards of the parts to take."""
        if not self.settings.parts:
            return shards
        parts = {shard.name: _parts(Path(shard.name)) for shard in shards}
        missing = sorted(set(self.settings.parts).difference(*parts.values()))
        if missing:
            raise UserError(
                f"No tar file under {self.settings.path} is of {', '.join(missing)}; name in images.parts what is "
                "there, or set it to [] for all."
            )
        return [shard for shard in shards if parts[shard.name].intersection(self.settings.parts)]

    def _items_of(self, shard: _Shard) -> Iterator[Item]:
        for _, sample in groupby(_members(shard), lambda member: member.key):
            members = list(sample)
            images = [member for member in members if self._is_image(member)]
            known = _known(members, shard.name).or_else(self.settings) if images else Known()
            for member in images:
                yield Item(
                    source=self.settings.path,
                    source_id=f"{shard.name}/{member.name}",
                    identity=f"{shard.stamp}-{member.index}",
                    read=member.read,
                    path=None if member.data else shard.path,
                    url_path="" if member.data else shard.url,
                    offset=member.offset,
                    **known._asdict(),
                )

    def _is_image(self, member: _Member) -> bool:
        if self.settings.extensions:
            return member.extension in self.settings.extensions
        return f".{member.extension.rpartition('.')[2]}" in suffixes()


def _parts(shard: Path) -> set[str]:
    """Return the names of the parts that a shard belongs to: its own up to the first dot, and those of its folders."""
    return {shard.name.partition(".")[0], *shard.parent.parts}


def _no_shards(where: str) -> UserError:
    return UserError(f"No tar file matches {where}; set images.path to a tar file, a folder of them, or a glob.")


@dataclass(frozen=True)
class _Shard:
    """A tar file: on this machine, or an object of a store."""

    name: str
    """Below the folder of all."""
    stamp: str
    """Stands for its content."""
    path: Path | None = None
    url: str = ""

    @classmethod
    def of_file(cls, path: Path, root: Path) -> _Shard:
        """Describe a local tar file."""
        return cls(path.relative_to(root).as_posix(), file_stamp(path), path)

    def __str__(self) -> str:
        return self.url or str(self.path)

    def open(self) -> AbstractContextManager[BinaryIO]:
        """Open it, to be read from its beginning to its end."""
        return self.path.open("rb") if self.path else opened(self.url)

    def read(self, offset: int, size: int) -> bytes:
        """Return a part of it."""
        if self.path is None:
            return read_range(self.url, offset, size)
        with self.path.open("rb") as file:
            file.seek(offset)
            return file.read(size)


@dataclass(frozen=True)
class _Member:
    """One file of a tar file; of an uncompressed one, images are read where they lie when somebody asks."""

    shard: _Shard
    index: int
    """In the tar file, from 0."""
    key: str
    extension: str
    """Lower-case, without the dot in front."""
    offset: int
    size: int
    data: bytes

    @property
    def name(self) -> str:
        return f"{self.key}.{self.extension}"

    def read(self) -> bytes:
        if self.data:
            return self.data
        return self.shard.read(self.offset, self.size)


def _members(shard: _Shard) -> Iterator[_Member]:
    try:
        with shard.open() as file, tarfile.open(fileobj=file, mode=(mode := _mode(file))) as tar:
            for index, info in enumerate(tar):
                match = _MEMBER.match(info.name)
                if match is None or not info.isreg():
                    continue
                apart = mode != "r:" or info.issparse()  # the bytes lie in no one piece
                held = tar.extractfile(info) if apart else None
                yield _Member(
                    shard=shard,
                    index=index,
                    key=match["key"],
                    extension=match["extension"].lower(),
                    offset=0 if apart else info.offset_data,
                    size=info.size,
                    data=held.read() if held else b"",
                )
    except _DAMAGE as error:
        raise UserError(f"{shard} is no whole tar file ({error}); fetch it again, or remove it.") from error


def _mode(file: BinaryIO) -> Literal["r:", "r|*"]:
    """Return how to open a tar file: a compressed one can only be read in order."""
    try:
        with tarfile.open(fileobj=file, mode="r:"):
            return "r:"
    except tarfile.ReadError:
        return "r|*"
    finally:
        file.seek(0)


def _known(members: list[_Member], shard: str) -> Known:
    """Return what the files beside an image say of it; `txt` goes before a caption in `json`."""
    found: dict[str, str] = {}
    for member in members:
        if member.extension == "json":
            found = {**_fields(member, shard), **found}
        elif member.extension in _TEXT_EXTENSIONS:
            found["caption"] = member.read().decode("utf8", errors="replace").strip()
    return Known(**found)


def _fields(member: _Member, shard: str) -> dict[str, str]:
    try:
        row = json.loads(member.read())
    except (ValueError, RecursionError) as error:
        raise UserError(f"{shard}/{utf8_text(member.name)} is no JSON ({error}); mend it in the shard.") from error
    return {name: cell_text(row[name]) for name in Known._fields if name in row} if isinstance(row, dict) else {}
