"""Opens the pictures of a run by their ids, wherever their bytes lie."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from cirgen.object_storage import is_url, read_range
from cirgen.pictures import decode


class Place(NamedTuple):
    """Where the bytes of a picture lie."""

    path: str
    """Of a local file, or the url of an object."""
    offset: int
    length: int


def read_place(place: Place, image_id: str) -> bytes:
    """Return the bytes of a picture.

    Raises:
        OSError: they cannot be read, or are not those that its id is the hash of.
    """
    if is_url(place.path):
        data = read_range(place.path, place.offset, place.length)
    else:
        with Path(place.path).open("rb") as file:
            file.seek(place.offset)
            data = file.read(place.length)
    if hashlib.sha256(data).hexdigest() != image_id:
        raise OSError(f"{place.path} changed since ingest")
    return data


class RunImages:
    """The pictures of a catalog, an `ImageReader` that threads may share and processes may pickle.

    Args:
        run_catalog: the catalog (`schemas.CATALOG`), read once; a picture costs about 100 bytes and its path.
        blob_folder: folder that the catalog's `blob` names are relative to.
    """

    def __init__(self, run_catalog: Path, blob_folder: Path) -> None:
        self._catalog = run_catalog
        self._blob_folder = blob_folder
        table = pq.read_table(run_catalog, columns=["image_id", "path", "blob", "offset", "length"])
        self._ids = table.column("image_id").to_numpy().astype("S64")  # sorted, as the catalog is
        self._paths = table.column("path").combine_chunks()
        self._blobs = table.column("blob").combine_chunks().dictionary_encode()
        self._offsets = table.column("offset").to_numpy()
        self._lengths = table.column("length").to_numpy()

    def __reduce__(self) -> tuple[type[RunImages], tuple[Path, Path]]:
        return RunImages, (self._catalog, self._blob_folder)

    def __len__(self) -> int:
        return len(self._ids)

    def open(self, image_id: str) -> Image.Image:
        """Return the picture, RGB, upright.

        Raises:
            OSError: as `read`.
        """
        return decode(self.read(image_id)).image

    def read(self, image_id: str) -> bytes:
        """Return the original bytes.

        Raises:
            OSError: the file is gone, cannot be read, or changed since ingest.
        """
        return read_place(self.place(image_id), image_id)

    def place(self, image_id: str) -> Place:
        """Return where the original bytes lie.

        Raises:
            OSError: there is no such picture.
        """
        row = self._row(image_id)
        return Place(self._path(row), int(self._offsets[row]), int(self._lengths[row]))

    def _path(self, row: int) -> str:
        path: str = self._paths[row].as_py()
        return path or str((self._blob_folder / self._blobs[row].as_py()).absolute())

    def _row(self, image_id: str) -> int:
        row = int(np.searchsorted(self._ids, image_id.encode()))
        if row == len(self._ids) or self._ids[row] != image_id.encode():
            raise OSError(f"image {image_id} is not in {self._catalog}")
        return row
