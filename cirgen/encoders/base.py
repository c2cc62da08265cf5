"""Who makes embeddings: pictures and texts in, vectors out, in any order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cirgen.backends.base import ImageReader
from cirgen.model_files import ModelFiles

Vector = NDArray[np.float32]
"""[d], L2-normalised."""


class Encoder(Protocol):
    """Encodes pictures and texts; a vector does not depend on what is encoded beside it."""

    identity: str
    """Hash of its files and of how it runs."""

    @property
    def files(self) -> ModelFiles:
        """Where the weights are, with their content hash."""
        ...

    def count_tokens(self, text: str) -> int:
        """Return how many tokens the encoder's tokenizer makes of a text, special ones included."""
        ...

    def embed_images(self, image_ids: Iterable[str], images: ImageReader) -> Iterator[tuple[str, Vector]]:
        """Yield every picture's id with its vector, in any order, reading ids only as far ahead as it needs.

        Raises:
            UserError: a picture can no longer be read.
        """
        ...

    def embed_texts(self, texts: Iterable[str]) -> Iterator[tuple[str, Vector]]:
        """Yield every text with its vector, in any order; texts are cut at the encoder's length."""
        ...
