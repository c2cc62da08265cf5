"""CLIP or SigLIP with a small network that combines the two features, after CLIP4Cir's Combiner (arXiv 2203.16784)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import torch
from pydantic import Field, NonNegativeInt, PositiveInt
from torch import Tensor, nn

from cirgen_benchmark.models.base import Tokens
from cirgen_benchmark.models.clip import ClipRetriever
from cirgen_benchmark.models.stock import StockOptions, parameters_of, unit


class CombinerOptions(StockOptions):
    """Options of the combiner."""

    projection: PositiveInt = 4
    """Width of each feature's projection, as a multiple of its own."""
    hidden: PositiveInt = 8
    """Width of the layer over both projections, as a multiple of a feature's."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    seed: NonNegativeInt = 0
    """Of the network's first weights."""


class Combiner(nn.Module):
    """A learned residual on top of a learned convex sum of two features.

    `share * text + (1 - share) * reference + residual`, where share (one number in 0..1) and residual (d numbers) come
    from the two features, each projected and rectified. The last layers start at zero: an untrained combiner is the
    plain sum, up to its length. That start is our choice; widths and dropout are CLIP4Cir's.
    """

    def __init__(self, width: int, options: CombinerOptions) -> None:
        super().__init__()
        projected, hidden = options.projection * width, options.hidden * width
        self.reference = _rectified(width, projected, options.dropout)
        self.text = _rectified(width, projected, options.dropout)
        self.share = nn.Sequential(_rectified(2 * projected, hidden, options.dropout), _zero(hidden, 1))
        self.residual = nn.Sequential(_rectified(2 * projected, hidden, options.dropout), _zero(hidden, width))

    def forward(self, references: Tensor, texts: Tensor) -> Tensor:
        """Combine features [B, d] with features [B, d], neither normalised, to [B, d]."""
        both = torch.cat([self.reference(references), self.text(texts)], dim=-1)
        share = torch.sigmoid(self.share(both))
        combined: Tensor = share * texts + (1 - share) * references + self.residual(both)
        return combined


class CombinerRetriever(ClipRetriever):
    """Query: the combiner's output, normalised; target: the image feature, normalised.

    Stage two trains the text side and the combiner.
    """

    Options = CombinerOptions

    def __init__(self, model: Any, tokenizer: Any, image_processor: Any, options: CombinerOptions) -> None:
        super().__init__(model, tokenizer, image_processor, options)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(options.seed)
            self.combiner = Combiner(feature_width(model.config), options)

    def compose(self, references: Tensor, tokens: Tokens) -> Tensor:
        """Compose features [B, d] with texts to queries [B, d]."""
        return unit(self.combiner(references, self.encode_texts(tokens)))

    def stage_two_parameters(self) -> Iterator[nn.Parameter]:
        """The text side and the combiner."""
        yield from super().stage_two_parameters()
        yield from parameters_of(self.combiner)


def feature_width(config: Any) -> int:
    """Return the dimensions of the common space of a CLIP or SigLIP model."""
    return int(config.projection_dim if config.model_type == "clip" else config.vision_config.hidden_size)


def _rectified(inputs: int, outputs: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, outputs), nn.ReLU(), nn.Dropout(dropout))


def _zero(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
