"""How a model is set while a stage trains it; afterwards it is as it was."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from cirgen.errors import UserError
from cirgen_benchmark.models.base import Retriever, train_only
from cirgen_benchmark.training.settings import StageSettings

SWITCHES = ("activation_checkpointing", "gradient_checkpointing")
"""What transformers calls it, newest first: methods `{switch}_enable` and `{switch}_disable`."""


@contextmanager
def trainable(model: Retriever, parameters: Iterable[nn.Parameter], settings: StageSettings) -> Iterator[None]:
    """Let gradients reach `parameters` alone, with dropout and gradient checkpointing as the settings say.

    Running statistics of batch normalisation stay as they are: they are no parameters, and would move frozen parts.
    """
    flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    train_only(model, parameters)
    switched = _switch_on(model) if settings.checkpoint_activations else []
    _set_mode(model, settings)
    try:
        yield
    finally:
        for module, name in switched:
            getattr(module, f"{name}_disable")()
        for parameter, flag in flags:
            parameter.requires_grad_(flag)
        model.eval()


def _set_mode(model: Retriever, settings: StageSettings) -> None:
    model.train(settings.mode == "train")
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.eval()
        elif getattr(module, "gradient_checkpointing", False):
            # transformers checkpoints in training mode alone; a layer's own flag does not reach the dropout inside it
            module.training = True


def _switch_on(model: nn.Module) -> list[tuple[nn.Module, str]]:
    """Switch gradient checkpointing on in the outermost parts that have it; return them, each with its switch."""
    found = list(_outermost(model))
    if not found:
        raise UserError("This model has no gradient checkpointing; set checkpoint_activations to false.")
    for module, name in found:
        getattr(module, f"{name}_enable")({"use_reentrant": False})
    return found


def _outermost(module: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    for name in SWITCHES:
        if hasattr(module, f"{name}_enable"):
            yield module, name
            return
    for child in module.children():
        yield from _outermost(child)
