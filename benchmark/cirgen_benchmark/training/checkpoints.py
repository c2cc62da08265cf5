"""What a stage leaves in its folder: weights of some steps, a checkpoint to go on from, and its result.

    provenance.json          what is trained from what, by which code; written first
    step-000120.safetensors  the trained parameters and the temperature after so many steps
    checkpoint.safetensors   while it trains: parameters, optimiser, losses, history of the last checkpoint
    bank.npy                 while it trains: the bank, where it is on disk
    result.json              once it is finished, which removes the checkpoint

Each file appears under its name when it is whole, and one with tensors carries a hash of them, so that what a disk
damaged is never gone on from. Weights of a step that no checkpoint counts yet are written again
when a killed stage goes on; those that the checkpoint counts on are kept until another one is on disk. No state of a
random generator has to be kept: each step seeds its own (`batches`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from cirgen.errors import UserError
from cirgen.file_locks import exclusive, remove_unclaimed
from cirgen.keys import digest
from cirgen.shards import TEMPORARY_SUFFIX, atomic_path, write_text
from cirgen_benchmark.models.fit import check_fit
from cirgen_benchmark.training.disk import telling_full_disks
from cirgen_benchmark.training.fingerprints import tensors_hash

TEMPERATURE = "temperature"
PROVENANCE_FILE = "provenance.json"
CHECKPOINT_FILE = "checkpoint.safetensors"
RESULT_FILE = "result.json"
BANK_FILE = "bank.npy"
LOCK_FILE = "stage.lock"
Read = TypeVar("Read")
Parameters = Mapping[str, nn.Parameter]
"""What is trained, by name, the temperature included."""


@dataclass(frozen=True)
class State:
    """How far a stage has come."""

    step: int
    """Optimiser steps done."""
    losses: tuple[float, ...]
    """Of each step."""
    history: tuple[tuple[int, float], ...]
    """Steps done and score on the development set, at each look."""
    scaler: Mapping[str, Any]
    """State of the scaling of float16 gradients."""

    @property
    def best(self) -> int | None:
        """The step of the best score, the first of equals; None without a look."""
        return max(self.history, key=lambda seen: (seen[1], -seen[0]))[0] if self.history else None


class StageFolder:
    """The files of one stage.

    Args:
        path: of the folder.
        provenance: all that its result depends on.
        keep_all: keep the weights of every look, not the best alone.

    Raises:
        UserError: the folder holds a stage of another provenance.
    """

    def __init__(self, path: Path, provenance: Mapping[str, Any], keep_all: bool = False) -> None:
        self.path = path
        self._provenance = json.loads(json.dumps(provenance))
        self._keep_all = keep_all
        self._check()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Claim the folder for this provenance, and hold it for this process alone.

        Raises:
            UserError: another process trains in it.
        """
        with exclusive(self.path / LOCK_FILE) as alone:
            if not alone:
                raise UserError(f"Another process trains in {self.path}; wait for it, or name another folder.")
            self._check()
            for path in self.path.glob(f"*{TEMPORARY_SUFFIX}"):
                remove_unclaimed(path)
            if not (self.path / PROVENANCE_FILE).exists():
                write_text(self.path / PROVENANCE_FILE, _pretty(self._provenance))
            yield

    def weights_file(self, step: int) -> Path:
        """Return the file of the weights after so many steps."""
        return self.path / f"step-{step:06d}.safetensors"

    def weights_files(self) -> dict[int, Path]:
        """Return the files of weights that are there, by step."""
        return {int(path.stem.removeprefix("step-")): path for path in sorted(self.path.glob("step-*.safetensors"))}

    def write_weights(self, step: int, parameters: Parameters) -> None:
        """Write the weights after so many steps."""
        about = {"step": step, "provenance": self._provenance}
        _save(self.weights_file(step), _weights(parameters), about)

    def write_checkpoint(self, state: State, parameters: Parameters, optimiser: Optimizer) -> None:
        """Write all that is needed to go on after `state.step`; then remove weights that are of no more use."""
        tensors = {f"weights.{name}": tensor for name, tensor in _weights(parameters).items()}
        tensors |= {f"optimiser.{name}": tensor for name, tensor in _optimiser_tensors(optimiser).items()}
        _save(self.path / CHECKPOINT_FILE, tensors, {"state": asdict(state), "provenance": self._provenance})
        self._remove_weights(state)

    def read_checkpoint(self, parameters: Parameters, optimiser: Optimizer) -> State | None:
        """Load the last checkpoint into parameters and optimiser; None where there is none.

        Raises:
            UserError: it is damaged.
        """
        path = self.path / CHECKPOINT_FILE
        if not path.exists():
            return None
        tensors, about = _load(path)
        load_parameters(parameters, _below("weights.", tensors), path)
        _load_optimiser(optimiser, _below("optimiser.", tensors))
        return _state(about["state"])

    def write_result(self, state: State) -> None:
        """Write what the finished stage has come to, and remove what was needed to go on."""
        about = {"state": asdict(state), "provenance": self._provenance}
        write_text(self.path / RESULT_FILE, _pretty({**about, "content": _content(about, {})}))
        self._clean_up(state)

    def read_result(self) -> State | None:
        """Return what the stage has come to; None where it is not finished.

        Raises:
            UserError: the result is damaged, or its weights are gone.
        """
        path = self.path / RESULT_FILE
        if not path.exists():
            return None
        about: dict[str, Any] = _read_json(path, dict)
        if about.pop("content", None) != _content(about, {}):
            raise _damaged(path)
        state = _state(about["state"])
        for step in {state.step, state.best or state.step}:
            if not self.weights_file(step).is_file():
                raise _damaged(self.weights_file(step), "is gone")
        self._clean_up(state)
        return state

    def remove_later_weights(self, step: int) -> None:
        """Remove the weights of steps after one: what a killed process wrote and nobody counts on."""
        for number, path in self.weights_files().items():
            if number > step:
                path.unlink(missing_ok=True)

    def _clean_up(self, state: State) -> None:
        for name in (CHECKPOINT_FILE, BANK_FILE):
            (self.path / name).unlink(missing_ok=True)
        self._remove_weights(state)

    def _remove_weights(self, state: State) -> None:
        """Remove the weights of looks that are not the best."""
        for step, path in self.weights_files().items():
            if not (self._keep_all or step in (state.best, state.step)):
                path.unlink(missing_ok=True)

    def _check(self) -> None:
        path = self.path / PROVENANCE_FILE
        if not path.exists():
            return
        there, here = _read_json(path, _leaves), _leaves(self._provenance)
        names = sorted(name for name in there.keys() | here.keys() if there.get(name) != here.get(name))
        if names:
            shown = "; ".join(f"{name}: {there.get(name)} there, {here.get(name)} here" for name in names)
            raise UserError(
                f"{self.path} holds a stage that was trained otherwise ({shown}); name another folder, or remove this "
                "one to train anew."
            )


def load_parameters(parameters: Parameters, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Copy tensors of a file into parameters of the same names; every one must fit.

    Raises:
        UserError: some are missing, unexpected, or of another shape; each is listed.
    """
    check_fit(parameters, tensors, path)
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(tensors[name])


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the trained parameters of a file of weights, and what it says of itself: `step` and `provenance`.

    Raises:
        UserError: there is no such file, or it is damaged.
    """
    if not path.is_file():
        raise UserError(f"There are no trained weights at {path}; train the stage first, or correct the path.")
    return _load(path)


def _weights(parameters: Parameters) -> dict[str, Tensor]:
    return {name: parameter.detach().cpu().contiguous() for name, parameter in parameters.items()}


def _optimiser_tensors(optimiser: Optimizer) -> dict[str, Tensor]:
    states = optimiser.state_dict()["state"]
    return {f"{number}.{key}": value.cpu() for number, state in states.items() for key, value in state.items()}


def _load_optimiser(optimiser: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    whole = optimiser.state_dict()
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        number, key = name.split(".", 1)
        state.setdefault(int(number), {})[key] = tensor
    optimiser.load_state_dict({**whole, "state": state})


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _state(fields: Mapping[str, Any]) -> State:
    history: Sequence[tuple[int, float]] = fields["history"]
    return State(fields["step"], tuple(fields["losses"]), tuple((s, v) for s, v in history), fields["scaler"])


def _save(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    said = {**about, "content": _content(about, tensors)}
    with telling_full_disks(), atomic_path(path) as temporary:
        save_file(dict(tensors), temporary, metadata={"about": json.dumps(said)})  # the order of several keys varies


def _load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            about: dict[str, Any] = json.loads(file.metadata()["about"])
        content = about.pop("content")
    except (SafetensorError, LookupError, TypeError, ValueError) as error:
        raise _damaged(path) from error
    if content != _content(about, tensors):
        raise _damaged(path)
    return tensors, about


def _content(about: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    return digest("weights", json.dumps(about, sort_keys=True), tensors_hash(tensors))


def _read_json(path: Path, read: Callable[[Any], Read]) -> Read:
    """Read a small file that this module wrote.

    Raises:
        UserError: it is damaged.
    """
    try:
        return read(json.loads(path.read_text(encoding="utf8")))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(path) from error


def _damaged(path: Path, how: str = "is damaged") -> UserError:
    return UserError(f"{path} {how}; remove the folder {path.parent}, and that stage is trained anew.")


def _leaves(fields: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested fields by their dotted names."""
    found: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, Mapping):
            found |= _leaves(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


def _pretty(fields: Mapping[str, Any]) -> str:
    return json.dumps(fields, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
