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
from dataclasses import dataclass
from glob import has_magic
from itertools import groupby, takewhile
from pathlib import Path
from typing import Literal

from cirgen.errors import UserError
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
    """A tar file (compressed or not), a folder of them, or a glob such as `shards/*.tar`."""
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
        root, shards = self._shards()
        empty = True
        for shard in shards:
            for item in self._items_of(shard, shard.relative_to(root).as_posix()):
                empty = False
                yield item
        if empty:
            raise UserError(f"No image lies in the tar files of {self.settings.path}; name shards that hold images.")

    def _shards(self) -> tuple[Path, list[Path]]:
        """Return the shards, sorted, and the folder that their names are relative to."""
        path = local_path(self.settings.path)
        if path.is_file():
            return path.parent, [path]
        parts = (path / "**/*.tar*" if path.is_dir() else path).parts
        fixed = len(list(takewhile(lambda part: not has_magic(part), parts)))
        root, pattern = Path(*parts[:fixed]), "/".join(parts[fixed:])
        try:
            shards = sorted(shard for shard in root.glob(pattern) if shard.is_file()) if pattern else []
        except ValueError as error:
            raise UserError(f"{path} is no glob ({error}); write one such as shards/*.tar.") from error
        if not shards:
            raise UserError(f"No tar file matches {path}; set images.path to a tar file, a folder of them, or a glob.")
        return root, self._wanted(root, shards)

    def _wanted(self, root: Path, shards: list[Path]) -> list[Path]:
        """Return the shards of the parts to take."""
        if not self.settings.parts:
            return shards
        parts = {shard: _parts(shard.relative_to(root)) for shard in shards}
        missing = sorted(set(self.settings.parts).difference(*parts.values()))
        if missing:
            raise UserError(
                f"No tar file under {root} is of {', '.join(missing)}; name in images.parts what is there, "
                "or set it to [] for all."
            )
        return [shard for shard in shards if parts[shard].intersection(self.settings.parts)]

    def _items_of(self, shard: Path, name: str) -> Iterator[Item]:
        stamp = file_stamp(shard)
        for _, sample in groupby(_members(shard), lambda member: member.key):
            members = list(sample)
            images = [member for member in members if self._is_image(member)]
            known = _known(members, name).or_else(self.settings) if images else Known()
            for member in images:
                yield Item(
                    source=self.settings.path,
                    source_id=f"{name}/{member.name}",
                    identity=f"{stamp}-{member.index}",
                    read=member.read,
                    path=None if member.data else shard,
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


@dataclass(frozen=True)
class _Member:
    """One file of a tar file; of an uncompressed one, images are read where they lie when somebody asks."""

    shard: Path
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
        with self.shard.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.size)


def _members(shard: Path) -> Iterator[_Member]:
    try:
        tar, compressed = _open(shard)
        with tar:
            for index, info in enumerate(tar):
                match = _MEMBER.match(info.name)
                if match is None or not info.isreg():
                    continue
                apart = compressed or info.issparse()  # the bytes lie in no one piece
                file = tar.extractfile(info) if apart else None
                yield _Member(
                    shard=shard,
                    index=index,
                    key=match["key"],
                    extension=match["extension"].lower(),
                    offset=0 if apart else info.offset_data,
                    size=info.size,
                    data=file.read() if file else b"",
                )
    except _DAMAGE as error:
        raise UserError(f"{shard} is no whole tar file ({error}); fetch it again, or remove it.") from error


def _open(shard: Path) -> tuple[tarfile.TarFile, bool]:
    """Open a tar file, and say whether it is compressed: then its members can only be read in order."""
    try:
        return tarfile.open(shard, "r:"), False
    except tarfile.ReadError:
        return tarfile.open(shard, "r|*"), True


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
