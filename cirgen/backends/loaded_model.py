"""An image-text-to-text model of transformers with its processor: pictures and prompts in, tensors out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.util import find_spec
from typing import Any

import torch
from PIL import Image

from cirgen.backends.base import Identity, ImageReader, Request
from cirgen.backends.encoding import Encoder, Tensors, fit
from cirgen.devices import dtype_of, pick_device, pick_dtype
from cirgen.errors import UserError
from cirgen.model_files import ModelFiles, find_model, opened
from cirgen.model_settings import Model

__all__ = ["LoadedModel", "Tensors", "fit"]

_OF_THE_CONTEXT: Mapping[str, Any] = {
    "repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "encoder_repetition_penalty": 1.0,
    "encoder_no_repeat_ngram_size": 0,
}
"""Settings that many models bring along and that read the prompt, its padding included: with them an answer would
depend on how long its companions are. Answers are drawn as the recipe says."""


class LoadedModel:
    """Weights are loaded when they are first needed; files are found at once."""

    def __init__(self, settings: Model) -> None:
        self.settings = settings
        self.device = pick_device(settings.device)
        self._files: ModelFiles = find_model(settings.model, settings.revision)
        self.encoder = Encoder(self._files.folder, settings.model, settings.max_pixels)
        self.identity = Identity(
            model=settings.model,
            revision=self._files.revision,
            content=self._files.content,
            backend="transformers",
            dtype=pick_dtype(settings.dtype, self.device),
            quantization=settings.quantization,
            max_pixels=settings.max_pixels,
        )

    @property
    def processor(self) -> Any:
        """The processor, padding on the left."""
        return self.encoder.processor

    @cached_property
    def model(self) -> Any:
        """The model on its device."""
        attention = _attention(self.settings.attention, self.device, self.identity.dtype)
        try:
            model = self._load(attention)
        except (ValueError, ImportError):
            if self.settings.attention != "auto" or not attention:
                raise
            model = self._load({})  # its architecture knows no flash attention
        return model.eval()

    def _load(self, attention: Mapping[str, str]) -> Any:
        from transformers import AutoModelForImageTextToText

        options = {"dtype": dtype_of(self.identity.dtype), **self._quantization(), **attention}
        if self.device.type == "cpu":
            return opened(AutoModelForImageTextToText, self._files.folder, **options)
        # straight onto the device: quantised weights could not be moved later, and others need no room in memory
        return opened(AutoModelForImageTextToText, self._files.folder, device_map={"": str(self.device)}, **options)

    def _quantization(self) -> dict[str, Any]:
        if self.settings.quantization == "none":
            return {}
        try:
            import bitsandbytes  # noqa: F401
        except ImportError as error:
            raise UserError("Quantised loading needs bitsandbytes: `pip install bitsandbytes`.") from error
        from transformers import BitsAndBytesConfig

        eight = self.settings.quantization == "8bit"
        return {"quantization_config": BitsAndBytesConfig(load_in_8bit=eight, load_in_4bit=not eight)}

    @cached_property
    def stop_tokens(self) -> list[int]:
        """The tokens that end an answer: those of the model, and the one that ends a turn in its tokenizer."""
        stops = self.model.generation_config.eos_token_id
        listed = [] if stops is None else [stops] if isinstance(stops, int) else list(stops)
        own = self.processor.tokenizer.eos_token_id
        return listed if own is None or own in listed else [*listed, own]

    @property
    def pad_token(self) -> int:
        """The token that fills rows up."""
        pad = self.model.generation_config.pad_token_id
        return pad if pad is not None else (self.stop_tokens or [0])[0]

    def open(self, request: Request, images: ImageReader) -> list[Image.Image] | OSError:
        """Return the pictures of a request within the pixel limit, or why one of them cannot be read."""
        return self.encoder.open(request, images)

    def encode(self, requests: Sequence[Request], pictures: Sequence[list[Image.Image]]) -> Tensors:
        """Return what the model reads for requests of like numbers of images, padded on the left."""
        return self.encoder.encode(requests, pictures)

    def on_device(self, inputs: Mapping[str, torch.Tensor]) -> Tensors:
        """Return inputs where the model is, pixels in its number format."""
        return {
            name: value.to(self.device, self.model.dtype if value.is_floating_point() else None, non_blocking=True)
            for name, value in inputs.items()
        }

    def forward(self, inputs: Mapping[str, torch.Tensor], last: int) -> torch.Tensor:
        """Return float32 logits [B, last, vocabulary] of the last places of rows that are padded on the right."""
        with torch.inference_mode():
            output = self.model(**self.on_device(inputs), logits_to_keep=last, use_cache=False)
        logits: torch.Tensor = output.logits[:, -last:].float().cpu()
        return logits

    def generate(
        self, inputs: Mapping[str, torch.Tensor], max_new_tokens: int, processors: Any = None, **options: Any
    ) -> Any:
        """Decode greedily what `processors` make of the logits; `options` are those of a `GenerationConfig`."""
        from transformers import GenerationConfig

        config = GenerationConfig(
            do_sample=False,
            num_beams=1,
            max_new_tokens=max_new_tokens,
            eos_token_id=self.stop_tokens or None,
            pad_token_id=self.pad_token,
            **_OF_THE_CONTEXT,
            **options,
        )
        with torch.inference_mode():
            return self.model.generate(**self.on_device(inputs), generation_config=config, logits_processor=processors)

    def free_memory(self) -> None:
        """Give back what the device's allocator holds without need."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def _attention(wanted: str, device: torch.device, dtype: str) -> dict[str, str]:
    """Return how attention is computed: `auto` is what is installed and fits, and transformers' choice on a CPU."""
    if wanted != "auto":
        return {"attn_implementation": wanted}
    flash = device.type == "cuda" and dtype != "float32" and find_spec("flash_attn") is not None
    return {"attn_implementation": "flash_attention_2"} if flash else {}
