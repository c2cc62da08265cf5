"""The one interface of retrieval models: encode targets, encode references once, compose a query.

Shapes: B queries or images, L tokens, d dimensions of the common space, T vectors a target has where a model gives it
more than one (a query is as similar to a target as to the nearest of them, as SPRC has it).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence

import torch
from PIL import Image
from torch import Tensor, nn

Tokens = Mapping[str, Tensor]
"""What a tokenizer makes of B texts: tensors [B, L]."""


class Retriever(nn.Module, ABC):
    """A composed image retrieval model. Any model plugs in by these methods; nothing else is asked of it."""

    @abstractmethod
    def preprocess(self, image: Image.Image) -> Tensor:
        """Turn one RGB image into pixels [3, H, W] float32, always of one size."""

    @abstractmethod
    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """Turn modification texts into tokens, cut at the model's length."""

    @abstractmethod
    def encode_references(self, pixels: Tensor) -> Tensor:
        """Encode images [B, 3, H, W] as `compose` needs them: [B, ...], not dependent on any text."""

    @abstractmethod
    def encode_targets(self, pixels: Tensor) -> Tensor:
        """Encode images [B, 3, H, W] as candidates: [B, d] or [B, T, d], L2-normalised."""

    @abstractmethod
    def compose(self, references: Tensor, tokens: Tokens) -> Tensor:
        """Compose encoded references [B, ...] with texts to queries [B, d], L2-normalised."""

    @abstractmethod
    def stage_two_parameters(self) -> Iterable[nn.Parameter]:
        """Return the parameters that stage two trains: none that an output of `encode_*` depends on.

        Parts that both sides share are not among them before `prepare_stage_two` has copied them.
        """

    def stage_one_parameters(self) -> Iterable[nn.Parameter]:
        """Return the parameters that stage one trains: by default all."""
        return self.parameters()

    prepared: bool = False
    """Whether the sides are separate, as stage two needs them."""

    def prepare_stage_two(self) -> None:
        """Do once what must be done between the stages; a second call does nothing."""
        if not self.prepared:
            self.separate_sides()
            self.prepared = True

    def separate_sides(self) -> None:
        """Copy what the query side shares with the target side: by default nothing is shared."""

    @property
    def identity(self) -> str:
        """Say what besides the weights an output depends on: by default the class alone."""
        return f"{type(self).__module__}.{type(self).__qualname__}"

    def encode_images(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the images as references and as targets; a model whose sides share a tower runs it once."""
        return self.encode_references(pixels), self.encode_targets(pixels)


def similarity(queries: Tensor, targets: Tensor) -> Tensor:
    """Return the cosines [B, N] of queries [B, d] with targets [N, d], or with the nearest of each one's [N, T, d]."""
    if targets.ndim == 2:
        return queries @ targets.T
    return torch.einsum("bd,ntd->bnt", queries, targets).amax(dim=-1)


def train_only(model: nn.Module, parameters: Iterable[nn.Parameter]) -> None:
    """Let gradients reach `parameters` and nothing else of the model."""
    model.requires_grad_(False)
    for parameter in parameters:
        parameter.requires_grad_(True)
