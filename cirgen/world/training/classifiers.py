"""Classifiers that teach a model where to look, and are thrown away after training."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from cirgen.world.training.pool import CLASSES

VALUES: tuple[int, ...] = tuple(len(values) for values in CLASSES)
"""Number of classes of a classifier that tells values, attribute by attribute."""

DIFFERENCES: tuple[int, ...] = (2,) * len(CLASSES)
"""Of one that tells whether an attribute differs between two images."""

UNASKED = -100
"""The class of an attribute that does not count."""

RARE_WEIGHT = 4.0
"""Weight of every class but the first, which stands for nothing to tell, where `rare` classes matter."""


class Classifiers(nn.Module):
    """One attention-pooling classifier an attribute, of `classes` classes, over states [B, places, width]."""

    def __init__(self, width: int, classes: Sequence[int] = VALUES, *, rare: bool = False) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(len(classes), width) * width**-0.5)
        self.outputs = nn.ModuleList(nn.Linear(width, number) for number in classes)
        self.norm = nn.LayerNorm(width)
        self.rare_weight = RARE_WEIGHT if rare else 1.0

    def forward(self, states: torch.Tensor, codes: torch.Tensor, places: torch.Tensor | None = None) -> torch.Tensor:
        """Return the mean cross-entropy of all classifiers.

        Args:
            states: [B, places, width].
            codes: int64 [B, classifiers], the right classes, `UNASKED` where none counts.
            places: bool [B, places], those that count; all by default.
        """
        states = self.norm(states)
        scores = torch.einsum("aw,bpw->bap", self.queries, states)
        if places is not None:
            scores = scores.masked_fill(~places[:, None], -torch.inf)
        pooled = torch.einsum("bap,bpw->baw", scores.softmax(-1), states)
        losses = [self._loss(output(pooled[:, i]).float(), codes[:, i]) for i, output in enumerate(self.outputs)]
        return torch.stack(losses).mean()

    def _loss(self, logits: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        losses = nn.functional.cross_entropy(logits, codes, reduction="none", ignore_index=UNASKED)
        weights = torch.where(codes == 0, 1.0, self.rare_weight) * (codes != UNASKED)
        return (losses * weights).sum() / weights.sum().clamp(min=1)
