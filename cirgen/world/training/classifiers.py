"""Classifiers of the attributes that teach a vision tower, and are thrown away."""

from __future__ import annotations

import torch
from torch import nn

from cirgen.world.training.pool import CLASSES


class Classifiers(nn.Module):
    """One attention-pooling classifier an attribute over patch features [B, patches, width]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(len(CLASSES), width) * width**-0.5)
        self.outputs = nn.ModuleList(nn.Linear(width, len(values)) for values in CLASSES)
        self.norm = nn.LayerNorm(width)

    def forward(self, features: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        """Return the mean cross-entropy of all attributes; `codes` is int64 [B, attributes]."""
        features = self.norm(features)
        attention = torch.einsum("aw,bpw->bap", self.queries, features).softmax(-1)
        pooled = torch.einsum("bap,bpw->baw", attention, features)
        losses = [
            nn.functional.cross_entropy(output(pooled[:, i]).float(), codes[:, i])
            for i, output in enumerate(self.outputs)
        ]
        return torch.stack(losses).mean()
