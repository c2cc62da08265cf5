"""Token-gated composition on CLIP after TG-CIR (arXiv 2309.01366), built from its description alone.

What is given: 12 attribute tokens an image or text, 4 global and 8 local; for each token a gate weighs reference r
against text m, sigmoid(MLP[r; m]) r + (1 - sigmoid) m; the mean over the tokens, normalised, is the query. What is
our choice: a global token is CLIP's feature under a learned mask, element by element; a local token is a learned
weighted mean over patches or words (TokenLearner, arXiv 2106.11297); a gate is one number a token. Architecture only:
the losses of the teacher branch, of the masks' orthogonality and of the matching degrees are left out of stage one.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Annotated, Any

import torch
from pydantic import Field, NonNegativeInt, PositiveInt
from torch import Tensor, nn

from cirgen_benchmark.models.base import Tokens
from cirgen_benchmark.models.derived import DerivedTargetsRetriever
from cirgen_benchmark.models.stock import StockOptions, ones_mask, parameters_of, unit


class TgcirOptions(StockOptions):
    """Options of TG-CIR."""

    target_pad: Annotated[float, Field(ge=1)] | None = None
    """TG-CIR keeps CLIP's plain transform."""
    global_tokens: PositiveInt = 4
    local_tokens: PositiveInt = 8
    seed: NonNegativeInt = 0
    """Of the new layers' first weights."""


class AttributeTokens(nn.Module):
    """Global and local attribute tokens of an image or a text.

    Notation: B images or texts, L patches or words, P global and Q local tokens, d dimensions.
    """

    def __init__(self, width: int, global_tokens: int, local_tokens: int) -> None:
        super().__init__()
        self.masks = nn.Parameter(1 + 0.02 * torch.randn(global_tokens, width))
        self.scores = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, local_tokens)
        )

    def forward(self, feature: Tensor, states: Tensor, mask: Tensor) -> Tensor:
        """Make tokens [B, P + Q, d] of a feature [B, d] and states [B, L, d], of which the mask [B, L] hides some."""
        scores = self.scores(states).masked_fill(mask.unsqueeze(-1) == 0, float("-inf"))
        local = scores.softmax(dim=1).transpose(1, 2) @ states
        return torch.cat([feature.unsqueeze(1) * self.masks, local], dim=1)


class TgcirRetriever(DerivedTargetsRetriever):
    """Query: gated attribute tokens of reference and text, their mean normalised; target: the mean of its tokens.

    Images and texts share token learner and masks in stage one. Stage two copies them for the text, and trains the
    text tower, the copies, the text's projection and the gate; all that an image passes through is frozen.
    """

    Options = TgcirOptions
    model_types = ("clip",)

    def __init__(self, model: Any, tokenizer: Any, image_processor: Any, options: TgcirOptions) -> None:
        super().__init__(model, tokenizer, image_processor, options)
        width = int(model.config.projection_dim)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(options.seed)
            self.attributes = AttributeTokens(width, options.global_tokens, options.local_tokens)
            self.patches = nn.Linear(model.config.vision_config.hidden_size, width)
            self.words = nn.Linear(model.config.text_config.hidden_size, width)
            self.gate = nn.Sequential(nn.Linear(2 * width, width), nn.ReLU(), nn.Linear(width, 1))
        self.text_attributes: AttributeTokens | None = None

    def encode_references(self, pixels: Tensor) -> Tensor:
        """Encode images as attribute tokens [B, 12, d]."""
        seen = self.model.vision_model(pixel_values=pixels)
        patches = self.patches(self.model.vision_model.post_layernorm(seen.last_hidden_state[:, 1:]))
        feature = self.model.visual_projection(seen.pooler_output)
        tokens: Tensor = self.attributes(feature, patches, ones_mask(patches))
        return tokens

    def targets_of(self, references: Tensor) -> Tensor:
        """Return the candidates [B, d] of attribute tokens [B, 12, d]."""
        return unit(references.mean(dim=1))

    def encode_texts(self, tokens: Tokens) -> Tensor:
        """Encode texts as attribute tokens [B, 12, d]."""
        read = self.model.text_model(**tokens)
        feature = self.model.text_projection(read.pooler_output)
        attributes = self.text_attributes or self.attributes
        made: Tensor = attributes(feature, self.words(read.last_hidden_state), tokens["attention_mask"])
        return made

    def compose(self, references: Tensor, tokens: Tokens) -> Tensor:
        """Compose attribute tokens [B, 12, d] with texts to queries [B, d]."""
        texts = self.encode_texts(tokens)
        kept = torch.sigmoid(self.gate(torch.cat([references, texts], dim=-1)))
        return unit((kept * references + (1 - kept) * texts).mean(dim=1))

    def stage_one_parameters(self) -> Iterator[nn.Parameter]:
        """All but the model's own temperature."""
        yield from parameters_of(self.model.vision_model, self.model.visual_projection, self.patches, self.attributes)
        yield from self.stage_two_parameters()

    def stage_two_parameters(self) -> Iterator[nn.Parameter]:
        """The text tower, the text's projections, the gate, and the text's own token learner and masks once copied."""
        yield from parameters_of(self.model.text_model, self.model.text_projection, self.words, self.gate)
        if self.text_attributes is not None:
            yield from parameters_of(self.text_attributes)

    def separate_sides(self) -> None:
        """Copy token learner and masks for the text."""
        self.text_attributes = deepcopy(self.attributes)
