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


class Classifiers(nn.Module):
    """One attention-pooling classifier an attribute, of `classes` classes, over patch states [B, patches, width]."""

    def __init__(self, width: int, classes: Sequence[int] = VALUES) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(len(classes), width) * width**-0.5)
        self.outputs = nn.ModuleList(nn.Linear(width, number) for number in classes)
        self.norm = nn.LayerNorm(width)

    def forward(self, states: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        """Return the mean cross-entropy of all attributes; `codes` is int64 [B, attributes]."""
        states = self.norm(states)
        attention = torch.einsum("aw,bpw->bap", self.queries, states).softmax(-1)
        pooled = torch.einsum("bap,bpw->baw", attention, states)
        losses = [
            nn.functional.cross_entropy(output(pooled[:, i]).float(), codes[:, i])
            for i, output in enumerate(self.outputs)
        ]
        return torch.stack(losses).mean()
