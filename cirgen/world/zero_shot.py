"""How far an embedded CLIP composes without being trained to: image plus text embedding, as many baselines do.

Queries are pairs of the development collection with a text of the second grammar. An image is ranked by the cosine of
its embedding with the sum of the normalised embeddings of reference and text; the reference itself is left out. A
query is solved at k if one of the first k images has the target's attributes.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image

from cirgen.world.evaluation_grammar import change
from cirgen.world.families import collection
from cirgen.world.pairs import Pair, draw_pairs
from cirgen.world.render import render
from cirgen.world.shares import Share, share
from cirgen.world.vocabulary import Level

BATCH = 64


class Encoder:
    """Embeds images and texts with a CLIP; every embedding has length 1."""

    def __init__(self, model: str) -> None:
        from transformers import AutoModel, AutoProcessor

        loaders: tuple[Any, Any] = (AutoModel, AutoProcessor)
        self.model = loaders[0].from_pretrained(model, dtype=torch.float32).eval()
        self.processor = loaders[1].from_pretrained(model)

    def _embed(self, name: str, values: Sequence[Any], **options: Any) -> torch.Tensor:
        rows = []
        for start in range(0, len(values), BATCH):
            inputs = self.processor(**{name: list(values[start : start + BATCH])}, return_tensors="pt", **options)
            with torch.inference_mode():
                rows.append(self._features(name, inputs))
        return torch.nn.functional.normalize(torch.cat(rows), dim=-1)

    def _features(self, name: str, inputs: Any) -> torch.Tensor:
        if name == "images":
            pooled = self.model.vision_model(**inputs).pooler_output
            return self.model.visual_projection(pooled)  # type: ignore[no-any-return]
        pooled = self.model.text_model(**inputs).pooler_output
        return self.model.text_projection(pooled)  # type: ignore[no-any-return]

    def images(self, images: Sequence[Image.Image]) -> torch.Tensor:
        """Return [N, d]."""
        return self._embed("images", images)

    def texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Return [N, d]."""
        return self._embed("text", texts, padding=True, truncation=True)


def zero_shot(
    model: str, level: Level = "medium", images: int = 1500, each: int = 170, seed: int = 0
) -> dict[str, Share]:
    """Return recall at 1 and 10 of composed queries, and at 10 of image and text alone.

    Args:
        model: folder of a CLIP.
        level: of the development collection.
        images: in the gallery.
        each: queries of one, of two and of three edits.
        seed: of pairs and texts.
    """
    samples = collection("development", level, images=images)
    figures = [sample.figure for sample in samples]
    pairs = draw_pairs(figures, [sample.family for sample in samples], each, seed)
    rng = random.Random(f"texts {seed}")
    texts = [change(figures[p.reference], figures[p.target], rng) or "" for p in pairs]
    encoder = Encoder(model)
    gallery = encoder.images([render(sample.figure, sample.nuisance) for sample in samples])
    asked = encoder.texts(texts)
    shown = gallery[[pair.reference for pair in pairs]]
    queries = {"composed": shown + asked, "image alone": shown, "text alone": asked}
    same = [[figure == figures[pair.target] for figure in figures] for pair in pairs]
    found: dict[str, Share] = {}
    for name, query in queries.items():
        ranks = _ranks(query @ gallery.T, pairs, torch.tensor(same))
        for top in (1, 10):
            value = share((ranks < top).tolist(), [pair.reference for pair in pairs], seed)
            if value is not None:
                found[f"{name}: recall@{top}"] = value
    return found


def _ranks(scores: torch.Tensor, pairs: Sequence[Pair], right: torch.Tensor) -> torch.Tensor:
    """Return [Q] the number of other images before the best right one; `scores` and `right` are [Q, N]."""
    rows = torch.arange(len(pairs))
    scores = scores.clone()
    scores[rows, [pair.reference for pair in pairs]] = -torch.inf
    best = scores.masked_fill(~right, -torch.inf).max(dim=1, keepdim=True).values
    return (scores > best).sum(dim=1)
