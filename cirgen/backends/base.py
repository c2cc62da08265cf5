"""Who runs a generative model: requests in, results out, in any order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from PIL import Image

from cirgen.backends.speed import Speed
from cirgen.model_settings import Price
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
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of the engine, as far as they can change an answer."""

    def key_part(self) -> Mapping[str, Any]:
        """Return what enters a row key."""
        return {
            "content": self.content,
            "backend": self.backend,
            "dtype": self.dtype,
            "quantization": self.quantization,
            "max_pixels": self.max_pixels,
            **({"options": dict(self.options)} if self.options else {}),
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
    text: str = ""
    finish_reason: str = ""
    prompt_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True)
class Choice:
    """How a model shares its belief among the answers that a request allows."""

    request: Request
    status: Status
    error: str
    shares: tuple[float, ...] = ()
    """One for each option, in their order, sum 1; empty on failure."""
    mass: float = 0.0
    """Probability that the answer begins as any of them, 0 to 1: near 0 the model does not follow the prompt."""
    prompt_tokens: int = 0
    """Those of pictures included, those of padding not; as far as whoever runs the model counts them."""
    output_tokens: int = 0


@dataclass(frozen=True)
class Likelihood:
    """How probable a model holds it that it would answer with a given text."""

    request: Request
    status: Status
    error: str
    log_likelihood: float = 0.0
    """Natural logarithm of the probability of the whole text and its end, at most 0; 0 on failure."""
    tokens: int = 0
    """Of the text, its end included; 0 on failure."""
    prompt_tokens: int = 0
    """Read for it: question and text."""


Answer = TypeVar("Answer", Result, Choice, Likelihood)
"""What any of the calls of a backend yields."""


class Backend(ABC):
    """Runs one model."""

    identity: Identity
    price: Price | None = None
    """Of its tokens."""

    def check_choose(self) -> None:  # noqa: B027
        """Make sure, before a run begins, that `choose` will find what it reads.

        Raises:
            UserError: whoever runs the model does not tell probabilities.
        """

    def take_speed(self) -> Speed | None:
        """Return what was counted of the work since this was last asked, None where nobody counts."""
        return None

    @abstractmethod
    def generate(self, requests: Iterable[Request], images: ImageReader) -> Iterator[Result]:
        """Yield exactly one result for every request, in any order, reading requests only as far ahead as it needs."""

    @abstractmethod
    def choose(self, requests: Iterable[Request], options: Sequence[str], images: ImageReader) -> Iterator[Choice]:
        """Yield exactly one choice for every request, in any order.

        Shares depend on the request alone, never on what runs beside it or on any setting of speed.

        Args:
            requests: questions; how to sample means nothing here.
            options: answers, at least two, told apart by how they begin; `Yes` and ` yes` count as `yes`.
            images: opens the pictures.

        Raises:
            UserError: the model's tokens cannot tell the options apart.
        """

    @abstractmethod
    def likelihood(self, requests: Iterable[tuple[Request, str]], images: ImageReader) -> Iterator[Likelihood]:
        """Yield, for every request and text, how probable that answer is, in any order.

        It depends on request and text alone, never on what runs beside them or on any setting of speed.
        """
