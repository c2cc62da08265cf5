"""Keys and values of rows in the middle of their answers, with room to grow, in which rows come and go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

ROOM = 64
"""Tokens for which there is room before keys and values must be copied: transformers copies them for every token."""


class RoomyLayer(DynamicLayer):  # type: ignore[misc]
    """Keys and values [B, heads, length, dimension] of one layer, views of tensors that are longer.

    Layers with a sliding window keep all their tokens, too; the attention mask hides those that have left it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._stored: tuple[torch.Tensor, torch.Tensor] | None = None

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append keys and values and return all of them."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        begin = self.get_seq_length()
        end = begin + key_states.shape[-2]
        if self._stored is None or end > self._stored[0].shape[-2]:
            old = [(self.keys, self.values)] if begin else []
            self._stored = _room_for(old, key_states, value_states, begin, end + ROOM)
        for stored, more in zip(self._stored, (key_states, value_states), strict=True):
            stored[:, :, begin:end] = more
        self._show(end)
        return self.keys, self.values

    def replace(self, parts: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> None:
        """Hold rows of several origins, the ends of their tokens at one place."""
        length = max(keys.shape[-2] for keys, _ in parts)
        self.dtype, self.device = parts[0][0].dtype, parts[0][0].device
        self.is_initialized = True
        self._stored = _room_for(parts, *parts[0], length, length + ROOM)
        self._show(length)

    def _show(self, length: int) -> None:
        if self._stored is None:
            raise RuntimeError("nothing is stored yet")
        self.keys, self.values = (stored[:, :, :length] for stored in self._stored)


def _room_for(
    parts: Sequence[tuple[torch.Tensor, torch.Tensor]],
    keys: torch.Tensor,
    values: torch.Tensor,
    length: int,
    room: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return [rows, heads, room, dimension] like `keys` and `values`, with all parts before `length`.

    What is before a part is zero, since a masked place still takes part in sums; what comes after `length` is not set.
    """
    rows = sum(part[0].shape[0] for part in parts) or keys.shape[0]
    stored = tuple(like.new_empty((rows, like.shape[1], room, like.shape[3])) for like in (keys, values))
    begin = 0
    for part in parts:
        end = begin + part[0].shape[0]
        for target, source in zip(stored, part, strict=True):
            since = length - source.shape[-2]
            target[begin:end, :, :since] = 0
            target[begin:end, :, since:length] = source
        begin = end
    return stored[0], stored[1]


def roomy_cache(config: Any) -> DynamicCache | None:
    """Return an empty cache for a model, None where it keeps something else than keys and values of tokens."""
    cache = DynamicCache(config=config)
    if any(type(layer) not in (DynamicLayer, DynamicSlidingWindowLayer) for layer in cache.layers):
        return None
    cache.layers = [RoomyLayer() for _ in cache.layers]
    return cache if cache.layers else None


def rearrange(cache: DynamicCache, keep: torch.Tensor | None, since: int, more: DynamicCache | None) -> None:
    """Keep some rows of a cache, forget their tokens before `since`, and add the rows of another one.

    Args:
        cache: changes.
        keep: row indices, None for all.
        since: tokens before it are padding in every row that is kept.
        more: of the same model, or None.
    """
    for place, layer in enumerate(cache.layers):
        kept = tuple((value if keep is None else value[keep])[:, :, since:] for value in (layer.keys, layer.values))
        others = [(more.layers[place].keys, more.layers[place].values)] if more is not None else []
        layer.replace([part for part in (kept, *others) if part[0].shape[0]])
