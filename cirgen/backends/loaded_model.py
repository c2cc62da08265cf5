"""An image-text-to-text model of transformers with its processor: pictures and prompts in, tensors out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor, GenerationConfig

from cirgen.backends.base import Identity, ImageReader, Request
from cirgen.backends.conversation import conversation
from cirgen.devices import dtype_of, pick_device, pick_dtype
from cirgen.errors import UserError
from cirgen.model_files import ModelFiles, find_model
from cirgen.model_settings import Model

Tensors = dict[str, torch.Tensor]


class LoadedModel:
    """Weights are loaded when they are first needed; files are found at once."""

    def __init__(self, settings: Model) -> None:
        self.settings = settings
        self.device = pick_device(settings.device)
        self._files: ModelFiles = find_model(settings.model, settings.revision)
        self.identity = Identity(
            model=settings.model,
            revision=self._files.revision,
            content=self._files.content,
            backend="transformers",
            dtype=pick_dtype(settings.dtype, self.device),
            quantization=settings.quantization,
            max_pixels=settings.max_pixels,
        )

    @cached_property
    def processor(self) -> Any:
        """The processor, padding on the left: right padding silently spoils the texts of decoder-only models."""
        processor = AutoProcessor.from_pretrained(self._files.folder)
        if not getattr(processor, "chat_template", None):
            raise UserError(f"The processor of '{self.settings.model}' has no chat template; use an instruct model.")
        processor.tokenizer.padding_side = "left"
        if processor.tokenizer.pad_token is None:
            processor.tokenizer.pad_token = processor.tokenizer.eos_token
        return processor

    @cached_property
    def model(self) -> Any:
        """The model on its device."""
        model = AutoModelForImageTextToText.from_pretrained(
            self._files.folder, dtype=dtype_of(self.identity.dtype), **self._quantization()
        )
        return model.to(self.device).eval()

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
        """The tokens that end an answer."""
        stops = self.model.generation_config.eos_token_id
        if stops is None:
            stops = self.processor.tokenizer.eos_token_id
        return [] if stops is None else [stops] if isinstance(stops, int) else list(stops)

    @property
    def pad_token(self) -> int:
        """The token that fills rows up."""
        pad = self.model.generation_config.pad_token_id
        return pad if pad is not None else (self.stop_tokens or [0])[0]

    def open(self, request: Request, images: ImageReader) -> list[Image.Image] | OSError:
        """Return the pictures of a request within the pixel limit, or why one of them cannot be read."""
        try:
            return [fit(images.open(image_id), self.settings.max_pixels) for image_id in request.image_ids]
        except OSError as error:
            return error

    def encode(self, requests: Sequence[Request], pictures: Sequence[list[Image.Image]]) -> Tensors:
        """Return what the model reads for requests of like numbers of images, padded on the left."""
        texts = [
            self.processor.apply_chat_template(
                conversation(request.prompt, len(request.image_ids)), tokenize=False, add_generation_prompt=True
            )
            for request in requests
        ]
        with_images = {"images": list(pictures)} if requests[0].image_ids else {}
        return dict(self.processor(text=texts, **with_images, padding=True, return_tensors="pt"))

    def _on_device(self, inputs: Mapping[str, torch.Tensor]) -> Tensors:
        return {
            name: value.to(self.device, self.model.dtype if value.is_floating_point() else None)
            for name, value in inputs.items()
        }

    def forward(self, inputs: Mapping[str, torch.Tensor], last: int) -> torch.Tensor:
        """Return float32 logits [B, last, vocabulary] of the last places of rows that are padded on the right."""
        with torch.inference_mode():
            output = self.model(**self._on_device(inputs), logits_to_keep=last, use_cache=False)
        logits: torch.Tensor = output.logits[:, -last:].float().cpu()
        return logits

    def generate(
        self, inputs: Mapping[str, torch.Tensor], max_new_tokens: int, processors: Any = None, **options: Any
    ) -> Any:
        """Decode greedily what `processors` make of the logits; `options` are those of a `GenerationConfig`."""
        config = GenerationConfig(
            do_sample=False,
            num_beams=1,
            max_new_tokens=max_new_tokens,
            eos_token_id=self.stop_tokens or None,
            pad_token_id=self.pad_token,
            **options,
        )
        with torch.inference_mode():
            return self.model.generate(
                **self._on_device(inputs), generation_config=config, logits_processor=processors
            )

    def free_memory(self) -> None:
        """Give back what the device's allocator holds without need."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def fit(image: Image.Image, max_pixels: int) -> Image.Image:
    """Scale a picture down to at most `max_pixels`, keeping its shape; smaller ones stay as they are."""
    pixels = image.width * image.height
    if pixels <= max_pixels:
        return image
    scale = (max_pixels / pixels) ** 0.5
    size = max(1, int(image.width * scale)), max(1, int(image.height * scale))
    return image.resize(size, Image.Resampling.BICUBIC)
