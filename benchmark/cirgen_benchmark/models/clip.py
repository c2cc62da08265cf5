"""CLIP and SigLIP with the element-wise sum (the fine-tuned CLIP of CLIP4Cir; `CLIP4CIR` and zero-shot of SPN4CIR)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor, nn

from cirgen_benchmark.models.base import Tokens
from cirgen_benchmark.models.stock import StockRetriever, parameters_of, unit


class ClipRetriever(StockRetriever):
    """Query: the sum of the un-normalised features of reference and text, then normalised.

    Stage two trains the text side; the vision tower is frozen (SPN4CIR's released code).
    """

    model_types = ("clip", "siglip")

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """Turn texts into tokens [B, L].

        SigLIP was trained on texts padded to its full length, and reads its feature off the last place without a
        mask; CLIP reads it off the end token, which padding on the right cannot reach.
        """
        if self.model.config.model_type == "siglip":
            return {"input_ids": self._tokens(texts, "max_length")["input_ids"]}
        return super().tokenize(texts)

    def encode_references(self, pixels: Tensor) -> Tensor:
        """Encode images as un-normalised features [B, d]."""
        features: Tensor = self.model.get_image_features(pixel_values=pixels).pooler_output
        return features

    def encode_targets(self, pixels: Tensor) -> Tensor:
        """Encode images as candidates [B, d]."""
        return unit(self.encode_references(pixels))

    def encode_images(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features [B, d] as they are and normalised."""
        features = self.encode_references(pixels)
        return features, unit(features)

    def encode_texts(self, tokens: Tokens) -> Tensor:
        """Encode texts as un-normalised features [B, d]."""
        features: Tensor = self.model.get_text_features(**tokens).pooler_output
        return features

    def compose(self, references: Tensor, tokens: Tokens) -> Tensor:
        """Compose features [B, d] with texts to queries [B, d]."""
        return unit(references + self.encode_texts(tokens))

    def stage_one_parameters(self) -> Iterator[nn.Parameter]:
        """Both towers; the model's own temperature is no part of a query or a target."""
        yield from self._vision_parameters()
        yield from self.stage_two_parameters()

    def stage_two_parameters(self) -> Iterator[nn.Parameter]:
        """The text side."""
        return self._text_parameters()

    def _vision_parameters(self) -> Iterator[nn.Parameter]:
        return parameters_of(self.model.vision_model, *_projection(self.model, "visual_projection"))

    def _text_parameters(self) -> Iterator[nn.Parameter]:
        return parameters_of(self.model.text_model, *_projection(self.model, "text_projection"))


def _projection(model: nn.Module, name: str) -> list[nn.Module]:
    """Return CLIP's projection; SigLIP has its own inside the towers."""
    return [model.get_submodule(name)] if hasattr(model, name) else []
