"""Who runs a generative model: requests in, results out, in any order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from PIL import Image

from cirgen.schemas import Status


class ImageReader(Protocol):
    """Opens a picture of the run by its id."""

    def open(self, image_id: str) -> Image.Image:
        """Return the decoded picture, RGB, upright.

        Raises:
            OSError: the file changed or cannot be read any more.
        """
        ...


@dataclass(frozen=True)
class Identity:
    """What of a model can change an answer."""

    model: str
    """Hub id or path as the recipe says, for readers; not a part of the key."""
    revision: str
    """Hub commit, or empty for a local folder."""
    content: str
    """Hash of weights, tokenizer, processor and chat template."""
    backend: str
    dtype: str
    quantization: str
    max_pixels: int

    def key_part(self) -> Mapping[str, Any]:
        """Return what enters a row key."""
        return {
            "content": self.content,
            "backend": self.backend,
            "dtype": self.dtype,
            "quantization": self.quantization,
            "max_pixels": self.max_pixels,
        }


@dataclass(frozen=True)
class Request:
    """One text to generate."""

    key: str
    attempt: int
    prompt: str
    image_ids: tuple[str, ...]
    temperature: float
    """Of this attempt, the ladder already climbed."""
    top_p: float
    top_k: int
    max_new_tokens: int


@dataclass(frozen=True)
class Result:
    """What came of a request; a failure is a result too."""

    request: Request
    status: Status
    error: str
    text: str
    finish_reason: str
    prompt_tokens: int
    output_tokens: int


class Backend(ABC):
    """Runs one model."""

    identity: Identity

    @abstractmethod
    def generate(self, requests: Iterable[Request], images: ImageReader) -> Iterator[Result]:
        """Yield exactly one result for every request, in any order, reading requests only as far ahead as it needs."""
