"""Tensors of all processes, with the gradients that one process with the whole batch would find."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable


def gathered(tensor: Tensor) -> Tensor:
    """Return the tensors [B, ...] of all processes in the order of their ranks, [processes x B, ...].

    The gradient of a process's own tensor is the sum of what all processes ask of it. So where each process has the
    mean loss of its share of the queries, and gradients of weights are averaged over processes, the result is exactly
    the gradient of the mean loss of all queries.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return tensor
    found: Tensor = _Gathered.apply(tensor)  # type: ignore[no-untyped-call]
    return found


class _Gathered(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, tensor: Tensor) -> Tensor:  # noqa: ARG004
        parts = [torch.empty_like(tensor) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, tensor.contiguous())
        return torch.cat(parts)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ARG004
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total.chunk(dist.get_world_size())[dist.get_rank()]
