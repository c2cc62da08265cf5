"""Families whose candidates are read off the encodings of references, so that each image passes the tower once."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor

from cirgen_benchmark.models.stock import StockRetriever


class DerivedTargetsRetriever(StockRetriever):
    """A retriever that makes a candidate from what it makes of the same image as reference."""

    def encode_targets(self, pixels: Tensor) -> Tensor:
        """Encode images as candidates [B, d] or [B, T, d]."""
        return self.targets_of(self.encode_references(pixels))

    def encode_images(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return references [B, ...] and candidates [B, d] or [B, T, d]."""
        references = self.encode_references(pixels)
        return references, self.targets_of(references)

    @abstractmethod
    def targets_of(self, references: Tensor) -> Tensor:
        """Return the candidates [B, d] or [B, T, d] of encoded references [B, ...]."""
