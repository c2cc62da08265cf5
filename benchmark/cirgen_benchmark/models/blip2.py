"""BLIP-2's Q-Former as SPRC uses it (`BLIP24CIR` of SPN4CIR): fuse image and text to a sentence-level prompt, read it.

Facts from SPN4CIR's released code: a first pass of the Q-Former fuses the reference image, 32 query tokens and the
text; a second pass, without image, reads the 32 fused states followed by the text, all of them through the Q-Former's
text feed-forward; the state of the text's first token, projected, is the query. A target is 32 projected states, and
the nearest of them counts. Architecture only: SPRC's two further losses of stage one are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from cirgen_benchmark.models.base import Tokens
from cirgen_benchmark.models.derived import DerivedTargetsRetriever
from cirgen_benchmark.models.stock import StockOptions, named_without, ones_mask, parameters_of, unit

SPRC_TEXT_LENGTH = 32
"""Tokens that a text is cut at (`max_txt_len` of LAVIS' BLIP-2 and of SPRC)."""
IMAGE_ONLY = ("crossattention", "intermediate_query", "output_query")
"""Parts of a Q-Former layer that a pass without image does not use."""


class Blip2Options(StockOptions):
    """Options of BLIP-2."""

    text_length: PositiveInt | None = SPRC_TEXT_LENGTH


class Blip2Retriever(DerivedTargetsRetriever):
    """Query: the Q-Former's reading of fused states and text; target: 32 vectors, the nearest counts.

    Stage one trains all but the vision transformer's blocks. Stage two trains deep copies of the Q-Former, its text
    embeddings and the text projection; the fusing pass and the targets use the frozen ones.
    """

    Options = Blip2Options
    model_types = ("blip-2",)
    stock_class = "Blip2ForImageTextRetrieval"

    def __init__(self, model: Any, tokenizer: Any, image_processor: Any, options: StockOptions) -> None:
        super().__init__(model, tokenizer, image_processor, options)
        self.reader: nn.ModuleDict | None = None

    @property
    def text_config(self) -> Any:
        """The Q-Former's configuration: it reads the texts."""
        return self.model.config.qformer_config

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """Turn texts, cleaned as for BLIP-2's pretraining, into tokens [B, L]."""
        return super().tokenize([plain_caption(text) for text in texts])

    def encode_references(self, pixels: Tensor) -> Tensor:
        """Encode images as the vision tower's tokens [B, N, h]."""
        states: Tensor = self.model.vision_model(pixel_values=pixels).last_hidden_state
        return states

    def targets_of(self, references: Tensor) -> Tensor:
        """Return the candidates [B, 32, d] of image tokens [B, N, h]."""
        queries = self.model.query_tokens.expand(len(references), -1, -1)
        seen = self.model.qformer(query_embeds=queries, encoder_hidden_states=references)
        return unit(self.model.vision_projection(seen.last_hidden_state))

    def compose(self, references: Tensor, tokens: Tokens) -> Tensor:
        """Compose image tokens [B, N, h] with texts to queries [B, d]."""
        parts = self.reader or {
            "embeddings": self.model.embeddings,
            "qformer": self.model.qformer,
            "projection": self.model.text_projection,
        }
        fused, mask = self._fuse(references, tokens)
        embedded = parts["embeddings"](input_ids=tokens["input_ids"], query_embeds=fused)
        # Without query_length the Q-Former would ask for an image.
        states = parts["qformer"](query_embeds=embedded, query_length=0, attention_mask=mask).last_hidden_state
        return unit(parts["projection"](states[:, fused.shape[1]]))

    def stage_one_parameters(self) -> Iterator[nn.Parameter]:
        """Q-Former, query tokens, text embeddings, projections, and the norm after the vision transformer."""
        model = self.model
        yield from parameters_of(
            model.vision_model.post_layernorm, model.query_tokens, model.embeddings, model.qformer
        )
        yield from parameters_of(model.vision_projection, model.text_projection)
        yield from self.stage_two_parameters()

    def stage_two_parameters(self) -> Iterator[nn.Parameter]:
        """The copies, less what a pass without image does not use; before there are copies, nothing."""
        return iter(()) if self.reader is None else named_without(self.reader, IMAGE_ONLY)

    def separate_sides(self) -> None:
        """Copy the Q-Former, its text embeddings and the text projection for the query side."""
        self.reader = nn.ModuleDict(
            {
                "embeddings": deepcopy(self.model.embeddings),
                "qformer": deepcopy(self.model.qformer),
                "projection": deepcopy(self.model.text_projection),
            }
        )

    def _fuse(self, states: Tensor, tokens: Tokens) -> tuple[Tensor, Tensor]:
        """Return the fused states [B, 32, h] and the attention mask [B, 32 + L] of them and the text."""
        queries = self.model.query_tokens.expand(len(states), -1, -1)
        mask = torch.cat([ones_mask(queries), tokens["attention_mask"]], dim=1)
        fused = self.model.qformer(
            query_embeds=self.model.embeddings(input_ids=tokens["input_ids"], query_embeds=queries),
            query_length=queries.shape[1],
            attention_mask=mask,
            encoder_hidden_states=states,
        )
        return fused.last_hidden_state[:, : queries.shape[1]], mask


def plain_caption(text: str) -> str:
    """Clean a text as LAVIS' caption processor does for BLIP-2: lower case, of punctuation only , ? - ' / stay."""
    spaced = re.sub(r'[.!"()*#:;~]', " ", text.lower())
    return re.sub(r"\s{2,}", " ", spaced).strip()
