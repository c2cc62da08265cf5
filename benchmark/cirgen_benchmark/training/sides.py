"""The images of a part of a batch: looked up where the image side is frozen, encoded by the model where it is not.

Shapes: P triplets in a part over all processes, B of them this process's, H hard negatives of the part.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from cirgen_benchmark.models.base import Retriever
from cirgen_benchmark.training.batches import Part
from cirgen_benchmark.training.distributed import gathered
from cirgen_benchmark.training.features import EncodedImages
from cirgen_benchmark.training.indexed import IndexedTriplets, Numbers

ON_DEVICE_BYTES = 2 * 2**30
"""Encoded references or targets of at most so many bytes are kept on the device."""


class Sides(NamedTuple):
    """A part's images, encoded."""

    references: Tensor
    """This process's, [B, ...]."""
    targets: Tensor | None
    """Of the whole part, in order, then its hard negatives, [P + H, d] or [P + H, T, d]; None with a bank."""


def hard_negatives_of(triplets: IndexedTriplets, part: Part) -> Numbers:
    """Return the distinct hard negatives of a part, [H]."""
    named = np.concatenate([triplets.hard_negatives[number] for number in part.triplets])
    return np.array(list(dict.fromkeys(named.tolist())), dtype=np.int64)


def frozen_sides(
    encoded: EncodedImages, triplets: IndexedTriplets, device: torch.device, parts: Iterable[Part], with_targets: bool
) -> Iterator[Sides]:
    """Yield the images of each part, looked up.

    Args:
        encoded: holds every reference, target and hard negative.
        triplets: what the parts are parts of.
        device: where the model is.
        parts: in the order of training.
        with_targets: look up targets, too.
    """
    rows = encoded.rows_of(triplets.pictures.ids[: triplets.shown])
    references, targets = encoded.references, encoded.targets
    if references is None:
        raise ValueError("references are not encoded")
    references, targets = _near(references, device), _near(targets, device)
    for part in parts:
        found = _looked_up(references, rows[triplets.references[part.triplets[part.own]]], device)
        if not with_targets:
            yield Sides(found, None)
            continue
        wanted = np.concatenate([triplets.targets[part.triplets], hard_negatives_of(triplets, part)])
        yield Sides(found, _looked_up(targets, rows[wanted], device))


def _near(tensor: Tensor, device: torch.device) -> Tensor:
    return tensor.to(device) if tensor.nbytes <= ON_DEVICE_BYTES else tensor


def _looked_up(tensor: Tensor, rows: Numbers, device: torch.device) -> Tensor:
    return tensor[torch.from_numpy(rows).to(tensor.device)].to(device, torch.float32)


class LiveShare(NamedTuple):
    """Which pictures this process encodes for a part."""

    references: Numbers
    """[B]."""
    targets: Numbers
    """[B]."""
    hard_negatives: Numbers
    """Its share of them; some come twice where they cannot be shared evenly."""
    all_hard_negatives: int
    """H."""

    def numbers(self) -> Numbers:
        """Return all of them, in the order of `LivePixels`."""
        return np.concatenate([self.references, self.targets, self.hard_negatives])


def live_share(triplets: IndexedTriplets, part: Part, processes: int, process: int) -> LiveShare:
    """Return the pictures of a part that one of several processes encodes."""
    mine = part.triplets[part.own]
    hard = hard_negatives_of(triplets, part)
    each = -(-len(hard) // processes)
    padded = np.resize(hard, each * processes) if len(hard) else hard
    share = padded[process * each : (process + 1) * each]
    return LiveShare(triplets.references[mine], triplets.targets[mine], share, len(hard))


class LivePixels(NamedTuple):
    """The pixels of a part's images, to be encoded within the step, so that gradients reach the model."""

    pixels: Tensor
    share: LiveShare

    def encoded(self, model: Retriever) -> Sides:
        """Encode them, and gather the targets of all processes."""
        sizes = [len(self.share.references), len(self.share.targets), len(self.share.hard_negatives)]
        references, targets, hard = torch.split(self.pixels, sizes)
        found = gathered(model.encode_targets(targets))
        if self.share.all_hard_negatives:
            negatives = gathered(model.encode_targets(hard))[: self.share.all_hard_negatives]
            found = torch.cat([found, negatives])
        return Sides(model.encode_references(references), found)
