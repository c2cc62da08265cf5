"""BLIP with the reference's image tokens cross-attended by the text encoder (`BLIP4CIR` of SPN4CIR)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import NonNegativeInt
from torch import Tensor, nn

from cirgen.errors import UserError
from cirgen_benchmark.models.base import Tokens
from cirgen_benchmark.models.derived import DerivedTargetsRetriever
from cirgen_benchmark.models.stock import StockOptions, parameters_of, unit

ENCODE_TOKEN = "[ENC]"
BLIP_EXTRA_TOKENS = 2
"""BLIP's vocabulary is BERT's and then [DEC] and [ENC]; tokenizers of converted checkpoints often lack the two."""


class BlipOptions(StockOptions):
    """Options of BLIP."""

    encode_token: NonNegativeInt | None = None
    """Id of [ENC], which stands first in a text that is read together with an image; without it found by itself."""


class BlipRetriever(DerivedTargetsRetriever):
    """Query: the projected [ENC] state of the text encoder over text and image tokens; target: the projected CLS.

    The vision tower is frozen in both stages (stage I of Candidate-Reranking-CIR, which SPN4CIR starts from).
    Stage two trains the text encoder and its projection.
    """

    Options = BlipOptions
    model_types = ("blip",)
    stock_class = "BlipForImageTextRetrieval"

    def __init__(self, model: Any, tokenizer: Any, image_processor: Any, options: BlipOptions) -> None:
        super().__init__(model, tokenizer, image_processor, options)
        self._encode_token = encode_token(tokenizer, model.config.text_config.vocab_size, options.encode_token)

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """Turn texts into tokens [B, L], the first of which is [ENC]."""
        tokens = self._tokens(texts, "longest")
        tokens["input_ids"][:, 0] = self._encode_token
        return tokens

    def encode_references(self, pixels: Tensor) -> Tensor:
        """Encode images as the vision tower's tokens [B, N, h]."""
        states: Tensor = self.model.vision_model(pixel_values=pixels).last_hidden_state
        return states

    def targets_of(self, references: Tensor) -> Tensor:
        """Return the candidates [B, d] of image tokens [B, N, h]."""
        return unit(self.model.vision_proj(references[:, 0]))

    def compose(self, references: Tensor, tokens: Tokens) -> Tensor:
        """Compose image tokens [B, N, h] with texts to queries [B, d]."""
        read = self.model.text_encoder(**tokens, encoder_hidden_states=references)
        return unit(self.model.text_proj(read.last_hidden_state[:, 0]))

    def stage_one_parameters(self) -> Iterator[nn.Parameter]:
        """The text encoder and both projections."""
        return parameters_of(self.model.text_encoder, self.model.text_proj, self.model.vision_proj)

    def stage_two_parameters(self) -> Iterator[nn.Parameter]:
        """The text encoder and its projection."""
        return parameters_of(self.model.text_encoder, self.model.text_proj)


def encode_token(tokenizer: Any, vocabulary: int, told: int | None) -> int:
    """Return the id of [ENC].

    Args:
        tokenizer: whose own [ENC] counts, where it has one.
        vocabulary: rows of the model's embedding. Where they are two more than the tokenizer knows, the last is [ENC].
        told: the id, where the user says so.

    Raises:
        UserError: it cannot be told.
    """
    known = tokenizer.get_vocab().get(ENCODE_TOKEN) if told is None else told
    if known is None and vocabulary == len(tokenizer) + BLIP_EXTRA_TOKENS:
        known = vocabulary - 1
    if known is None or known >= vocabulary:
        raise UserError(
            f"Which of the BLIP model's {vocabulary} tokens is {ENCODE_TOKEN} cannot be told from its tokenizer of "
            f"{len(tokenizer)}; give its id as option `encode_token`."
        )
    return int(known)
