"""Contrastive losses of queries: what they share, and InfoNCE with the batch's other targets as negatives.

Shapes: B queries, N candidate targets, d dimensions of the common space, T vectors a target has.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from cirgen_benchmark.models.base import similarity


class Temperature(nn.Module):
    """What cosines are divided by: a number, or a parameter that is learned as it stands (as BLIP has it).

    Args:
        value: where it starts.
        learn: let the optimiser change it.
    """

    def __init__(self, value: float, learn: bool = False) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(float(value)), requires_grad=learn)

    def forward(self) -> Tensor:
        """Return the temperature, a scalar."""
        return self.value


class InBatchLoss(nn.Module):
    """InfoNCE against the targets at hand, -log softmax of the right one, averaged over queries (arXiv 2404.11317).

    Args:
        temperature: divides the cosines.
        learn_temperature: let the optimiser change it.
        both_directions: average with the loss from target to query.
    """

    def __init__(self, temperature: float, learn_temperature: bool = False, both_directions: bool = False) -> None:
        super().__init__()
        self.temperature = Temperature(temperature, learn_temperature)
        self.both_directions = both_directions

    def forward(
        self,
        queries: Tensor,
        targets: Tensor,
        positives: Tensor | None = None,
        ignored: Tensor | None = None,
        everyone: Tensor | None = None,
    ) -> Tensor:
        """Return the mean loss, a scalar.

        Args:
            queries: [B, d], normalised.
            targets: [N, d] or [N, T, d], normalised; a query is as similar to a target as to the nearest of its T.
            positives: the target of each query, [B] of 0 <= i < N; without it the first B, in order.
            ignored: which targets are no negatives of which query, [Q, N]; a query's own target always counts.
            everyone: the queries of the first Q targets, in order, [Q, d], where `queries` are only some of them: one
                process's share. Read in both directions alone.
        """
        if positives is None:
            positives = torch.arange(len(queries), device=queries.device)
        mine = None if ignored is None else ignored[positives]
        loss = self._cross_entropy(similarity(queries, targets), positives, mine)
        if not self.both_directions:
            return loss
        scores = similarity(queries if everyone is None else everyone, targets[positives]).T  # [B, Q]
        asked = None if ignored is None else ignored[:, positives].T
        return (loss + self._cross_entropy(scores, positives, asked)) / 2

    def _cross_entropy(self, scores: Tensor, positives: Tensor, ignored: Tensor | None) -> Tensor:
        logits = scores / self.temperature()
        if ignored is not None:  # after the division: minus infinity would give the temperature no gradient
            logits = logits.masked_fill(ignored.scatter(1, positives[:, None], False), float("-inf"))
        return cross_entropy(logits, positives)
