"""Fingerprints of pictures: what tells that two collections share a picture, without the pictures themselves.

A fingerprint is the sha256 of the file, the hash of the decoded pixels, and the two hashes that tell near duplicates
(`cirgen.near_duplicates`): 64 bits of grey structure, and the mean colours of 4 x 8 cells, which is all that a list
gives away of a picture. Lists are Parquet (`SCHEMA`), so that people can pass on what a benchmark shows where they may
not pass on its pictures.

A picture is searched among N others by sorted hashes, and by the bands of `cirgen.near_duplicates`; no step compares
all with all. Memory: 232 bytes a fingerprint.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from cirgen.errors import UserError
from cirgen.filters.tools import NEAR, NOT_FOUND, SAME_FILE, SAME_PIXELS
from cirgen.keys import digest
from cirgen.near_duplicates import MAX_SHARE, bands, color_shares, near_duplicates
from cirgen.pictures import color_hash, decode, perceptual_hash, pixel_hash
from cirgen.progress import Progress
from cirgen.resources import cache_folder, local_path, read_file
from cirgen.shards import write_rows
from cirgen.sources.base import file_stamp, utf8_text
from cirgen.sources.folder import files_under

HASHES = ("sha256", "pixel_hash", "perceptual_hash", "color_hash")
SCHEMA = pa.schema([pa.field(name, pa.string(), nullable=False) for name in (*HASHES, "name")])
"""A list of fingerprints, hashes in hex; `name` is the file's, or empty."""
DIGITS = {"sha256": 64, "pixel_hash": 64, "perceptual_hash": 16, "color_hash": 192}
NAME_KEY = b"cirgen.name"
"""What a list is called, in the footer of its file."""

DECODERS = 2
AHEAD = 4 * DECODERS  # pictures read and decoded, but not yet written
_SHARE_BITS = 13  # of a sum of 20 colour values of a byte
_LARGEST_SHARE = (1 << _SHARE_BITS) - 1


class Fingerprint(NamedTuple):
    """One picture's row of a list."""

    sha256: str
    pixel_hash: str
    perceptual_hash: str
    color_hash: str
    name: str = ""


def fingerprint(data: bytes, name: str = "") -> Fingerprint:
    """Return the fingerprint of an image file's bytes.

    Raises:
        PictureError: they are no picture that can be decoded.
    """
    image = decode(data).image
    hashes = (pixel_hash(image), perceptual_hash(image), color_hash(image))
    return Fingerprint(hashlib.sha256(data).hexdigest(), *hashes, name)


class Written(NamedTuple):
    """What came of fingerprinting a collection."""

    pictures: int
    unreadable: tuple[str, ...]
    """Name and reason of each file that is no picture that can be decoded."""


def write_folder_list(folder: Path, path: Path, name: str, progress: Progress, with_names: bool = False) -> Written:
    """Write the list of all pictures under a folder, by file name.

    Raises:
        UserError: there is none, or none can be read.
    """
    files = _pictures(folder)
    unreadable: list[str] = []
    with progress.step("Fingerprint pictures", len(files)) as step:

        def rows() -> Iterator[dict[str, str]]:
            for file, found in zip(files, _fingerprinted(folder, files), strict=True):
                step.advance()
                if isinstance(found, Fingerprint):
                    yield {**found._asdict(), "name": found.name if with_names else ""}
                else:
                    unreadable.append(f"{utf8_text(file)}: {found}")
            if len(unreadable) == len(files):
                raise UserError(
                    f"None of the {len(files):,} files under {folder} can be decoded, first {unreadable[0]}; "
                    "name a folder of pictures that open."
                )

        count = write_list(path, rows(), name)
    return Written(count, tuple(unreadable))


def write_list(path: Path, rows: Iterable[Mapping[str, Any]], name: str) -> int:
    """Write a list of fingerprints (`SCHEMA`); return how many there are."""
    return write_rows(path, map(dict, rows), SCHEMA.with_metadata({NAME_KEY: name.encode()}))


def _pictures(folder: Path) -> list[str]:
    closed: list[OSError] = []
    files = sorted(path.relative_to(folder).as_posix() for path in files_under(folder, closed.append))
    if closed:
        raise UserError(f"{closed[0].filename} cannot be looked into ({closed[0].strerror}); change its permissions.")
    if not files:
        raise UserError(f"There is no picture under {folder}; name the folder of the pictures.")
    return files


def _fingerprinted(folder: Path, files: Iterable[str]) -> Iterator[Fingerprint | str]:
    """Yield the fingerprint of each file, or why there is none, in order."""
    waiting: deque[Future[Fingerprint | str]] = deque()
    with ThreadPoolExecutor(DECODERS, thread_name_prefix="fingerprint") as pool:
        for file in files:
            if len(waiting) == AHEAD:
                yield waiting.popleft().result()
            waiting.append(pool.submit(_of_file, folder, file))
        while waiting:
            yield waiting.popleft().result()


def _of_file(folder: Path, file: str) -> Fingerprint | str:
    try:
        return fingerprint(read_file(folder / file), utf8_text(file))
    except (OSError, ValueError, MemoryError) as error:
        return str(error) or type(error).__name__


@dataclass(frozen=True)
class Fingerprints:
    """A collection of pictures, by fingerprint."""

    name: str
    files: NDArray[np.bytes_]
    """[N] S64 sha256 of each file."""
    pixels: NDArray[np.bytes_]
    """[N] S64 hash of the pixels."""
    structure: NDArray[np.uint64]
    """[N] perceptual hash."""
    colors: NDArray[np.uint8]
    """[N, 96] colour layout."""

    def __len__(self) -> int:
        return len(self.files)

    @cached_property
    def content(self) -> str:
        """Return a hash of the fingerprints, whatever their order; names are no part of it."""
        order = np.lexsort((self.structure, self.pixels, self.files))
        parts = (self.files, self.pixels, self.structure.astype("<u8"), self.colors)
        return digest("fingerprints", [hashlib.sha256(part[order].tobytes()).hexdigest() for part in parts])

    def find(self, others: Fingerprints) -> NDArray[np.int8]:
        """Return how near each of some pictures [n] comes to one of these: `NOT_FOUND` to `SAME_FILE`."""
        levels = np.where(self._near(others), NEAR, NOT_FOUND).astype(np.int8)
        levels[np.isin(others.pixels, self.pixels)] = SAME_PIXELS
        levels[np.isin(others.files, self.files)] = SAME_FILE
        return levels

    def _near(self, others: Fingerprints) -> NDArray[np.bool_]:
        """Return which pictures have a near duplicate here [n].

        Near duplicates share a band, in which their shares of colour are neighbours; of the pictures in that reach
        each is tried until one is found.
        """
        found = np.zeros(len(others), dtype=np.bool_)
        structure = np.concatenate((others.structure, self.structure))
        colors = np.concatenate((others.colors, self.colors))
        mine, theirs = color_shares(self.colors).astype(np.int64), color_shares(others.colors).astype(np.int64)
        both = zip(bands(self.structure), bands(others.structure), strict=True)
        for place, (band, values) in enumerate(both):
            keys = (band.astype(np.int64) << _SHARE_BITS) + mine[:, place]
            order = np.argsort(keys, kind="stable")
            first, last = (np.clip(theirs[:, place] + reach, 0, _LARGEST_SHARE) for reach in (-MAX_SHARE, MAX_SHARE))
            asked = values.astype(np.int64) << _SHARE_BITS
            start = np.searchsorted(keys[order], asked + first)
            stop = np.searchsorted(keys[order], asked + last, "right")
            rows = np.flatnonzero((start < stop) & ~found)
            while len(rows):
                near = near_duplicates(structure, colors, rows, len(others) + order[start[rows]])
                found[rows[near]] = True
                start[rows] += 1
                rows = rows[(start[rows] < stop[rows]) & ~found[rows]]
        return found


def read_fingerprints(place: str, progress: Progress) -> Fingerprints:
    """Read a list, or fingerprint a folder of pictures, which is remembered as long as none of its files changes.

    Raises:
        UserError: there is no such list or folder, or it holds no picture.
    """
    path = local_path(place)
    if path.is_dir():
        return _read_list(_folder_list(path, progress))
    if not path.is_file():
        raise UserError(
            f"There is nothing at {path}; name a folder of pictures, or a list that `cirgen fingerprint` wrote."
        )
    return _read_list(path)


def _folder_list(folder: Path, progress: Progress) -> Path:
    """Return the list of a folder's pictures, made now where they have none that still holds."""
    stamps = [(name, file_stamp(folder / name)) for name in _pictures(folder)]
    path = cache_folder("fingerprints") / f"{digest('fingerprints', 1, str(folder.resolve()), stamps)}.parquet"
    if not path.is_file():
        unreadable = write_folder_list(folder, path, folder.resolve().name, progress).unreadable
        if unreadable:
            progress.say(f"{len(unreadable):,} files under {folder} cannot be decoded, first {unreadable[0]}")
    return path


def _read_list(path: Path) -> Fingerprints:
    try:
        file = pq.ParquetFile(path)
        table = file.read(columns=list(dict.fromkeys(name for name in HASHES if name in file.schema_arrow.names)))
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} is no list of fingerprints ({error}); make one with `cirgen fingerprint`.") from error
    told = (file.schema_arrow.metadata or {}).get(NAME_KEY, b"").decode("utf8", "replace")
    name = "".join(filter(str.isprintable, told)) or path.stem  # it goes to terminals
    return of_table(table, name, path)


def of_table(table: pa.Table, name: str, origin: Path) -> Fingerprints:
    """Return the fingerprints of a table that has the columns of `HASHES`.

    Raises:
        UserError: a column is missing or holds something else, or there is no row.
    """
    for column, digits in DIGITS.items():
        wrong = table.column_names.count(column) != 1 or not _all_hex(table.column(column), digits)
        if wrong:
            raise UserError(
                f"{origin} is no list of fingerprints: its column {column} has not {digits} hex digits in every row; "
                "make it with `cirgen fingerprint`."
            )
    if not table.num_rows:
        raise UserError(f"{origin} lists no picture; make it of pictures that can be decoded.")
    hashes = {column: table.column(column).to_numpy().astype(f"S{digits}") for column, digits in DIGITS.items()}
    structure = bytes.fromhex(b"".join(hashes["perceptual_hash"]).decode())
    colors = bytes.fromhex(b"".join(hashes["color_hash"]).decode())
    return Fingerprints(
        name,
        hashes["sha256"],
        hashes["pixel_hash"],
        np.frombuffer(structure, dtype=">u8").astype(np.uint64),
        np.frombuffer(colors, dtype=np.uint8).reshape(-1, DIGITS["color_hash"] // 2),
    )


def _all_hex(column: pa.ChunkedArray, digits: int) -> bool:
    if not pa.types.is_string(column.type):
        return False
    found = pc.match_substring_regex(column, f"^[0-9a-f]{{{digits}}}$")
    return pc.sum(pc.invert(pc.fill_null(found, False))).as_py() in (0, None)


def contents(lists: Iterable[Fingerprints]) -> str:
    """Return a hash of some lists, whatever their order."""
    return digest("known pictures", sorted(one.content for one in lists))
