"""Hashes of what decides an encoding: weights, architecture and preprocessing of a model, never a path."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from transformers import PreTrainedConfig

from cirgen.keys import digest
from cirgen_benchmark.models.base import Retriever

PROBE_SIZES = ((40, 64), (200, 90), (256, 256))
"""Width and height of the pictures that preprocessing is told by: upright, wide beyond any padding ratio, square."""


def model_hash(model: Retriever) -> str:
    """Hash everything that a model's outputs depend on: weights, architecture, preprocessing."""
    return _hash(model, model.state_dict())


def encoder_hash(model: Retriever) -> str:
    """Hash everything that a model's encodings depend on.

    Once stage two is prepared, that is everything but the parameters which it trains; until then, everything.
    """
    if not model.prepared:
        return model_hash(model)
    trained = {id(parameter) for parameter in model.stage_two_parameters()}
    names = {name for name, tensor in model.named_parameters(remove_duplicate=False) if id(tensor) in trained}
    return _hash(model, {name: tensor for name, tensor in model.state_dict().items() if name not in names})


def _hash(model: Retriever, state: Mapping[str, Tensor]) -> str:
    return digest("model", model.identity, _architecture(model), preprocessing_hash(model), tensors_hash(state))


def preprocessing_hash(model: Retriever) -> str:
    """Hash what a model's preprocessing makes of a few pictures."""
    return tensors_hash({str(number): model.preprocess(picture) for number, picture in enumerate(_probes())})


def tensors_hash(tensors: Mapping[str, Tensor]) -> str:
    """Hash named tensors: names, types, shapes and bytes."""
    found = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def _architecture(model: nn.Module) -> list[object]:
    """Return the tree of modules, and what transformers' modules say of themselves: some settings show in neither."""
    configs = {name: getattr(module, "config", None) for name, module in model.named_modules()}
    known = {name: config for name, config in configs.items() if isinstance(config, PreTrainedConfig)}
    texts = {id(config): config.to_json_string() for config in known.values()}  # modules share their configurations
    return [repr(model), [[name, texts[id(config)]] for name, config in known.items()]]


def _probes() -> Iterator[Image.Image]:
    for width, height in PROBE_SIZES:
        pixels = np.random.default_rng([width, height]).integers(0, 256, (height, width, 3), dtype=np.uint8)
        yield Image.fromarray(pixels)
