"""Sampling whose noise belongs to the row: the same answer in any batch, at any position, on any worker."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from transformers import LogitsProcessor


class SeededGumbel(LogitsProcessor):  # type: ignore[misc]
    """Add Gumbel noise to the logits, so that the arg max is an exact draw from their softmax (the Gumbel-max trick).

    The noise of a row depends on the row's key and on how many tokens it has generated, and on nothing else.

    Args:
        keys: one hex key per row of the batch.
        prompt_length: tokens before the first generated one.
    """

    def __init__(self, keys: list[str], prompt_length: int) -> None:
        self._keys = keys
        self._prompt_length = prompt_length

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Return `scores` [rows, vocabulary] with noise; -inf stays -inf."""
        step = input_ids.shape[1] - self._prompt_length
        return add_noise(scores, [(key, step) for key in self._keys])  # type: ignore[return-value]


def add_noise(scores: torch.Tensor, places: Sequence[tuple[str, int]]) -> torch.Tensor:
    """Return `scores` [rows, vocabulary] with the noise of each row's hex key and number of tokens so far."""
    rows = [
        np.random.Generator(np.random.Philox(key=int(key[:32], 16), counter=step)).gumbel(size=scores.shape[1])
        for key, step in places
    ]
    return scores + torch.from_numpy(np.stack(rows)).to(scores)
