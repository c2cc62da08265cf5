"""The steps of a stage: gradients, looks at the development set, checkpoints."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import Tensor, nn
from torch.optim import AdamW

from cirgen.errors import UserError
from cirgen.progress import Progress
from cirgen_benchmark.models.base import Retriever
from cirgen_benchmark.training.batches import DROPOUT, Batches
from cirgen_benchmark.training.checkpoints import StageFolder, State
from cirgen_benchmark.training.features import evaluating
from cirgen_benchmark.training.inputs import Inputs
from cirgen_benchmark.training.settings import OptimiserSettings, StageSettings
from cirgen_benchmark.training.step import Step, StepInput

Evaluate = Callable[[Retriever], float]
"""Scores a model on a development set; more is better."""
FULL_RATE = "full_rate"
"""Key of a group's rate before its schedule."""
LOSSES_AT_ONCE = 100
"""Losses that may wait on the device before they are read: reading one waits for the step."""


@dataclass(frozen=True)
class Looks:
    """When the development set is looked at, and what is kept."""

    evaluate: Evaluate | None
    """None looks at nothing; weights are kept all the same, where all are."""
    every: int
    """Steps."""
    keep_all: bool
    """Keep the weights of each, whether best or not."""

    def due(self, step: int, steps: int) -> bool:
        """Return whether there is a look after so many of `steps` steps."""
        return (self.evaluate is not None or self.keep_all) and (step % self.every == 0 or step == steps)


class Loop:
    """Runs the steps of a stage, from the last checkpoint on.

    Args:
        accelerator: of this process.
        step: what is trained, on its device.
        parameters: what is trained, by name, the temperature included.
        settings: of the stage.
        batches: their number is the stage's number of steps.
        folder: for weights and checkpoints.
        looks: at the development set.
        seed: of dropout.
        every_seconds: least time between two checkpoints.
        progress: where steps are shown.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        step: Step,
        parameters: Mapping[str, nn.Parameter],
        settings: StageSettings,
        batches: Batches,
        folder: StageFolder,
        looks: Looks,
        seed: int,
        every_seconds: float,
        progress: Progress,
    ) -> None:
        self._accelerator = accelerator
        self._step = step
        self._device = step.temperature.device
        self._wrapped = accelerator.prepare_model(step, device_placement=False)
        self._parameters = parameters
        self._settings = settings
        self._steps = batches.steps
        self._steps_per_epoch = batches.steps_per_epoch
        self._folder = folder
        self._looks = looks
        self._seed = seed
        self._every_seconds = every_seconds
        self._progress = progress
        self._optimiser = _optimiser(parameters, settings.optimiser)
        self._scaler = torch.amp.GradScaler(self._device.type, enabled=settings.precision == "float16")
        self._log = _Log()

    def run(self, inputs: Inputs) -> State:
        """Train to the end; return how it ended."""
        start = self._resumed()
        written = time.monotonic()
        given = inputs.parts(start)
        with self._progress.step("train", self._steps) as bar, kept_generators(self._device):
            bar.advance(start)
            for done in range(start + 1, self._steps + 1):
                self._set_rate(done - 1)
                seed_generators([self._seed, DROPOUT, done, self._accelerator.process_index])
                self._log.add(self._updated(islice(given, self._settings.accumulate)))
                if self._looks.due(done, self._steps):
                    self._look(done)
                if done < self._steps and time.monotonic() - written >= self._every_seconds:
                    self._write_checkpoint(done)
                    written = time.monotonic()
                bar.advance(1, **self._log.notes())
        return self._end()

    def _set_rate(self, step: int) -> None:
        schedule = self._settings.optimiser.schedule
        if schedule is not None:
            for group in self._optimiser.param_groups:
                group["lr"] = group[FULL_RATE] * schedule.share(step, self._steps_per_epoch)

    def _resumed(self) -> int:
        state = self._folder.read_checkpoint(self._parameters, self._optimiser)
        self._accelerator.wait_for_everyone()
        if self._accelerator.is_main_process:
            self._folder.remove_later_weights(state.step if state else 0)
        if state is None:
            return 0
        self._log = _Log(list(state.losses), list(state.history))
        if state.scaler:
            self._scaler.load_state_dict(dict(state.scaler))
        self._progress.say(f"going on after step {state.step:,} of {self._steps:,}")
        return state.step

    def _updated(self, parts: Iterator[StepInput]) -> Tensor:
        """Do one optimiser step; return the mean loss of its batch, a scalar."""
        count = self._settings.accumulate
        losses = []
        for number, given in enumerate(parts, start=1):
            with nullcontext() if number == count else self._accelerator.no_sync(self._wrapped):
                loss = self._wrapped(given) / count
                self._scaler.scale(loss).backward()
            losses.append(loss.detach())
        self._scaler.step(self._optimiser)
        self._scaler.update()
        self._optimiser.zero_grad(set_to_none=True)
        total = torch.stack(losses).sum()
        if self._accelerator.num_processes > 1:
            total = self._accelerator.reduce(total, "mean")
        return total

    def _look(self, done: int) -> None:
        self._log.read()  # a model that went astray has nothing to be looked at
        if self._looks.evaluate is not None:
            self._log.history.append((done, self._score(self._looks.evaluate, done)))
        if self._accelerator.is_main_process and (self._looks.keep_all or self._state(done).best == done):
            self._folder.write_weights(done, self._parameters)

    def _score(self, evaluate: Evaluate, done: int) -> float:
        """Return the score that the first process finds."""
        found = [0.0]
        if self._accelerator.is_main_process:
            with evaluating(self._step.model):
                found = [float(evaluate(self._step.model))]
        if self._accelerator.num_processes > 1:
            broadcast_object_list(found)
        if not math.isfinite(found[0]):
            raise UserError(f"The score after step {done} is {found[0]}, which is no number; mend the evaluation.")
        return found[0]

    def _write_checkpoint(self, done: int) -> None:
        state = self._state(done)
        if self._accelerator.is_main_process:
            self._folder.write_checkpoint(state, self._parameters, self._optimiser)

    def _end(self) -> State:
        state = self._state(self._steps)
        if self._accelerator.is_main_process:
            if not self._folder.weights_file(self._steps).exists():
                self._folder.write_weights(self._steps, self._parameters)
            self._folder.write_result(state)
        self._accelerator.wait_for_everyone()
        return state

    def _state(self, done: int) -> State:
        return State(done, self._log.read(), tuple(self._log.history), self._scaler.state_dict())


@dataclass
class _Log:
    """Losses and scores so far."""

    losses: list[float] = field(default_factory=list)
    history: list[tuple[int, float]] = field(default_factory=list)
    waiting: list[Tensor] = field(default_factory=list)
    """Losses on the device that are not read yet."""

    def add(self, loss: Tensor) -> None:
        self.waiting.append(loss)
        if len(self.waiting) >= LOSSES_AT_ONCE:
            self.read()

    def read(self) -> tuple[float, ...]:
        """Return all losses.

        Raises:
            UserError: one is no number.
        """
        if self.waiting:
            new = torch.stack(self.waiting).tolist()
            self.waiting.clear()
            wrong = next((number for number, loss in enumerate(new) if not math.isfinite(loss)), None)
            if wrong is not None:
                raise UserError(
                    f"The loss of step {len(self.losses) + wrong + 1} is {new[wrong]}, which is no number; lower the "
                    "learning rate, raise the temperature, or train in float32."
                )
            self.losses.extend(new)
        return tuple(self.losses)

    def notes(self) -> dict[str, str]:
        return {"loss": f"{self.losses[-1]:.4f}"} if self.losses else {}


def _optimiser(parameters: Mapping[str, nn.Parameter], settings: OptimiserSettings) -> AdamW:
    learned = [parameter for parameter in parameters.values() if parameter.requires_grad]
    return AdamW(
        _groups(parameters, settings),
        lr=settings.rate,
        betas=settings.betas,
        eps=settings.epsilon,
        weight_decay=settings.weight_decay,
        fused=learned[0].device.type in ("cpu", "cuda"),
    )


def _groups(parameters: Mapping[str, nn.Parameter], settings: OptimiserSettings) -> list[dict[str, Any]]:
    """Return the parameters that learn, by their rate.

    Raises:
        UserError: no parameter has a name that is given a rate.
    """
    rates = {"": settings.rate} | {part.of: part.rate for part in settings.rates}
    groups: dict[str, list[nn.Parameter]] = {}
    for name, parameter in parameters.items():
        if parameter.requires_grad:
            own = (prefix for prefix in rates if not prefix or f"{name}.".startswith(f"{prefix}."))
            groups.setdefault(max(own, key=len), []).append(parameter)
    idle = [prefix for prefix in rates if prefix and prefix not in groups]
    if idle:
        known = dict.fromkeys(name.partition(".")[0] for name in parameters)
        raise UserError(
            f"No parameter that learns is called '{idle[0]}...', which optimiser.rates gives a rate; they begin with "
            f"{', '.join(known)}."
        )
    return [{"params": found, "lr": rates[prefix], FULL_RATE: rates[prefix]} for prefix, found in groups.items()]


def seed_generators(key: list[int]) -> None:
    """Seed the generators of torch, numpy and Python from a key of numbers."""
    torch_seed, numpy_seed, python_seed = np.random.SeedSequence(key).generate_state(3).tolist()
    torch.default_generator.manual_seed(torch_seed)  # torch.manual_seed keeps a stack trace of every call
    if torch.cuda.is_available():
        torch.cuda.manual_seed(torch_seed)
    np.random.seed(numpy_seed)  # noqa: NPY002  (models that draw from it are not ours to change)
    random.seed(python_seed)


@contextmanager
def kept_generators(device: torch.device) -> Iterator[None]:
    """Give the generators of torch, numpy and Python their states back at the end."""
    of_python, of_numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            yield
    finally:
        random.setstate(of_python)
        np.random.set_state(of_numpy)  # noqa: NPY002
