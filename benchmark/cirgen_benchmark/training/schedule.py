"""How the rate of a stage changes: a function of the step alone, so that no checkpoint has to hold it."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from cirgen.settings import Settings

Share = Annotated[float, Field(gt=0, lt=1)]
END_OF_CYCLE = 1e-4
"""Of the share that a cycle starts with (PyTorch's default)."""


class OneCycle(Settings):
    """Up to the rate and down to next to nothing, each half a cosine, as PyTorch's OneCycleLR has it; betas stay."""

    kind: Literal["one_cycle"] = "one_cycle"
    epochs: PositiveFloat
    """Of the whole cycle; a stage that is shorter ends before it is down, a longer one stays there."""
    rise_epochs: PositiveFloat
    start: Share = 0.04
    """Share of the rate that the first step has."""

    @model_validator(mode="after")
    def _falls(self) -> OneCycle:
        if self.rise_epochs >= self.epochs:
            raise ValueError("a cycle rises before it falls; set rise_epochs below epochs")
        return self

    def share(self, step: int, steps_per_epoch: int) -> float:
        """Return the share of the rate that a step has (0 is the first)."""
        top, end = self.rise_epochs * steps_per_epoch - 1, self.epochs * steps_per_epoch - 1
        if step <= top:
            return _between(self.start, 1.0, step / top)
        return _between(1.0, self.start * END_OF_CYCLE, min(1.0, (step - top) / (end - top)))


class Decay(Settings):
    """The rate times a factor after every few epochs, until some epoch."""

    kind: Literal["decay"] = "decay"
    factor: Share
    every_epochs: PositiveInt
    until_epoch: PositiveInt

    def share(self, step: int, steps_per_epoch: int) -> float:
        """Return the share of the rate that a step has (0 is the first)."""
        epoch = min(step // steps_per_epoch, self.until_epoch)
        return self.factor ** (epoch // self.every_epochs)


class Cosine(Settings):
    """Down to nothing by half a cosine, epoch by epoch; a longer stage goes up again, as BLIP's schedule does."""

    kind: Literal["cosine"] = "cosine"
    epochs: PositiveInt
    """Until there is nothing."""

    def share(self, step: int, steps_per_epoch: int) -> float:
        """Return the share of the rate that a step has (0 is the first)."""
        return _between(1.0, 0.0, step // steps_per_epoch / self.epochs)


Schedule = Annotated[OneCycle | Decay | Cosine, Field(discriminator="kind")]


def _between(one: float, other: float, way: float) -> float:
    return other + (one - other) * (1 + math.cos(math.pi * way)) / 2
