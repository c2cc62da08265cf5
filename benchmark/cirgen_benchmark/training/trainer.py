"""Fine-tuning a retriever on triplets: one stage, from its first step or its last checkpoint to its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, DistributedType, InitProcessGroupKwargs
from torch import nn

from cirgen.errors import UserError
from cirgen.progress import Progress, Silent
from cirgen_benchmark.images import ImageCollection
from cirgen_benchmark.models.base import Retriever
from cirgen_benchmark.training.batches import Batches, steps_per_epoch
from cirgen_benchmark.training.checkpoints import (
    BANK_FILE,
    TEMPERATURE,
    StageFolder,
    State,
    load_parameters,
    read_weights,
)
from cirgen_benchmark.training.features import EncodedImages
from cirgen_benchmark.training.fingerprints import encoder_hash
from cirgen_benchmark.training.indexed import index_triplets
from cirgen_benchmark.training.inputs import Inputs, Material
from cirgen_benchmark.training.loop import Evaluate, Looks, Loop
from cirgen_benchmark.training.modes import trainable
from cirgen_benchmark.training.provenance import stage_provenance
from cirgen_benchmark.training.settings import StageSettings
from cirgen_benchmark.training.step import Step
from cirgen_benchmark.triplets import Triplet

WAIT_HOURS = 12
"""How long processes wait for the first of them, which encodes and evaluates alone."""
KINDS = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU)


@dataclass(frozen=True)
class Trained:
    """What a finished stage has come to."""

    steps: int
    """Optimiser steps."""
    losses: tuple[float, ...]
    """Mean loss of each step's batch."""
    history: tuple[tuple[int, float], ...]
    """Steps done and score on the development set, at each look."""
    last: Path
    """Weights after the last step: the trained parameters and the temperature (`load_trained`)."""
    best: Path | None
    """Weights of the best look, the first of equals; None without looks."""
    best_step: int | None
    snapshots: Mapping[int, Path]
    """All weights that were kept, by step."""
    temperature: float
    """After the selected step."""


def train(
    model: Retriever,
    triplets: Sequence[Triplet],
    images: ImageCollection,
    settings: StageSettings,
    *,
    folder: Path,
    seed: int = 0,
    evaluate: Evaluate | None = None,
    encoded: EncodedImages | None = None,
    extra_images: Sequence[str] = (),
    cache: Path | None = None,
    provenance: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    checkpoint_every_seconds: float = 60.0,
    snapshots: bool = False,
) -> Trained:
    """Train one stage, go on with it, or find its result; `model` then has the weights that `settings.select` names.

    Nothing but the arguments decides the result: a stage that was killed ends like an undisturbed one (on a CPU, bit
    by bit), and one that several processes share (`accelerate launch`) like one of a single process, up to rounding.

    Args:
        model: with the weights it starts from. Where the query side alone is trained, its stage two is prepared. It
            is trained on the device where it is, or where accelerate's launcher puts this process.
        triplets: what it learns from.
        images: what they name.
        settings: of the stage.
        folder: what the stage leaves goes here; no other stage may have it.
        seed: of order, texts, sampled negatives and dropout.
        evaluate: scores the model on a development set, every `settings.evaluate_every` steps and after the last; in
            evaluation mode, in the first process alone.
        encoded: every image of the triplets and `extra_images`, as this model encodes them once stage two is
            prepared; without it they are encoded here. Read where the query side alone is trained.
        extra_images: further rows of the bank, where `settings.bank.extra_images` says so.
        cache: folder for encoded images, which other stages can share.
        provenance: what else the result depends on, such as the hashes of a corpus and of a development set.
        progress: where steps are shown.
        checkpoint_every_seconds: least time between two checkpoints; a kill loses no more.
        snapshots: keep the weights of every look, for scoring later, not of the best and the last alone.

    Raises:
        UserError: the folder holds a stage of other provenance; images are missing; the loss is no number.
    """
    if settings.select == "best" and evaluate is None:
        raise UserError("The best step needs a development set to be told by; give one, or set select to last.")
    table = index_triplets(triplets, images, settings.hard_negatives)
    extra = extra_images if settings.bank.extra_images and settings.loss == "bank" else ()
    weights = trained_parameters(model, settings)
    own = stage_provenance(model, table, images, settings, seed, extra, provenance or {})
    kept_as = encoded.targets.dtype if encoded is not None and settings.trains == "query" else torch.float32
    own |= {"encoded": str(kept_as), "looks": evaluate is not None, "snapshots": snapshots}
    files = StageFolder(folder, own, keep_all=snapshots)
    state = files.read_result()
    if state is None:
        material = Material(table, images, settings, seed, extra, _checked(encoded, own["encoder"], settings), cache)
        looks = Looks(evaluate, settings.evaluate_every or steps_per_epoch(len(table), settings), snapshots)
        with trainable(model, weights.values(), settings):
            state = _run(model, weights, material, files, looks, progress or Silent(), checkpoint_every_seconds)
    return _outcome(model, settings, files, state)


def _run(
    model: Retriever,
    weights: Mapping[str, nn.Parameter],
    material: Material,
    files: StageFolder,
    looks: Looks,
    progress: Progress,
    every_seconds: float,
) -> State:
    """Train a stage to its end; return how it ended."""
    accelerator = _accelerator()
    processes, process = accelerator.num_processes, accelerator.process_index
    settings = material.settings
    batches = Batches(len(material.triplets), settings, material.seed, processes, process)
    device = next(model.parameters()).device if processes == 1 else accelerator.device
    model.to(device)
    with files.held() if accelerator.is_main_process else nullcontext():
        on_disk = material.cache is not None or settings.bank.on_disk
        with accelerator.main_process_first() if on_disk else nullcontext():  # the others read what it has written
            inputs = Inputs(model, material, batches, processes, process, files.path / BANK_FILE, progress)
        step = Step(model, settings, inputs.bank_rows()).to(device)
        parameters = {**weights, TEMPERATURE: step.temperature}
        seed = material.seed
        loop = Loop(accelerator, step, parameters, settings, batches, files, looks, seed, every_seconds, progress)
        return loop.run(inputs)


def _accelerator() -> Accelerator:
    """Return this process's place among those that train together; alone without a launcher."""
    accelerator = Accelerator(
        mixed_precision="no",  # number formats are the stage's own matter: one process may run stages of several
        kwargs_handlers=[
            DistributedDataParallelKwargs(find_unused_parameters=True, broadcast_buffers=False),
            InitProcessGroupKwargs(timeout=timedelta(hours=WAIT_HOURS)),
        ],
    )
    if accelerator.distributed_type not in KINDS:
        raise UserError(
            f"Training is written for data parallelism, not for {accelerator.distributed_type.value}; "
            "launch it with --multi_gpu or --cpu."
        )
    return accelerator


def _checked(encoded: EncodedImages | None, encoder: str, settings: StageSettings) -> EncodedImages | None:
    if encoded is not None and settings.trains == "query" and encoded.encoder != encoder:
        raise UserError(
            "The images were encoded by another model, or before its stage two was prepared; "
            "call prepare_stage_two and then encode_collection, or pass no encoded images."
        )
    return encoded


def _outcome(model: Retriever, settings: StageSettings, files: StageFolder, state: State) -> Trained:
    """Give the model the weights that count, and say what there is."""
    best = None if state.best is None else files.weights_file(state.best)
    last = files.weights_file(state.step)
    temperature = load_trained(model, best if settings.select == "best" and best else last)
    model.eval()
    return Trained(state.step, state.losses, state.history, last, best, state.best, files.weights_files(), temperature)


def load_trained(model: Retriever, path: Path) -> float:
    """Load the weights of a step into a model like the one that was trained; return the temperature.

    Raises:
        UserError: they do not fit, or belong to another base model.
    """
    tensors, about = read_weights(path)
    settings = StageSettings.model_validate(about["provenance"]["settings"])
    parameters = trained_parameters(model, settings)
    if settings.trains == "query" and encoder_hash(model) != about["provenance"]["encoder"]:
        raise UserError(f"The weights in {path} were trained on another frozen model; load them into that one.")
    temperature = nn.Parameter(torch.tensor(0.0))
    load_parameters({**parameters, TEMPERATURE: temperature}, tensors, path)
    return float(temperature.detach())


def trained_parameters(model: Retriever, settings: StageSettings) -> dict[str, nn.Parameter]:
    """Return what a stage trains, by name in the model's order; prepares stage two where the query side is trained."""
    if settings.trains == "query":
        model.prepare_stage_two()
    chosen = model.stage_two_parameters() if settings.trains == "query" else model.stage_one_parameters()
    wanted = {id(parameter) for parameter in chosen}
    found = {name: parameter for name, parameter in model.named_parameters() if id(parameter) in wanted}
    if not found or len(found) != len(wanted):
        raise ValueError("a model must name parameters of its own as those that a stage trains")
    return found
