"""Rows: requests as the model reads them, each by itself, and how rows of any shape become one batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from cirgen.backends.base import Request
from cirgen.backends.loaded_model import Tensors


@dataclass(frozen=True, eq=False)
class Row:
    """A request and what the model reads for it: one row of each tensor, unpadded."""

    request: Request
    inputs: Tensors = field(repr=False)

    @property
    def length(self) -> int:
        """Tokens of the prompt, those of its images included."""
        return int(self.inputs["input_ids"].shape[1])

    @property
    def size(self) -> int:
        """Bytes that it holds."""
        return sum(value.nbytes for value in self.inputs.values())

    @property
    def policy(self) -> tuple[Any, ...]:
        """What the rows of a batch have in common: how many images, and how answers are drawn."""
        request = self.request
        images = len(request.image_ids)
        return (images, request.max_new_tokens, request.temperature, request.top_p, request.top_k)


def collate(rows: Sequence[Row], pad: int) -> Tensors:
    """Return rows as one batch.

    What has a value for every token is padded on the left; what belongs to images is joined one after another, filled
    up with zeros where tiles differ in number, as processors fill up, and models know such tiles by their zeros.

    Args:
        rows: at least one, of one policy.
        pad: the token that fills up.
    """
    if len(rows) == 1:
        return dict(rows[0].inputs)
    longest = max(row.length for row in rows)
    padded = [_padded(row.inputs, longest, pad) for row in rows]
    return {name: _joined([inputs[name] for inputs in padded]) for name in padded[0]}


def padded(ids: Sequence[torch.Tensor], pad: int) -> Tensors:
    """Return rows of tokens [1, n], each of its own n, as one batch padded on the left, with its mask."""
    longest = max(one.shape[1] for one in ids)
    masks = [_left(torch.ones_like(one), longest - one.shape[1], 0) for one in ids]
    return {
        "input_ids": torch.cat([_left(one, longest - one.shape[1], pad) for one in ids]),
        "attention_mask": torch.cat(masks),
    }


def _padded(inputs: Tensors, length: int, pad: int) -> Tensors:
    shape = inputs["input_ids"].shape
    return {
        name: _left(value, length - shape[1], pad if name == "input_ids" else 0) if value.shape == shape else value
        for name, value in inputs.items()
    }


def _left(value: torch.Tensor, more: int, fill: int) -> torch.Tensor:
    return torch.nn.functional.pad(value, (more, 0), value=fill) if more else value


def _joined(values: Sequence[torch.Tensor]) -> torch.Tensor:
    sizes = [value.shape[1:] for value in values]
    if len(set(sizes)) == 1:
        return torch.cat(list(values))
    largest = [max(of_axis) for of_axis in zip(*sizes, strict=True)]
    return torch.cat([_filled(value, largest) for value in values])


def _filled(value: torch.Tensor, sizes: Sequence[int]) -> torch.Tensor:
    """Fill every axis but the first up to its size with zeros at its end."""
    missing = [(0, size - now) for size, now in zip(sizes, value.shape[1:], strict=True)]
    return torch.nn.functional.pad(value, [amount for pair in reversed(missing) for amount in pair])
