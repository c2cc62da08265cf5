"""Muon for processors without bfloat16, which torch's own goes through: ten times as slow where it is emulated.

The formulas are those of `torch.optim.Muon` with Nesterov momentum and the rate matched to AdamW's
(https://kellerjordan.github.io/posts/muon, arXiv 2502.16982 section 2.2); matrices of one shape are done together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch

MOMENTUM = 0.95
ITERATIONS, COEFFICIENTS = 5, (3.4445, -4.775, 2.0315)
"""Of Newton and Schulz, as in torch."""
RATE_RATIO = 0.2
"""Root mean square of AdamW's updates, which the rate is matched to."""


class Float32Muon(torch.optim.Optimizer):
    """Orthogonalises the momentum of every matrix before it is applied."""

    def __init__(self, params: Iterable[torch.Tensor], lr: float, weight_decay: float) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Move every matrix that has a gradient."""
        del closure
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[torch.Tensor]] = {}
            for matrix in group["params"]:
                if matrix.grad is not None:
                    by_shape.setdefault(matrix.shape, []).append(matrix)
            for matrices in by_shape.values():
                self._move(matrices, group)

    def _move(self, matrices: list[torch.Tensor], group: dict[str, Any]) -> None:
        rate = group["lr"]
        found = orthogonal(torch.stack([self._momentum(matrix) for matrix in matrices]))
        scaled = rate * RATE_RATIO * math.sqrt(max(matrices[0].shape))
        for matrix, update in zip(matrices, found, strict=True):
            matrix.mul_(1 - rate * group["weight_decay"]).add_(update, alpha=-scaled)

    def _momentum(self, matrix: torch.Tensor) -> torch.Tensor:
        assert matrix.grad is not None
        state = self.state[matrix]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(matrix)
        buffer: torch.Tensor = state["momentum_buffer"]
        buffer.lerp_(matrix.grad, 1 - MOMENTUM)
        return matrix.grad.lerp(buffer, MOMENTUM)


def orthogonal(matrices: torch.Tensor) -> torch.Tensor:
    """Return the nearest orthogonal matrices [N, a, b], roughly: singular values lie near 1."""
    wide = matrices.shape[1] <= matrices.shape[2]
    found: torch.Tensor = matrices if wide else matrices.mT
    found = found / found.flatten(1).norm(dim=1).clamp(min=1e-7)[:, None, None]
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):
        gram = found @ found.mT
        found = a * found + (b * gram + c * gram @ gram) @ found
    return found if wide else found.mT
