"""Prompts that begin alike are read once: several questions about the same images share all of these.

A chat template puts images before the words, so what prompts about the same images have in common are the system
message, the images (hundreds of tokens each, through the vision tower, too) and often the first words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicSlidingWindowLayer

from cirgen.backends.loaded_model import Tensors
from cirgen.backends.rows import Row

LEAST_SAVED = 0.1
"""Of the tokens of a batch: where less would be read once instead of several times, another pass is not worth it."""


class Shared(NamedTuple):
    """Rows of which several begin alike."""

    heads: list[Row]
    """What is read once."""
    rows: list[Row]
    """Those that begin with a head, those of one head together."""
    head_of: list[int]
    """[R] places in `heads`."""
    single: list[Row]
    """Those that begin as no other."""

    def tail(self, place: int) -> torch.Tensor:
        """Return the tokens [1, n] of a row that its head has not, at least one."""
        ids: torch.Tensor = self.rows[place].inputs["input_ids"][:, self.heads[self.head_of[place]].length :]
        return ids


def shareable(config: Any) -> bool:
    """Return whether the beginning of a prompt may be read by itself.

    Rows are padded between their beginning and the rest, and a layer with a sliding window counts padding as tokens.
    """
    layers = DynamicCache(config=config).layers
    return not any(isinstance(layer, DynamicSlidingWindowLayer) for layer in layers)


def image_token(config: Any) -> int | None:
    """Return the token that stands for a part of an image."""
    found = getattr(config, "image_token_id", None)
    return found if found is not None else getattr(config, "image_token_index", None)


def shared(rows: Sequence[Row], image: int) -> Shared | None:
    """Return which rows of a batch begin alike, None where that saves little.

    Args:
        rows: of one policy.
        image: the token that stands for a part of an image.
    """
    about: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        about.setdefault(row.request.image_ids, []).append(row)
    found, saved = Shared([], [], [], []), 0
    for alike in about.values():
        length = _common(alike, image) if len(alike) > 1 else 0
        if not length:
            found.single.extend(alike)
            continue
        found.head_of.extend([len(found.heads)] * len(alike))
        found.heads.append(Row(alike[0].request, _cut(alike[0].inputs, length)))
        found.rows.extend(alike)
        saved += length * (len(alike) - 1)
    return found if saved > LEAST_SAVED * sum(row.length for row in rows) else None


def _common(rows: Sequence[Row], image: int) -> int:
    """Return how many tokens rows have in common at their beginning: all those of images, and not all of any row."""
    shortest = min(row.length for row in rows) - 1
    ids = torch.cat([row.inputs["input_ids"][:, :shortest] for row in rows])
    other = (ids != ids[0]).any(dim=0).nonzero()
    length = int(other[0]) if len(other) else shortest
    tails = [row.inputs["input_ids"][:, length:] for row in rows]
    return 0 if not rows[0].request.image_ids or any((tail == image).any() for tail in tails) else length


def _cut(inputs: Tensors, length: int) -> Tensors:
    """Return the first tokens of a row, and all of its images."""
    shape = inputs["input_ids"].shape
    return {name: value[:, :length] if value.shape == shape else value for name, value in inputs.items()}
