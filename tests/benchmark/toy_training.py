"""A toy set of images and triplets, and a retriever of two linear layers, to train within milliseconds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import normalize

from cirgen_benchmark.images import ImageCollection
from cirgen_benchmark.models.base import Retriever, Tokens
from cirgen_benchmark.triplets import Triplet

SIDE = 6
WORDS = ("red", "green", "blue", "dark", "pale", "striped", "round", "tall")


class ToyImages(ImageCollection):
    """Random pictures `image-0`, `image-1`, ...

    Args:
        count: how many.
        twins: images that show the picture of another one.
        groups: groups of near duplicates, where not each picture is its own.
    """

    def __init__(self, count: int, twins: dict[str, str] | None = None, groups: dict[str, str] | None = None) -> None:
        self._pictures = np.random.default_rng(0).integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)
        self._twins = twins or {}
        self._groups = groups or {}
        self.opened: list[str] = []

    @property
    def ids(self) -> Sequence[str]:
        return [f"image-{number}" for number in range(len(self._pictures))]

    def open(self, image_id: str) -> Image.Image:
        self.opened.append(image_id)
        return Image.fromarray(self._picture(image_id))

    def content(self, image_id: str) -> str:
        return hashlib.sha256(self._picture(image_id).tobytes()).hexdigest()

    def group(self, image_id: str) -> str:
        return self._groups.get(image_id, self.content(image_id))

    def _picture(self, image_id: str) -> np.ndarray:
        return self._pictures[int(self._twins.get(image_id, image_id).removeprefix("image-"))]


class ToyRetriever(Retriever):
    """A linear layer on pixels, an embedding of words; the query is their sum.

    Args:
        seed: of the weights.
        width: of the common space.
        vectors: of a target; more than one gives targets [B, T, d].
        dropout: of the words.
    """

    def __init__(self, seed: int = 0, width: int = 8, vectors: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.pixels = nn.Linear(3 * SIDE * SIDE, width * vectors)
            self.words = nn.Embedding(len(WORDS) + 1, width, padding_idx=0)
            self.unused = nn.Linear(2, 2)
        self.dropout = nn.Dropout(dropout)
        self._vectors = vectors
        self.encoded = 0

    def preprocess(self, image: Image.Image) -> Tensor:
        pixels = np.asarray(image.resize((SIDE, SIDE)), dtype=np.float32) / 255 - 0.5
        return torch.from_numpy(pixels).permute(2, 0, 1)

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        numbers = [[WORDS.index(word) + 1 for word in text.split()] for text in texts]
        length = max(map(len, numbers))
        padded = torch.tensor([row + [0] * (length - len(row)) for row in numbers])
        return {"input_ids": padded, "attention_mask": (padded > 0).long()}

    def encode_references(self, pixels: Tensor) -> Tensor:
        self.encoded += len(pixels)
        return self.pixels(pixels.flatten(1)).unflatten(1, (self._vectors, -1)).mean(dim=1)

    def encode_targets(self, pixels: Tensor) -> Tensor:
        self.encoded += len(pixels)
        found = normalize(self.pixels(pixels.flatten(1)).unflatten(1, (self._vectors, -1)), dim=-1)
        return found[:, 0] if self._vectors == 1 else found

    def compose(self, references: Tensor, tokens: Tokens) -> Tensor:
        return normalize(references + self.dropout(self.words(tokens["input_ids"])).sum(dim=1), dim=-1)

    def stage_two_parameters(self) -> Iterable[nn.Parameter]:
        return self.words.parameters()


def toy_triplets(count: int, images: int, seed: int = 0, hard: int = 0) -> list[Triplet]:
    """Return triplets of random pairs and texts of one to three words, some with other positives.

    Args:
        count: triplets.
        images: that they are drawn from.
        seed: of the draws.
        hard: at most so many hard negatives a triplet.
    """
    random = np.random.default_rng(seed)
    found = []
    for number in range(count):
        reference, target, *others = (f"image-{drawn}" for drawn in random.permutation(images)[: 3 + hard])
        texts = [" ".join(random.choice(WORDS, random.integers(1, 4))) for _ in range(1 + number % 2)]
        positives, negatives = tuple(others[: number % 2]), tuple(others[1 : 1 + number % (hard + 1)])
        found.append(Triplet(reference, target, tuple(texts), positives, negatives))
    return found
