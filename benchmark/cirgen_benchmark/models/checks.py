"""Does a model keep to the interface? Asked of a plugged-in object before hours are spent on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor, nn

from cirgen.errors import UserError
from cirgen_benchmark.models.base import Retriever

UNIT_TOLERANCE = 1e-3
COMPANION_TOLERANCE = 1e-3
"""How far a number of a query may move with its companions: rounding moves it less, padding that leaks more."""


def check_retriever(model: Retriever, images: Sequence[Image.Image], texts: Sequence[str]) -> None:
    """Try a model on a few images and as many texts of several lengths; it is as before afterwards.

    Args:
        model: as stage two will have it, after `prepare_stage_two`.
        images: at least two.
        texts: as many.

    Raises:
        UserError: what of the interface the model does not keep, all of it.
    """
    with _on_trial(model) as trained:
        trial = _try(model, images, texts)
        problems = [*_shapes(trial, len(images)), *_frozen(trial, trained), *_agreement(trial)]
    if problems:
        raise UserError(f"{type(model).__name__} does not keep to the interface: {'; '.join(problems)}.")


class _Trial(NamedTuple):
    """What a model made of B images and texts."""

    references: Tensor
    targets: Tensor
    separate: tuple[Tensor, Tensor]
    """References and targets, each encoded by itself."""
    queries: Tensor
    alone: Tensor
    """The queries, each composed by itself."""


def _try(model: Retriever, images: Sequence[Image.Image], texts: Sequence[str]) -> _Trial:
    device = next(model.parameters()).device

    def compose(references: Tensor, texts: Sequence[str]) -> Tensor:
        return model.compose(references, {name: part.to(device) for name, part in model.tokenize(texts).items()})

    pixels = torch.stack([model.preprocess(image) for image in images]).to(device)
    references, targets = model.encode_images(pixels)
    alone = torch.cat([compose(references[i : i + 1], texts[i : i + 1]) for i in range(len(texts))])
    separate = model.encode_references(pixels), model.encode_targets(pixels)
    return _Trial(references, targets, separate, compose(references, texts), alone)


def _shapes(trial: _Trial, count: int) -> Iterator[str]:
    if trial.queries.ndim != 2 or trial.targets.ndim not in {2, 3}:
        yield (
            f"queries are {list(trial.queries.shape)} and targets {list(trial.targets.shape)}, and should be [B, d] "
            "and [B, d] or [B, T, d]"
        )
    elif trial.queries.shape[-1] != trial.targets.shape[-1]:
        yield f"queries have {trial.queries.shape[-1]} dimensions and targets {trial.targets.shape[-1]}"
    if {len(trial.references), len(trial.targets), len(trial.queries)} != {count}:
        yield f"{count} images and texts do not give as many references, targets and queries"
    for name, vectors in (("queries", trial.queries), ("targets", trial.targets)):
        if not torch.allclose(vectors.norm(dim=-1), torch.ones((), device=vectors.device), atol=UNIT_TOLERANCE):
            yield f"{name} are not L2-normalised"


def _frozen(trial: _Trial, trained: Sequence[nn.Parameter]) -> Iterator[str]:
    if not trained:
        yield "stage two trains nothing"
        return
    for name, encoded in (("references", trial.references), ("targets", trial.targets)):
        if any(gradient is not None for gradient in _gradients(encoded, trained)):
            yield f"{name} depend on parameters that stage two trains"
    unused = sum(gradient is None for gradient in _gradients(trial.queries, trained))
    if unused:
        yield f"no query depends on {unused} of the {len(trained)} parameters that stage two trains"


def _gradients(outputs: Tensor, parameters: Sequence[nn.Parameter]) -> Sequence[Tensor | None]:
    if not outputs.requires_grad:
        return [None] * len(parameters)
    return torch.autograd.grad(outputs.sum(), parameters, retain_graph=True, allow_unused=True)


def _agreement(trial: _Trial) -> Iterator[str]:
    if not all(map(torch.equal, (trial.references, trial.targets), trial.separate)):
        yield "encode_images does not give what encode_references and encode_targets give"
    if not torch.allclose(trial.alone, trial.queries, atol=COMPANION_TOLERANCE):
        yield "a query depends on its companions in the batch (does padding leak?)"


@contextmanager
def _on_trial(model: Retriever) -> Iterator[list[nn.Parameter]]:
    """Run without dropout, and with gradients for what stage two trains; yield these parameters."""
    modes = {module: module.training for module in model.modules()}
    trained = list(model.stage_two_parameters())
    wanted = [parameter.requires_grad for parameter in trained]
    model.eval()
    try:
        for parameter in trained:
            parameter.requires_grad_(True)
        yield trained
    finally:
        for parameter, before in zip(trained, wanted, strict=True):
            parameter.requires_grad_(before)
        for module, mode in modes.items():
            module.training = mode
