"""From a request to what a model reads: pictures opened and fitted, the chat template filled, tokens and pixels."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image

from cirgen.backends.base import ImageReader, Request
from cirgen.backends.conversation import conversation
from cirgen.backends.processor import load_processor
from cirgen.errors import UserError
from cirgen.schemas import Status

Tensors = dict[str, torch.Tensor]


class Unreadable(NamedTuple):
    """Why a request cannot be asked."""

    status: Status
    error: str


@dataclass(frozen=True)
class Encoder:
    """A model's processor; processes may pickle it, and each loads the processor when it first needs it."""

    folder: Path
    name: str
    """Of the model, for errors."""
    max_pixels: int

    @cached_property
    def processor(self) -> Any:
        """The processor, padding on the left."""
        return load_processor(self.folder, self.name, self.max_pixels)

    def copy(self) -> Encoder:
        """Return one for another thread: tokenizers keep how they were last asked, and mix up what threads ask."""
        other = Encoder(self.folder, self.name, self.max_pixels)
        vars(other)["processor"] = deepcopy(self.processor)
        return other

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "processor"}

    def open(self, request: Request, images: ImageReader) -> list[Image.Image] | OSError:
        """Return the pictures of a request within the pixel limit, or why one of them cannot be read."""
        try:
            return [fit(images.open(image_id), self.max_pixels) for image_id in request.image_ids]
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
        options: dict[str, Any] = {"images": list(pictures)} if requests[0].image_ids else {}
        begins = self.processor.tokenizer.bos_token
        if begins and texts[0].startswith(begins):  # Gemma's template writes it, and its tokenizer would once more
            options["add_special_tokens"] = False
        return dict(self.processor(text=texts, **options, padding=True, return_tensors="pt"))

    def read(self, request: Request, images: ImageReader) -> Tensors | Unreadable:
        """Return what the model reads for one request, or why it cannot be asked: one bad row fails alone."""
        pictures = self.open(request, images)
        if isinstance(pictures, OSError):
            return Unreadable("image_error", str(pictures))
        try:
            return self.encode([request], [pictures])
        except UserError:
            raise
        except Exception as error:  # processors raise anything: words taken for an image, pictures too narrow
            return Unreadable("parse_error", f"the prompt or its pictures cannot be read: {error}")


def fit(image: Image.Image, max_pixels: int) -> Image.Image:
    """Scale a picture down to at most `max_pixels`, keeping its shape; smaller ones stay as they are."""
    pixels = image.width * image.height
    if pixels <= max_pixels:
        return image
    scale = (max_pixels / pixels) ** 0.5
    size = max(1, int(image.width * scale)), max(1, int(image.height * scale))
    return image.resize(size, Image.Resampling.BICUBIC)
