"""References and targets of a collection, encoded once for each distinct picture, and kept.

On disk, a folder holds one set of pictures as one model encodes them. Its name is a hash of what decides the numbers:
the weights that encodings depend on, what preprocessing does, the contents of the pictures, number formats. No path is
part of it, so that nothing encoded by another model or from another picture is ever read. `contents.json`, written
last, holds the hash of each array: what a disk damaged is encoded again, never read.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cirgen.devices import dtype_of
from cirgen.errors import UserError
from cirgen.keys import digest
from cirgen.progress import Progress, Silent
from cirgen.scratch import remove_leftover_folders, scratch_folder
from cirgen.shards import flush_to_disk
from cirgen_benchmark.images import ImageCollection
from cirgen_benchmark.models.base import Retriever
from cirgen_benchmark.training.disk import mapped_array
from cirgen_benchmark.training.fingerprints import encoder_hash
from cirgen_benchmark.training.indexed import Numbers, Pictures
from cirgen_benchmark.training.pixels import WORKERS, PictureFiles, made_ahead

Precision = Literal["float32", "float16"]
IN_MEMORY_BYTES = 2**30
"""Encoded sides of at most so many bytes are read into memory; larger ones are memory-mapped."""
SCHEME = 1
"""Raise when the meaning of a folder changes: everything is then encoded again."""
CONTENTS = "contents.json"


@dataclass(frozen=True)
class EncodedImages:
    """U distinct pictures as references and as targets."""

    encoder: str
    """Hash of the model that encoded them (`fingerprints.encoder_hash`)."""
    rows: Mapping[str, int]
    """The row of each image id; ids of one picture share it."""
    contents: tuple[str, ...]
    """Of each row, sorted."""
    references: Tensor | None
    """[U, ...] on the CPU, as `Retriever.compose` needs them; may be memory-mapped; None where not asked for."""
    targets: Tensor
    """[U, d] or [U, T, d] on the CPU, L2-normalised; may be memory-mapped."""

    def rows_of(self, image_ids: Iterable[str]) -> Numbers:
        """Return the rows of images.

        Raises:
            UserError: some are not encoded.
        """
        wanted = list(image_ids)
        missing = [name for name in wanted if name not in self.rows]
        if missing:
            raise UserError(
                f"{len(missing):,} images are not encoded, the first is '{missing[0]}'; encode every image of the "
                "triplets, or pass no encoded images."
            )
        return np.array([self.rows[name] for name in wanted], dtype=np.int64)

    def targets_of(self, image_ids: Iterable[str]) -> Tensor:
        """Return images as targets: float32, [N, d] or [N, T, d]."""
        return self.targets[torch.from_numpy(self.rows_of(image_ids))].float()

    def references_of(self, image_ids: Iterable[str]) -> Tensor:
        """Return images as references: float32, [N, ...].

        Raises:
            UserError: they were encoded as targets alone, or some are not encoded.
        """
        if self.references is None:
            raise UserError("These images are encoded as targets alone; encode them with references=True.")
        return self.references[torch.from_numpy(self.rows_of(image_ids))].float()


def encode_collection(
    model: Retriever,
    images: ImageCollection,
    ids: Sequence[str],
    *,
    batch: int = 64,
    folder: Path | None = None,
    device: torch.device | str | None = None,
    progress: Progress | None = None,
    references: bool = True,
    dtype: Precision = "float32",
) -> EncodedImages:
    """Encode images as references and as targets, each distinct picture once; read what is encoded already.

    Args:
        model: in whose space; its mode is as before afterwards.
        images: the collection.
        ids: which of them; ids of one picture share a row.
        batch: pictures encoded at once.
        folder: where encodings are kept; without it, in memory alone.
        device: where the model runs, and stays; by default where it is.
        progress: where the count of pictures is shown.
        references: encode them as references, too.
        dtype: how they are kept; they are computed in float32.
    """
    job = _Job(model, images, ids, batch, device, progress or Silent(), references, dtype)
    if folder is None:
        return job.result(*job.in_memory())
    path = folder / job.key()
    if path.is_dir() and not _is_whole(path):
        _remove(path)
    if not path.is_dir():
        job.on_disk(path)
    return job.result(_opened(path / "references.npy") if references else None, _opened(path / "targets.npy"))


class _Job:
    """One set of pictures to be encoded, rows in the order of their contents."""

    def __init__(
        self,
        model: Retriever,
        images: ImageCollection,
        ids: Sequence[str],
        batch: int,
        device: torch.device | str | None,
        progress: Progress,
        references: bool,
        dtype: Precision,
    ) -> None:
        self._model = model if device is None else model.to(device)
        self._images = images
        self._batch = batch
        self._progress = progress
        self._references = references
        self._dtype = dtype
        self._encoder = encoder_hash(model)
        pictures = Pictures(images)
        numbers = [pictures.number(name) for name in ids]
        order = sorted(range(len(pictures)), key=pictures.contents.__getitem__)
        row_of = {number: row for row, number in enumerate(order)}
        self._ids = [pictures.ids[number] for number in order]
        self._contents = tuple(sorted(pictures.contents))
        self._rows = {name: row_of[number] for name, number in zip(ids, numbers, strict=True)}

    def key(self) -> str:
        return digest("encoded", SCHEME, self._encoder, self._contents, self._references, self._dtype)

    def result(self, references: Tensor | None, targets: Tensor) -> EncodedImages:
        return EncodedImages(self._encoder, self._rows, self._contents, references, targets)

    def in_memory(self) -> tuple[Tensor | None, Tensor]:
        def make(shape: tuple[int, ...], _: str) -> NDArray[Any]:
            return np.empty(shape, self._dtype)

        references, targets = self._encoded(make)
        return None if references is None else torch.from_numpy(references), torch.from_numpy(targets)

    def on_disk(self, path: Path) -> None:
        """Fill a folder under a temporary name; it is the last that gets its own."""
        remove_leftover_folders(path)
        with scratch_folder(path) as folder:

            def make(shape: tuple[int, ...], name: str) -> NDArray[Any]:
                return mapped_array(folder / f"{name}.npy", shape, self._dtype)

            for array in self._encoded(make):
                if isinstance(array, np.memmap):
                    array.flush()
            arrays = {file.name: _file_hash(file) for file in sorted(folder.glob("*.npy"))}
            about = {"contents": self._contents, "arrays": arrays}
            (folder / CONTENTS).write_text(json.dumps(about), encoding="utf8")
            for file in sorted(folder.iterdir()):
                flush_to_disk(file)
            try:
                folder.rename(path)
            except OSError:
                if not path.is_dir():  # where it is, another process has encoded the same meanwhile
                    raise
        flush_to_disk(path.parent)

    def _encoded(
        self, make: Callable[[tuple[int, ...], str], NDArray[Any]]
    ) -> tuple[NDArray[Any] | None, NDArray[Any]]:
        references: NDArray[Any] | None = None
        targets: NDArray[Any] | None = None
        for start, as_references, as_targets in self._batches():
            end = start + len(as_targets)
            if targets is None:
                targets = make((len(self._ids), *as_targets.shape[1:]), "targets")
            targets[start:end] = as_targets
            if as_references is not None:
                if references is None:
                    references = make((len(self._ids), *as_references.shape[1:]), "references")
                references[start:end] = as_references
        if targets is None:
            raise UserError("There are no images to encode; name some.")
        return references, targets

    def _batches(self) -> Iterator[tuple[int, NDArray[Any] | None, NDArray[Any]]]:
        device = next(self._model.parameters()).device
        total = len(self._ids)
        with evaluating(self._model), self._progress.step("encode images", total) as step:
            starts = range(0, total, self._batch)
            batches = (list(range(start, min(start + self._batch, total))) for start in starts)
            files = PictureFiles(self._model, self._images, self._ids)
            ahead = made_ahead(files, batches, WORKERS if device.type == "cuda" else 0)
            for start, pixels in zip(starts, ahead, strict=True):
                references, targets = self._pair(pixels.to(device))
                yield start, None if references is None else self._kept(references), self._kept(targets)
                step.advance(len(pixels))

    def _pair(self, pixels: Tensor) -> tuple[Tensor | None, Tensor]:
        if self._references:
            return self._model.encode_images(pixels)
        return None, self._model.encode_targets(pixels)

    def _kept(self, encoded: Tensor) -> NDArray[Any]:
        kept: NDArray[Any] = encoded.to(dtype_of(self._dtype)).cpu().numpy()
        return kept


@contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Run without gradients and dropout; modules are in their own modes again afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def _is_whole(folder: Path) -> bool:
    """Return whether the arrays of a folder are those that were written."""
    try:
        arrays = json.loads((folder / CONTENTS).read_text(encoding="utf8"))["arrays"]
        return bool(arrays) and all(_file_hash(folder / name) == written for name, written in arrays.items())
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return False


def _remove(folder: Path) -> None:
    """Remove a folder under another name, so that nobody reads it half."""
    aside = folder.with_name(f"{folder.name}.damaged-{os.getpid()}")
    with suppress(FileNotFoundError):  # another process was faster
        folder.rename(aside)
        shutil.rmtree(aside)


def _file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _opened(path: Path) -> Tensor:
    """Return an array of a folder as a tensor; a large one is mapped, so that it can be larger than memory."""
    if path.stat().st_size <= IN_MEMORY_BYTES:
        return torch.from_numpy(np.load(path))
    return torch.from_numpy(np.load(path, mmap_mode="c"))  # copy on write: torch wants to be able to write
