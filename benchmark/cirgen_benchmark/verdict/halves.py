"""A retrieval model that sees one half of every query: what text alone, or the image alone, would find."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from PIL import Image
from torch import Tensor, nn

from cirgen_benchmark.models.base import Retriever, Tokens


class HalfQuery(Retriever):
    """Another retriever whose queries have a blank half: encoded references of zeros, or empty texts."""

    def __init__(self, whole: Retriever, keeps: Literal["text", "image"]) -> None:
        super().__init__()
        self.whole = whole
        self._keeps = keeps

    @property
    def identity(self) -> str:
        """Say which half is kept of what."""
        return f"{self._keeps} of {self.whole.identity}"

    def preprocess(self, image: Image.Image) -> Tensor:
        """As the whole."""
        return self.whole.preprocess(image)

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """As the whole, or as it does empty texts."""
        return self.whole.tokenize(texts if self._keeps == "text" else [""] * len(texts))

    def encode_references(self, pixels: Tensor) -> Tensor:
        """As the whole."""
        return self.whole.encode_references(pixels)

    def encode_targets(self, pixels: Tensor) -> Tensor:
        """As the whole."""
        return self.whole.encode_targets(pixels)

    def encode_images(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """As the whole."""
        return self.whole.encode_images(pixels)

    def compose(self, references: Tensor, tokens: Tokens) -> Tensor:
        """Compose what is kept."""
        return self.whole.compose(torch.zeros_like(references) if self._keeps == "text" else references, tokens)

    def stage_one_parameters(self) -> Iterable[nn.Parameter]:
        """As the whole."""
        return self.whole.stage_one_parameters()

    def stage_two_parameters(self) -> Iterable[nn.Parameter]:
        """As the whole."""
        return self.whole.stage_two_parameters()

    def separate_sides(self) -> None:
        """As the whole."""
        self.whole.prepare_stage_two()
