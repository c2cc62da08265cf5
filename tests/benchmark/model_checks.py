"""What tests of retrieval models ask of a model, whatever its family."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from tiny_models import tiny_images, tiny_texts
from torch import Tensor, nn

from cirgen_benchmark.models.base import Retriever

QUERIES = 8


def pixels_of(model: Retriever, count: int = QUERIES, seed: int = 0) -> Tensor:
    return torch.stack([model.preprocess(image) for image in tiny_images(count, seed)])


@torch.no_grad()
def queries_of(model: Retriever, count: int = QUERIES) -> Tensor:
    return model.compose(model.encode_references(pixels_of(model, count)), model.tokenize(tiny_texts(count)))


@torch.no_grad()
def encoded(model: Retriever) -> list[Tensor]:
    """Everything that encode_* gives."""
    pixels = pixels_of(model)
    return [model.encode_references(pixels), model.encode_targets(pixels), *model.encode_images(pixels)]


@torch.no_grad()
def perturb(parameters: Iterable[nn.Parameter]) -> None:
    generator = torch.Generator().manual_seed(1)
    for parameter in parameters:
        parameter.add_(torch.randn(parameter.shape, generator=generator))


def same(some: Iterable[Tensor], others: Iterable[Tensor]) -> bool:
    """Equal to the last bit."""
    return all(torch.equal(one, other) for one, other in zip(some, others, strict=True))
