"""The training loop that every embedded model shares: cosine schedule, progress lines, checkpoints, resume."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from cirgen.world.training.muon import Float32Muon
from cirgen.world.training.pool import Pixels
from cirgen.world.training.precision import has_bfloat16

WARMUP = 100
"""Steps of linear warm-up."""

FINAL_RATE = 0.02
"""Learning rate at the end, as a share of the peak."""

SHIFT = 3
"""Most pixels that a training image is moved, on top of the pose it was drawn in."""

REPORT_SECONDS = 20.0


@dataclass
class Budget:
    """How long to train: a number of steps, which is reproducible, or minutes of wall clock, which is not."""

    steps: int
    minutes: float | None = None

    def done(self, step: int, seconds: float) -> float:
        """Return the share of the budget that is spent, 0 to 1."""
        return min(1.0, seconds / (60 * self.minutes) if self.minutes else step / self.steps)


@dataclass
class Loop:
    """One phase of training of `module`; `batch` returns the loss of the step with the given seed.

    A checkpoint holds the module, the optimisers, the step and the seconds; a loop that finds one goes on from it.
    """

    name: str
    module: nn.Module
    loss: Callable[[random.Random], torch.Tensor]
    budget: Budget
    seed: int
    rate: float = 1e-3
    checkpoint: Path | None = None
    checkpoint_seconds: float = 180.0
    on_checkpoint: Callable[[], None] | None = None
    report: Callable[[str], None] = print
    step: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.optimisers = optimisers(self.module, self.rate)
        if self.checkpoint and self.checkpoint.is_file():
            self._restore(torch.load(self.checkpoint, weights_only=True))

    def run(self) -> None:
        """Train until the budget is spent."""
        start, reported, saved = time.monotonic() - self.seconds, -math.inf, time.monotonic()
        self.module.train()
        while (spent := self.budget.done(self.step, self.seconds)) < 1:
            self._step(spent)
            self.seconds = time.monotonic() - start
            if time.monotonic() - reported > REPORT_SECONDS:
                reported = time.monotonic()
                self.report(self._line())
            if time.monotonic() - saved > self.checkpoint_seconds:
                saved = time.monotonic()
                self.save()
        self.report(self._line())
        self.save()

    def _step(self, spent: float) -> None:
        factor = min(1.0, (self.step + 1) / WARMUP) * (
            FINAL_RATE + (1 - FINAL_RATE) * (1 + math.cos(math.pi * spent)) / 2
        )
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = group["peak"] * factor
            optimiser.zero_grad()
        loss = self.loss(random.Random(f"{self.name} {self.seed} {self.step}"))
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.module.parameters(), 1.0)
        for optimiser in self.optimisers:
            optimiser.step()
        self.losses.append(loss.item())
        self.step += 1

    def _line(self) -> str:
        recent = self.losses[-50:]
        spent = self.budget.done(self.step, self.seconds)
        left = self.seconds / spent - self.seconds if spent else 0.0
        rate = self.step / self.seconds if self.seconds else 0.0
        loss = sum(recent) / len(recent) if recent else math.nan
        return f"{self.name}: step {self.step}, loss {loss:.4f}, {rate:.2f} steps/s, {left / 60:.1f} min left"

    def save(self) -> None:
        """Write the checkpoint, then whatever the caller keeps beside it."""
        if self.checkpoint:
            self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
            partial = self.checkpoint.with_suffix(".partial")
            torch.save(self._state(), partial)
            partial.rename(self.checkpoint)
        if self.on_checkpoint:
            self.on_checkpoint()

    def _state(self) -> dict[str, Any]:
        return {
            "module": self.module.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "step": self.step,
            "seconds": self.seconds,
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self.module.load_state_dict(state["module"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.step, self.seconds = state["step"], state["seconds"]


def optimisers(module: nn.Module, rate: float) -> list[torch.optim.Optimizer]:
    """Return Muon for the matrices inside the layers and AdamW for everything else."""
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in module.named_parameters():
        (matrices if parameter.ndim == 2 and ".layers." in name else others).append(parameter)
    adam = torch.optim.AdamW(others, lr=rate, betas=(0.9, 0.98), weight_decay=0.02)
    muon: torch.optim.Optimizer = (
        torch.optim.Muon(matrices, lr=rate, weight_decay=0.02, adjust_lr_fn="match_rms_adamw")
        if has_bfloat16()
        else Float32Muon(matrices, lr=rate, weight_decay=0.02)
    )
    for optimiser in (adam, muon):
        for group in optimiser.param_groups:
            group["peak"] = rate
    return [adam, muon]


def pixel_batch(pixels: Pixels, indices: Iterable[int], rng: random.Random) -> torch.Tensor:
    """Return [B, 3, side, side] float32, normalised as the models' image processor does, each moved by some pixels."""
    moved = [_moved(pixels[index], rng.randint(-SHIFT, SHIFT), rng.randint(-SHIFT, SHIFT)) for index in indices]
    batch = torch.from_numpy(np.stack(moved)).permute(0, 3, 1, 2).float()
    return (batch / 255 - 0.5) / 0.25


def _moved(image: Pixels, dx: int, dy: int) -> Pixels:
    side = image.shape[0]
    rows = np.clip(np.arange(side) + dy, 0, side - 1)
    columns = np.clip(np.arange(side) + dx, 0, side - 1)
    return image[rows][:, columns]
