"""One part of a batch, from images and texts to its loss: what is wrapped for several devices."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from cirgen.devices import dtype_of
from cirgen_benchmark.models.base import Retriever, Tokens
from cirgen_benchmark.training.bank import Compared
from cirgen_benchmark.training.bank_loss import BankLoss, BankRows
from cirgen_benchmark.training.distributed import gathered
from cirgen_benchmark.training.losses import InBatchLoss
from cirgen_benchmark.training.settings import StageSettings
from cirgen_benchmark.training.sides import LivePixels, Sides


class StepInput(NamedTuple):
    """What a step is given, on the device."""

    images: Sides | LivePixels
    tokens: Tokens
    own: slice
    """Where this process's queries are among the part's."""
    ignored: Tensor | None
    """In the batch: targets that are no negatives of a query of the part, [P, P + H]."""
    compared: Compared | None
    """With a bank: what the queries are compared with."""


class Step(nn.Module):
    """The mean loss of this process's share of a part.

    Args:
        model: what is trained.
        settings: of the stage.
        bank: rows, where the loss is against one.
    """

    def __init__(self, model: Retriever, settings: StageSettings, bank: BankRows | None = None) -> None:
        super().__init__()
        self.model = model
        self._precision = settings.precision
        self._bank = bank
        self.loss = _loss(settings)

    @property
    def temperature(self) -> nn.Parameter:
        """What divides the cosines."""
        return self.loss.temperature.value

    def forward(self, given: StepInput) -> Tensor:
        """Return the loss, a scalar."""
        device = self.temperature.device.type
        with torch.autocast(device, dtype_of(self._precision), enabled=self._precision != "float32"):
            sides = given.images if isinstance(given.images, Sides) else given.images.encoded(self.model)
            queries = self.model.compose(sides.references, given.tokens)
        queries = queries.float()
        if isinstance(self.loss, BankLoss):
            return self._against_bank(self.loss, queries, given)
        assert sides.targets is not None
        everyone = gathered(queries) if self.loss.both_directions else None
        positives = torch.arange(given.own.start, given.own.stop, device=queries.device)
        loss: Tensor = self.loss(queries, sides.targets.float(), positives, given.ignored, everyone)
        return loss

    def _against_bank(self, loss_of: BankLoss, queries: Tensor, given: StepInput) -> Tensor:
        assert self._bank is not None
        assert given.compared is not None
        loss: Tensor = loss_of(queries, self._bank, *given.compared)
        return loss


def _loss(settings: StageSettings) -> InBatchLoss | BankLoss:
    if settings.loss == "bank":
        return BankLoss(settings.temperature, settings.learn_temperature, settings.bank.chunk)
    return InBatchLoss(settings.temperature, settings.learn_temperature, settings.both_directions)
