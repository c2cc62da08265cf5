"""Embeddings with any transformers model that has image (and text) features, such as CLIP or SigLIP.

Every forward pass has the same shape, padded in rows and, for texts, to one length: on one machine an embedding then
does not depend on its batch companions by a single bit (another shape moves the last bits).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from cirgen.backends.base import ImageReader
from cirgen.devices import dtype_of, pick_device, pick_dtype
from cirgen.encoders.base import Vector
from cirgen.errors import UserError
from cirgen.keys import digest
from cirgen.model_files import ModelFiles, find_model, opened
from cirgen.model_settings import Encoder

FALLBACK_TEXT_TOKENS = 77
BATCHES_PER_READ = 8
DECODERS = 2
"""Threads that open pictures; Pillow releases the interpreter lock."""


class TransformersEncoder:
    """Encodes images and texts to L2-normalised float32 rows; weights are loaded at the first call."""

    def __init__(self, settings: Encoder) -> None:
        self._settings = settings
        self._device = pick_device(settings.device)
        self._dtype = pick_dtype(settings.dtype, self._device)
        self._files: ModelFiles = find_model(settings.model, settings.revision)
        self.identity = digest("encoder", self._files.content, self._dtype, settings.batch_shape)

    @property
    def files(self) -> ModelFiles:
        """Where the weights are, with their content hash."""
        return self._files

    @property
    def batch_shape(self) -> int:
        """Rows of every forward pass."""
        return self._settings.batch_shape

    def embed_images(self, image_ids: Iterable[str], images: ImageReader) -> Iterator[tuple[str, Vector]]:
        """Yield every picture's id with its vector; see `Encoder.embed_images`."""
        with ThreadPoolExecutor(DECODERS) as decoders:
            for ids in self._chunks(image_ids):
                pictures = list(decoders.map(lambda image_id: _open(images, image_id), ids))
                yield from zip(ids, self.images(pictures), strict=True)

    def embed_texts(self, texts: Iterable[str]) -> Iterator[tuple[str, Vector]]:
        """Yield every text with its vector; see `Encoder.embed_texts`."""
        for chunk in self._chunks(texts):
            yield from zip(chunk, self.texts(chunk), strict=True)

    def _chunks(self, items: Iterable[str]) -> Iterator[list[str]]:
        rest = iter(items)
        while chunk := list(islice(rest, self.batch_shape * BATCHES_PER_READ)):
            yield chunk

    def images(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Encode pictures; returns [len(images), d]."""
        processor, model = self._processor, self._model
        inputs = processor.image_processor(list(images), return_tensors="pt")
        return self._encode(model.get_image_features, {"pixel_values": inputs["pixel_values"]}, len(images))

    def texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts, cut at the encoder's length; returns [len(texts), d]."""
        processor, model = self._processor, self._model
        inputs = processor.tokenizer(
            list(texts), padding="max_length", truncation=True, max_length=self._length(model), return_tensors="pt"
        )
        accepted = {name: inputs[name] for name in ("input_ids", "attention_mask") if name in inputs}
        return self._encode(model.get_text_features, accepted, len(texts))

    def count_tokens(self, text: str) -> int:
        """Return how many tokens the encoder's tokenizer makes of a text, special ones included."""
        return len(self._processor.tokenizer(text)["input_ids"])

    def _encode(self, features: Any, inputs: dict[str, torch.Tensor], rows: int) -> NDArray[np.float32]:
        parts = []
        for start in range(0, rows, self.batch_shape):
            batch = {name: self._padded(value[start : start + self.batch_shape]) for name, value in inputs.items()}
            with torch.inference_mode():
                output = features(**batch)
            vectors = output if isinstance(output, torch.Tensor) else output.pooler_output
            parts.append(vectors.float().cpu().numpy()[: min(self.batch_shape, rows - start)])
        vectors = np.concatenate(parts)
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)

    def _padded(self, rows: torch.Tensor) -> torch.Tensor:
        missing = self.batch_shape - len(rows)
        padded = torch.cat([rows, rows[:1].expand(missing, *rows.shape[1:])]) if missing else rows
        return padded.to(self._device, dtype_of(self._dtype) if padded.is_floating_point() else None)

    @staticmethod
    def _length(model: Any) -> int:
        text_config = getattr(model.config, "text_config", model.config)
        return int(getattr(text_config, "max_position_embeddings", FALLBACK_TEXT_TOKENS))

    @cached_property
    def _processor(self) -> Any:
        from transformers import AutoProcessor

        return opened(AutoProcessor, self._files.folder)

    @cached_property
    def _model(self) -> Any:
        from transformers import AutoModel

        model = opened(AutoModel, self._files.folder, dtype=dtype_of(self._dtype))
        if not hasattr(model, "get_image_features"):
            raise UserError(f"'{self._settings.model}' has no image features; name a CLIP- or SigLIP-like encoder.")
        return model.to(self._device).eval()


def _open(images: ImageReader, image_id: str) -> Image.Image:
    try:
        return images.open(image_id)
    except OSError as error:
        raise UserError(
            f"An image can no longer be read ({error}); run again to take its folder in afresh."
        ) from error
