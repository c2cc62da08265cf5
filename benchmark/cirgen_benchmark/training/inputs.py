"""What each step of a stage is given: images, tokens, and what its queries are compared with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cirgen.progress import Progress
from cirgen_benchmark.images import ImageCollection
from cirgen_benchmark.models.base import Retriever
from cirgen_benchmark.training.bank import Bank, Compared, build_bank
from cirgen_benchmark.training.bank_loss import BankRows
from cirgen_benchmark.training.batches import Batches, Part
from cirgen_benchmark.training.features import EncodedImages, encode_collection
from cirgen_benchmark.training.indexed import IndexedTriplets
from cirgen_benchmark.training.pixels import PictureFiles, pixel_batches
from cirgen_benchmark.training.settings import StageSettings
from cirgen_benchmark.training.sides import LivePixels, Sides, frozen_sides, hard_negatives_of, live_share
from cirgen_benchmark.training.step import StepInput
from cirgen_benchmark.training.texts import Texts


@dataclass(frozen=True)
class Material:
    """What a stage learns from."""

    triplets: IndexedTriplets
    images: ImageCollection
    settings: StageSettings
    seed: int
    extra: Sequence[str] = ()
    """Images that are further rows of the bank."""
    encoded: EncodedImages | None = None
    """Every image, where the caller has encoded them."""
    cache: Path | None = None
    """Where encoded images are kept."""


class Inputs:
    """The inputs of one process.

    Args:
        model: what is trained, on its device.
        material: what it learns from.
        batches: this process's.
        processes: that share each batch.
        process: which of them this is.
        bank_file: of a bank on disk.
        progress: where encoding is shown.
    """

    def __init__(
        self,
        model: Retriever,
        material: Material,
        batches: Batches,
        processes: int,
        process: int,
        bank_file: Path,
        progress: Progress,
    ) -> None:
        self._model = model
        self._material = material
        self._triplets = material.triplets
        self._settings = material.settings
        self._batches = batches
        self._processes = processes
        self._process = process
        self._progress = progress
        self._device = next(model.parameters()).device
        self._texts = Texts(model, material.triplets.texts, self._device)
        self._encoded = _encoded(model, material, progress) if material.settings.trains == "query" else None
        self.bank = self._bank(bank_file) if material.settings.loss == "bank" else None

    def parts(self, first_step: int) -> Iterator[StepInput]:
        """Yield the input of every part of every step from one on (0 is the first)."""
        for part, images in zip(self._parts(first_step), self._sides(first_step), strict=True):
            yield StepInput(
                images,
                self._texts.tokens(part),
                part.own,
                self._ignored(part) if self.bank is None else None,
                None if self.bank is None else _on(self._device, self.bank.compared(part)),
            )

    def bank_rows(self) -> BankRows | None:
        """Return the rows of the bank, on the device unless they are on disk; None where there is no bank."""
        rows = None if self.bank is None else self.bank.rows
        return rows.to(self._device) if isinstance(rows, Tensor) else rows

    def _parts(self, first_step: int) -> Iterable[Part]:
        steps = range(first_step, self._batches.steps)
        return chain.from_iterable(self._batches.parts(step) for step in steps)

    def _sides(self, first_step: int) -> Iterator[Sides | LivePixels]:
        parts = self._parts(first_step)
        if self._encoded is not None:
            yield from frozen_sides(self._encoded, self._triplets, self._device, parts, self.bank is None)
            return
        shares = (live_share(self._triplets, part, self._processes, self._process) for part in parts)
        ids = self._triplets.pictures.ids[: self._triplets.shown]
        files = PictureFiles(self._model, self._material.images, ids)
        again = (live_share(self._triplets, part, self._processes, self._process) for part in self._parts(first_step))
        batches = pixel_batches(files, (share.numbers() for share in again), self._progress)
        for share, pixels in zip(shares, batches, strict=True):
            yield LivePixels(pixels.to(self._device), share)

    def _bank(self, file: Path) -> Bank:
        assert self._encoded is not None
        extra = self._material.extra
        further = None
        if extra and self._material.encoded is None:
            further = encode_collection(
                self._model,
                self._material.images,
                extra,
                folder=self._material.cache,
                progress=self._progress,
                references=False,
                dtype=self._settings.bank.dtype,
            )
        return build_bank(
            self._triplets,
            self._encoded,
            self._material.images,
            self._settings.bank,
            extra=extra,
            extra_encoded=further,
            file=file,
            write=self._process == 0,
            seed=self._material.seed,
        )

    def _ignored(self, part: Part) -> Tensor | None:
        """Return the targets of a part that are no negatives of its queries, [P, P + H]."""
        if not self._settings.mask_duplicates:
            return None
        triplets = self._triplets
        pictures = np.concatenate([triplets.targets[part.triplets], hard_negatives_of(triplets, part)])
        rights = [np.append(triplets.positives[number], triplets.targets[number]) for number in part.triplets]
        return torch.from_numpy(np.stack([np.isin(pictures, right) for right in rights])).to(self._device)


def _encoded(model: Retriever, material: Material, progress: Progress) -> EncodedImages:
    if material.encoded is not None:
        return material.encoded
    ids = material.triplets.pictures.ids[: material.triplets.shown]
    return encode_collection(model, material.images, ids, folder=material.cache, progress=progress)


def _on(device: torch.device, compared: Compared) -> Compared:
    return compared._replace(positives=compared.positives.to(device))
