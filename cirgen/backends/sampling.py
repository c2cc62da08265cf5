"""Sampling whose noise belongs to the row: the same answer in any batch, at any position, on any worker."""

from __future__ import annotations

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
        self._seeds = [int(key[:32], 16) for key in keys]
        self._prompt_length = prompt_length

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Return `scores` [rows, vocabulary] with noise; -inf stays -inf."""
        step = input_ids.shape[1] - self._prompt_length
        rows = [
            np.random.Generator(np.random.Philox(key=s, counter=step)).gumbel(size=scores.shape[1])
            for s in self._seeds
        ]
        noise = torch.from_numpy(np.stack(rows)).to(scores)
        return scores + noise  # type: ignore[return-value]
