"""What the families that are built from transformers' stock classes have in common."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from PIL import Image
from pydantic import Field, PositiveInt
from torch import Tensor, nn
from torch.nn import functional

from cirgen.errors import UserError
from cirgen.keys import digest
from cirgen.settings import Settings
from cirgen_benchmark.models.base import Retriever, Tokens
from cirgen_benchmark.models.pixels import TARGET_PAD, pixel_transform


class StockOptions(Settings):
    """What may be told about any family."""

    target_pad: Annotated[float, Field(ge=1)] | None = TARGET_PAD
    """Largest ratio of the sides of an image after padding; null pads nothing."""
    text_length: PositiveInt | None = None
    """Tokens that a text is cut at; without it the model's own length."""


@dataclass(frozen=True)
class Origin:
    """What a retriever was made from."""

    family: str
    model: str
    """As it was named: hub id, folder or `cirgen:NAME`."""
    revision: str | None
    content: str
    """Hash of the base model's files, processor and tokenizer included."""
    options: Mapping[str, Any]
    """Every option of the family, as plain data."""

    @property
    def identity(self) -> str:
        """Hash of all but the name: the same files at another path are the same model."""
        return digest("origin", self.family, self.content, dict(self.options))


class StockRetriever(Retriever):
    """A retriever around one model of transformers, with that model's tokenizer and image processor.

    Args:
        model: of `stock_class`.
        tokenizer: of transformers.
        image_processor: of transformers; only its numbers are used.
        options: of the family.
    """

    Options: ClassVar[type[StockOptions]] = StockOptions
    model_types: ClassVar[tuple[str, ...]]
    """What `config.json` may say in `model_type`."""
    stock_class: ClassVar[str] = "AutoModel"
    """The class of transformers that loads a checkpoint."""
    origin: Origin | None = None
    """What it was made from, where `load_retriever` made it."""

    def __init__(self, model: Any, tokenizer: Any, image_processor: Any, options: StockOptions) -> None:
        super().__init__()
        self.model = model
        self.options = options
        self._tokenizer = tokenizer
        self._pixels = pixel_transform(image_processor, options.target_pad)

    def preprocess(self, image: Image.Image) -> Tensor:
        """Turn one RGB image into pixels [3, side, side] float32."""
        return self._pixels(image)

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """Turn texts into `input_ids` and `attention_mask` [B, L], padded on the right to the longest."""
        return self._tokens(texts, "longest")

    def _tokens(self, texts: Sequence[str], padding: str) -> dict[str, Tensor]:
        encoded = self._tokenizer(
            list(texts),
            padding=padding,
            padding_side="right",
            truncation=True,
            max_length=self.text_length,
            return_attention_mask=True,
            return_tensors="pt",
        )
        self._check_vocabulary(encoded["input_ids"])
        return {name: encoded[name] for name in ("input_ids", "attention_mask")}

    def _check_vocabulary(self, ids: Tensor) -> None:
        """A token past the embedding would stop a GPU without saying why."""
        if int(ids.max()) >= self.text_config.vocab_size:
            unknown = self._tokenizer.convert_ids_to_tokens(int(ids.max()))
            raise UserError(
                f"The model has no token '{unknown}', which its tokenizer makes; name a checkpoint whose tokenizer "
                "and vocabulary belong together."
            )

    @property
    def identity(self) -> str:
        """Hash of family, base model and options."""
        return self.origin.identity if self.origin else super().identity

    @property
    def text_length(self) -> int:
        """Tokens that a text is cut at, special ones included."""
        own = int(self.text_config.max_position_embeddings)
        return min(own, self.options.text_length or own)

    @property
    def text_config(self) -> Any:
        """The part of the model's configuration that describes its text side."""
        return self.model.config.text_config


def unit(vectors: Tensor) -> Tensor:
    """L2-normalise the last dimension, in float32."""
    return functional.normalize(vectors.float(), dim=-1)


def parameters_of(*parts: nn.Module | nn.Parameter) -> Iterator[nn.Parameter]:
    """Yield the parameters of modules, and parameters themselves."""
    for part in parts:
        if isinstance(part, nn.Parameter):
            yield part
        else:
            yield from part.parameters()


def ones_mask(states: Tensor) -> Tensor:
    """Return an attention mask [B, L] that hides nothing of states [B, L, ...]."""
    return torch.ones(states.shape[:2], dtype=torch.long, device=states.device)


def named_without(module: nn.Module, names: Iterable[str]) -> Iterator[nn.Parameter]:
    """Yield the parameters of a module, less those with one of `names` in their dotted path."""
    left_out = set(names)
    for path, parameter in module.named_parameters():
        if left_out.isdisjoint(path.split(".")):
            yield parameter
