"""Which models a recipe names, and how texts are drawn from them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cirgen.settings import Name, Settings

Temperature = Annotated[float, Field(ge=0, le=10)]


class Sampling(Settings):
    """How texts are drawn from a model."""

    temperature: Temperature = 0.0
    """0 is greedy decoding."""
    top_p: float = Field(1.0, gt=0, le=1)
    top_k: int = Field(0, ge=0, le=10_000_000)
    """0 keeps every token."""
    max_new_tokens: int = Field(64, ge=1, le=100_000)
    ladder: tuple[Temperature, ...] = Field((), max_length=16)
    """Temperatures of the attempts that follow a truncated or unparsable answer, one attempt each."""


class Regenerate(Settings):
    """Another text for a pair whose text the filters rejected: one more question costs less than one more pair."""

    tries: int = Field(0, ge=0, le=16)
    """Texts asked for after the first, each only where all before it were rejected; 0 asks for none."""
    temperature: Temperature = 0.7
    """Of these texts: at 0 a model would write the same again."""
    prompt: Name | None = None
    """Asks for them in other words; null keeps the prompt of the text that was rejected."""


class Model(Settings):
    """A generative model and who runs it."""

    model: Name
    """Hub id, local folder, or `cirgen:mllm`."""
    revision: str | None = None
    backend: Literal["transformers"] = "transformers"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """`auto` is bfloat16 on a GPU and float32 on a CPU."""
    quantization: Literal["none", "8bit", "4bit"] = "none"
    max_pixels: int = Field(1_003_520, ge=784, le=1_000_000_000)
    """Larger images are scaled down to so many pixels before the processor sees them (1,280 patches of 28 x 28)."""
    batch_size: int = Field(32, ge=1, le=16_384)
    device: str = "auto"


class Classifier(Settings):
    """A classifier of texts, or of pairs of texts, that a filter asks."""

    model: Name
    """Hub id or local folder of a transformers model for sequence classification, with its tokenizer."""
    revision: str | None = None
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "float32"
    batch_shape: int = Field(32, ge=1, le=16_384)
    """Rows of every forward pass, padded: a part of the answer, as it is for an encoder."""
    tokens: int = Field(128, ge=8, le=8_192)
    """Tokens to which a text, or a pair, is padded and cut: a part of the answer, too."""
    device: str = "auto"


class Encoder(Settings):
    """The encoder of images and texts that pairing and filters use."""

    model: Name
    revision: str | None = None
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "float32"
    batch_shape: int = Field(32, ge=1, le=16_384)
    """Rows of every forward pass, padded: a part of the answer, since another shape moves the last bits."""
    device: str = "auto"
