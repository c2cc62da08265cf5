"""How many rows memory holds, learnt where it ran out."""

from __future__ import annotations

from typing import Any

import torch

_MEMORY_WORDS = ("out of memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED", "not enough memory")

Bucket = tuple[int, int]
"""Images of a row, and the power of two that its tokens do not exceed."""


class Limits:
    """The most rows of a batch in this run: what the recipe says, or half of what was too much.

    Args:
        rows: the recipe's `batch_size`.
        tokens: the recipe's `batch_tokens`: prompts, padding and new tokens of a batch together; None for no limit.
    """

    def __init__(self, rows: int, tokens: int | None) -> None:
        self._rows = rows
        self._tokens = tokens
        self.learnt: dict[Bucket, int] = {}
        """Rows that fit where more did not."""

    def rows(self, images: int, length: int, new_tokens: int) -> int:
        """Return how many rows may be answered together, at least one.

        Args:
            images: of every row.
            length: tokens of the longest prompt.
            new_tokens: of the longest answer.
        """
        known = [rows for bucket, rows in self.learnt.items() if bucket[0] <= images and bucket[1] <= _power(length)]
        budget = [] if self._tokens is None else [self._tokens // (length + new_tokens)]
        return max(1, min([self._rows, *known, *budget]))

    def halve(self, images: int, length: int, rows: int) -> None:
        """Remember that so many rows were too many."""
        bucket = (images, _power(length))
        self.learnt[bucket] = max(1, min(rows // 2, self.learnt.get(bucket, rows)))


def _power(length: int) -> int:
    return 1 << max(0, length - 1).bit_length()


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory ran out: libraries say so in many ways."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _MEMORY_WORDS)


def is_broken_device(error: Any) -> bool:
    """Return whether an error leaves the device useless: every later call would fail, whatever the row."""
    kind = getattr(torch, "AcceleratorError", None)
    return kind is not None and isinstance(error, kind) and not is_out_of_memory(error)
