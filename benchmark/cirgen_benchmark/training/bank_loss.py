"""InfoNCE against a static bank, exact, without ever building the matrix of all logits.

The bank is constant, so that the gradient with respect to a query is known as soon as the softmax is:

    loss_i = log sum_k exp(q_i . T_k / tau) - q_i . T_y / tau
    d loss_i / d q_i = (sum_k p_ik T_k - T_y) / tau
    d loss_i / d tau = -(q_i . sum_k p_ik T_k - q_i . T_y) / tau^2

One pass over the bank in chunks keeps, for each query, the running maximum of its logits, the sum of their
exponentials and the sum of bank rows weighted by them (the online softmax of Milakov and Gimelshein, arXiv
1805.02867); loss and both gradients follow. Memory is set by the chunk.

Shapes: B queries, M bank rows, d dimensions of the common space, T vectors a row has, C rows of a chunk.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable

from cirgen_benchmark.training.losses import Temperature

BankRows = Tensor | NDArray[np.floating[Any]]
"""[M, d] or [M, T, d], L2-normalised, of any float type; numpy arrays may be memory-mapped."""
CHUNK_ROWS = 8192


class Pairs(NamedTuple):
    """Some of the B x M pairs of a query and a bank row, [P] each."""

    queries: Tensor
    rows: Tensor

    @staticmethod
    def of(rows: list[Tensor]) -> Pairs:
        """Return the pairs of each query with its bank rows."""
        counts = torch.tensor([len(of_query) for of_query in rows], dtype=torch.long)
        return Pairs(torch.repeat_interleave(torch.arange(len(rows)), counts), torch.cat(rows))


class BankLoss(nn.Module):
    """InfoNCE with every row of the bank but a query's target as a negative (arXiv 2404.11317, stage two).

    Args:
        temperature: divides the cosines.
        learn_temperature: let the optimiser change it.
        chunk: rows of the bank that are compared at once; with T vectors a row, as many fewer.
    """

    def __init__(self, temperature: float, learn_temperature: bool = False, chunk: int = CHUNK_ROWS) -> None:
        super().__init__()
        self.temperature = Temperature(temperature, learn_temperature)
        self.chunk = chunk

    def forward(
        self,
        queries: Tensor,
        bank: BankRows,
        positives: Tensor,
        ignored: Pairs | None = None,
        sampled: Pairs | None = None,
    ) -> Tensor:
        """Return the mean loss, a scalar.

        Args:
            queries: [B, d], normalised.
            bank: what they are compared with; no gradient reaches it.
            positives: the row of each query's target, [B].
            ignored: rows that are no negatives of a query; its target counts even so.
            sampled: the only negatives of each query; without it every row.
        """
        return bank_losses(queries, self.temperature(), bank, positives, ignored, sampled, self.chunk).mean()


def bank_losses(
    queries: Tensor,
    temperature: Tensor,
    bank: BankRows,
    positives: Tensor,
    ignored: Pairs | None = None,
    sampled: Pairs | None = None,
    chunk: int = CHUNK_ROWS,
) -> Tensor:
    """Return the loss of each query, [B], as `BankLoss` has it; differentiable by `queries` and `temperature`.

    Sums have the type of the queries, at least float32.
    """
    with torch.autocast(queries.device.type, enabled=False):
        precise = queries if queries.dtype == torch.float64 else queries.float()
        rows = _Rows(bank, chunk, precise)
        if sampled is not None:
            rows, positives, ignored, sampled = _only_sampled(rows, positives, ignored, sampled)
        select = _Selection(positives.to(precise.device), ignored, sampled)
        losses: Tensor = _BankLosses.apply(precise, temperature, rows, select)  # type: ignore[no-untyped-call]
    return losses


class _Rows:
    """The bank, or some rows of it, chunk by chunk in the type and on the device of the queries."""

    def __init__(self, bank: BankRows, chunk: int, like: Tensor, rows: Tensor | None = None) -> None:
        self._bank = bank
        self._vectors = bank.shape[1] if bank.ndim == 3 else 1
        self._step = max(1, chunk // self._vectors)
        self._chunk = chunk
        self._like = like
        self._rows = rows

    def __len__(self) -> int:
        return len(self._bank) if self._rows is None else len(self._rows)

    def only(self, rows: Tensor) -> _Rows:
        """Return some rows of the bank."""
        return _Rows(self._bank, self._chunk, self._like, rows)

    def __iter__(self) -> Iterator[tuple[int, Tensor]]:
        """Yield chunks [C, d] or [C, T, d], each with the number of its first row."""
        for start in range(0, len(self), self._step):
            yield start, self._loaded(start, min(start + self._step, len(self)))

    def _loaded(self, start: int, end: int) -> Tensor:
        if self._rows is None:
            taken = self._bank[start:end]
        elif isinstance(self._bank, Tensor):
            taken = self._bank[self._rows[start:end].to(self._bank.device)]
        else:
            taken = self._bank[self._rows[start:end].cpu().numpy()]
        # a copy of a mapped file: torch warns of tensors that it must not write to
        tensor = taken if isinstance(taken, Tensor) else torch.from_numpy(np.array(taken))
        return tensor.to(self._like.device, self._like.dtype)


class _Selection:
    """Which logits of a chunk count."""

    def __init__(self, positives: Tensor, ignored: Pairs | None, sampled: Pairs | None) -> None:
        self._positives = positives
        self._ignored = None if ignored is None else _by_row(_without(ignored, positives))
        self._sampled = None if sampled is None else _by_row(_with(sampled, positives))

    def positives(self, start: int, end: int) -> tuple[Tensor, Tensor]:
        """Return the queries whose target is in a chunk, and its place there."""
        queries = torch.nonzero((self._positives >= start) & (self._positives < end)).squeeze(1)
        return queries, self._positives[queries] - start

    def mask(self, logits: Tensor, start: int) -> Tensor:
        """Return the logits [B, C] of a chunk with minus infinity where they do not count; may write to them."""
        if self._sampled is not None:
            pairs = _between(self._sampled, start, start + logits.shape[1])
            kept = torch.full_like(logits, float("-inf"))
            kept[pairs.queries, pairs.rows - start] = logits[pairs.queries, pairs.rows - start]
            logits = kept
        if self._ignored is not None:
            pairs = _between(self._ignored, start, start + logits.shape[1])
            logits[pairs.queries, pairs.rows - start] = float("-inf")
        return logits


def _by_row(pairs: Pairs) -> Pairs:
    order = torch.argsort(pairs.rows, stable=True)
    return Pairs(pairs.queries[order], pairs.rows[order])


def _between(pairs: Pairs, start: int, end: int) -> Pairs:
    """Return the pairs, sorted by row, whose rows are in a chunk."""
    bounds = torch.tensor([start, end], device=pairs.rows.device)
    first, last = torch.searchsorted(pairs.rows, bounds).tolist()
    return Pairs(pairs.queries[first:last], pairs.rows[first:last])


def _without(pairs: Pairs, positives: Tensor) -> Pairs:
    """Return the pairs on the device of the positives, without those of a query and its target."""
    queries, rows = pairs.queries.to(positives.device), pairs.rows.to(positives.device)
    others = positives[queries] != rows
    return Pairs(queries[others], rows[others])


def _with(pairs: Pairs, positives: Tensor) -> Pairs:
    """Return the pairs and those of each query and its target."""
    everyone = torch.arange(len(positives), device=positives.device)
    queries, rows = pairs.queries.to(positives.device), pairs.rows.to(positives.device)
    return Pairs(torch.cat([queries, everyone]), torch.cat([rows, positives]))


def _only_sampled(
    rows: _Rows, positives: Tensor, ignored: Pairs | None, sampled: Pairs
) -> tuple[_Rows, Tensor, Pairs | None, Pairs]:
    """Reduce the bank to the rows that some query draws; return everything by their new numbers."""
    positives = positives.to(sampled.rows.device)
    kept = torch.unique(torch.cat([sampled.rows, positives]))
    if ignored is not None:
        moved = ignored.rows.to(kept.device)
        there = torch.isin(moved, kept)
        ignored = Pairs(ignored.queries.to(kept.device)[there], torch.searchsorted(kept, moved[there]))
    sampled = Pairs(sampled.queries, torch.searchsorted(kept, sampled.rows))
    return rows.only(kept), torch.searchsorted(kept, positives), ignored, sampled


class _BankLosses(torch.autograd.Function):
    """Losses [B] with gradients that the forward pass has found already."""

    @staticmethod
    def forward(ctx: FunctionCtx, queries: Tensor, temperature: Tensor, rows: _Rows, select: _Selection) -> Tensor:
        scale = temperature.to(queries.dtype)
        found = _one_pass(queries, scale, rows, select)
        away = (found.expected - found.positive) / scale  # d loss_i / d q_i, [B, d]
        ctx.save_for_backward(away, -(queries * away).sum(dim=1) / scale)
        ctx.temperature_type = temperature.dtype  # type: ignore[attr-defined]
        return found.losses

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        by_query, by_temperature = ctx.saved_tensors
        total = (gradient * by_temperature).sum().to(ctx.temperature_type)
        return gradient[:, None] * by_query, total, None, None


class _Found(NamedTuple):
    """What one pass over the bank finds."""

    losses: Tensor
    """log sum_k exp(q . T_k / tau) - q . T_y / tau, [B]."""
    expected: Tensor
    """sum_k p_k T_k, [B, d]."""
    positive: Tensor
    """T_y, [B, d]: where a row has T vectors, the one nearest to the query."""


def _one_pass(queries: Tensor, temperature: Tensor, rows: _Rows, select: _Selection) -> _Found:
    highest = queries.new_full((len(queries),), torch.finfo(queries.dtype).min)
    total = torch.zeros_like(highest)
    weighted = torch.zeros_like(queries)
    positive, own = torch.zeros_like(queries), torch.zeros_like(highest)
    scaled = queries / temperature
    for start, chunk in rows:
        logits, nearest = _logits(scaled, chunk)
        mine, places = select.positives(start, start + len(chunk))
        positive[mine], own[mine] = _vectors(chunk, nearest, mine, places), logits[mine, places]
        logits = select.mask(logits, start)
        higher = torch.maximum(highest, logits.amax(dim=1))
        shrink = torch.exp(highest - higher)
        weights = logits.sub_(higher[:, None]).exp_()
        total = total * shrink + weights.sum(dim=1)
        weighted = weighted * shrink[:, None] + _weighted_rows(weights, chunk, nearest)
        highest = higher
    return _Found(torch.log(total) + (highest - own), weighted / total[:, None], positive)


def _logits(scaled: Tensor, chunk: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return logits [B, C], and which of its T vectors is a row's nearest to the query where there are several."""
    if chunk.ndim == 2:
        return scaled @ chunk.T, None
    every = (scaled @ chunk.flatten(0, 1).T).view(len(scaled), *chunk.shape[:2])
    highest, nearest = every.max(dim=2)
    return highest, nearest


def _vectors(chunk: Tensor, nearest: Tensor | None, queries: Tensor, places: Tensor) -> Tensor:
    """Return the vector of the row at each place that its query is compared with, [P, d]."""
    return chunk[places] if nearest is None else chunk[places, nearest[queries, places]]


def _weighted_rows(weights: Tensor, chunk: Tensor, nearest: Tensor | None) -> Tensor:
    """Return the sum of a chunk's rows weighted for each query, [B, d]."""
    if nearest is None:
        return weights @ chunk
    spread = weights.new_zeros((*weights.shape, chunk.shape[1])).scatter_(2, nearest[..., None], weights[..., None])
    return spread.flatten(1) @ chunk.flatten(0, 1)
