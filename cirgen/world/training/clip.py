"""Trains a small CLIP from scratch on (figure, caption) pairs, with near siblings among the negatives.

As with the MLLM, classifiers of the attributes on the patch features help the vision tower along and are thrown away.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedTokenizerFast

from cirgen.world.grammar import caption
from cirgen.world.training.architecture import build_clip, clip_processor, save_model
from cirgen.world.training.attention import use_fast_attention
from cirgen.world.training.classifiers import VALUES, Classifiers
from cirgen.world.training.loop import Budget, Loop, pixel_batch
from cirgen.world.training.pool import SIBLINGS, Pool, load_pool
from cirgen.world.training.precision import autocast
from cirgen.world.training.tokenizer import clip_tokenizer, tokenizer_texts
from cirgen.world.vocabulary import Level

BRIEF_SHARE = 0.3
"""Share of batches with brief captions; these hold one figure a family, since siblings may share a brief caption."""

BRIEF_WORDS = (4, 14)
LARGEST_SCALE = 4.6052
"""Natural logarithm of 100, CLIP's bound on the scale of the logits (arXiv 2103.00020, section 2.5)."""

SEEDS = {"filter-encoder": 1, "judge-encoder": 2}
"""Purpose, which decides the training figures, to the seed of its weights and draws."""


@dataclass(frozen=True)
class Settings:
    """What `cirgen world train-encoder` trains."""

    purpose: str = "filter-encoder"
    level: Level = "medium"
    families: int = 1600
    width: int = 128
    layers: tuple[int, int] = (4, 2)
    steps: int = 800
    batch: int = 128
    rate: float = 2e-3


class Trainee(nn.Module):
    """A CLIP with its temporary classifiers."""

    def __init__(self, model: Any, values: Sequence[int] = VALUES) -> None:
        super().__init__()
        self.model = model
        self.classifiers = Classifiers(model.config.vision_config.hidden_size, values)

    def forward(
        self, pixels: torch.Tensor, codes: torch.Tensor, ids: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """Return the symmetric contrastive loss plus the classifiers' loss."""
        seen = self.model.vision_model(pixel_values=pixels)
        read = self.model.text_model(input_ids=ids, attention_mask=mask)
        images = nn.functional.normalize(self.model.visual_projection(seen.pooler_output).float(), dim=-1)
        texts = nn.functional.normalize(self.model.text_projection(read.pooler_output).float(), dim=-1)
        logits = self.model.logit_scale.clamp(max=LARGEST_SCALE).exp() * texts @ images.T
        own = torch.arange(len(logits))
        contrast = nn.functional.cross_entropy(logits, own) + nn.functional.cross_entropy(logits.T, own)
        named: torch.Tensor = self.classifiers(seen.last_hidden_state[:, 1:], codes)
        return contrast / 2 + named


def contrastive_loss(
    trainee: Trainee, pool: Pool, size: int, tokenizer: PreTrainedTokenizerFast
) -> Callable[[random.Random], torch.Tensor]:
    """Return the loss of one step: whole families with full captions, or strangers with brief ones."""
    families = len(pool.figures) // SIBLINGS

    def loss(rng: random.Random) -> torch.Tensor:
        if rng.random() < BRIEF_SHARE:
            indices = [
                family * SIBLINGS + rng.randrange(SIBLINGS)
                for family in rng.sample(range(families), min(size, families))
            ]
            texts = [caption(pool.figures[i], rng, rng.randint(*BRIEF_WORDS)) for i in indices]
        else:
            drawn = rng.sample(range(families), min(size // SIBLINGS, families))
            indices = [family * SIBLINGS + member for family in drawn for member in range(SIBLINGS)]
            texts = [caption(pool.figures[i], rng) for i in indices]
        tokens = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
        codes = torch.from_numpy(pool.codes[indices]).long()
        with autocast():
            value: torch.Tensor = trainee(
                pixel_batch(pool.pixels, indices, rng), codes, tokens["input_ids"], tokens["attention_mask"]
            )
        return value

    return loss


def train_encoder(
    folder: Path,
    settings: Settings,
    *,
    minutes: float | None = None,
    work: Path | None = None,
    cache: Path | None = None,
    report: Callable[[str], None] = print,
) -> None:
    """Train and write the model to `folder`; parameters as for `train_mllm`."""
    seed = SEEDS[settings.purpose]
    torch.manual_seed(seed)
    tokenizer = clip_tokenizer(tokenizer_texts())
    pool = load_pool(settings.purpose, settings.level, seed, settings.families, cache=cache)
    model: Any = build_clip(tokenizer, settings.width, settings.layers)
    use_fast_attention(model)
    trainee = Trainee(model)
    work = work or folder.with_name(folder.name + ".work")
    Loop(
        settings.purpose, trainee, contrastive_loss(trainee, pool, settings.batch, tokenizer),
        Budget(settings.steps, minutes), seed, settings.rate, work / "clip.pt", report=report,
        on_checkpoint=lambda: save_model(model, clip_processor(tokenizer), folder),
    ).run()  # fmt: skip
