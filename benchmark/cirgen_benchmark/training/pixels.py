"""Preprocessed pictures, batch after batch: all kept where small, made ahead by workers where not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from cirgen.progress import Progress
from cirgen_benchmark.images import ImageCollection
from cirgen_benchmark.models.base import Retriever
from cirgen_benchmark.training.indexed import Numbers

IN_MEMORY_BYTES = 2 * 2**30
"""Pictures of at most so many bytes are all kept."""
WORKERS = 4
"""Processes that decode and preprocess ahead of the model (SPN4CIR's released code: four)."""


class PictureFiles(Dataset[Tensor]):
    """Distinct pictures of a collection, preprocessed when they are asked for.

    Args:
        model: whose preprocessing it is.
        images: the collection.
        ids: an image id of each picture.
    """

    def __init__(self, model: Retriever, images: ImageCollection, ids: list[str]) -> None:
        self._model = model
        self._images = images
        self._ids = ids

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, number: int) -> Tensor:
        """Return the pixels [3, H, W] of a picture."""
        return self._model.preprocess(self._images.open(self._ids[number]))


def pixel_batches(
    files: PictureFiles,
    batches: Iterable[Numbers],
    progress: Progress,
    in_memory_bytes: int = IN_MEMORY_BYTES,
    workers: int = WORKERS,
) -> Iterator[Tensor]:
    """Yield the pixels [B, 3, H, W] of each batch of pictures.

    Args:
        files: the pictures.
        batches: their numbers.
        progress: where the count of preprocessed pictures is shown.
        in_memory_bytes: all pictures are preprocessed once and kept if they take no more.
        workers: processes that preprocess them where they take more.
    """
    if files[0].nbytes * len(files) > in_memory_bytes:
        yield from made_ahead(files, (batch.tolist() for batch in batches), workers)
        return
    kept = torch.empty((len(files), *files[0].shape))
    with progress.step("preprocess images", len(files)) as step:
        for number in range(len(files)):
            kept[number] = files[number]
            step.advance()
    for batch in batches:
        yield kept[torch.from_numpy(batch)]


def made_ahead(files: PictureFiles, batches: Iterable[list[int]], workers: int) -> Iterator[Tensor]:
    """Yield the pixels [B, 3, H, W] of each batch, preprocessed by workers; by this process where there are none."""
    own = torch.Generator()  # workers are seeded from it; nothing here draws a number
    yield from DataLoader(files, batch_sampler=batches, num_workers=workers, generator=own)
