"""Trains the embedded multimodal LLM from scratch, on the CPU, on rendered figures and the first grammar alone.

Two phases. First the vision tower learns to tell the attributes, through one attention-pooling classifier an attribute
on its patch features: it gets there several times faster than through captions. Then everything is trained on packed
questions (`packing.py`), with the classifiers' loss still added at a small weight. The classifiers are thrown away.
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

from cirgen.world.training.architecture import build_mllm, mllm_processor, save_model
from cirgen.world.training.attention import use_fast_attention
from cirgen.world.training.classifiers import Classifiers
from cirgen.world.training.loop import Budget, Loop, pixel_batch
from cirgen.world.training.packing import Packed, Packer
from cirgen.world.training.pool import Pool, load_pool
from cirgen.world.training.tasks import Lesson, pair_lessons, pick_lessons
from cirgen.world.training.tokenizer import mllm_tokenizer, tokenizer_texts
from cirgen.world.vocabulary import Level

CLASSIFIER_WEIGHT = 0.3
PICK_SHARE = 0.2
"""Share of batches that hold pick questions, whose rows have five images."""


@dataclass(frozen=True)
class Settings:
    """What `cirgen world train-mllm` trains; the defaults make the shipped model."""

    level: Level = "medium"
    seed: int = 0
    families: int = 3000
    width: int = 192
    layers: tuple[int, int] = (4, 5)
    vision_steps: int = 1000
    vision_batch: int = 96
    steps: int = 2400
    batch: int = 16
    pick_batch: int = 8
    rate: float = 2e-3


class Trainee(nn.Module):
    """A LLaVA with its temporary classifiers."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.classifiers = Classifiers(model.config.vision_config.hidden_size)

    def features(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the patch features [B, patches, width] that the projector reads."""
        hidden: torch.Tensor = self.model.model.vision_tower(pixels).last_hidden_state[:, 1:]
        return hidden

    def states(self, features: torch.Tensor, packed: Packed) -> torch.Tensor:
        """Return the last states [rows, length, width]; `features` are those of all images, row by row."""
        inner = self.model.model
        embeddings = inner.language_model.embed_tokens(packed.ids)
        images = inner.multi_modal_projector(features).flatten(0, 1).to(embeddings.dtype)
        places = (packed.ids == self.model.config.image_token_id)[..., None].expand_as(embeddings)
        states: torch.Tensor = inner.language_model(
            inputs_embeds=embeddings.masked_scatter(places, images),
            attention_mask=packed.mask,
            position_ids=packed.positions,
            use_cache=False,
        ).last_hidden_state
        return states

    def answer_loss(self, features: torch.Tensor, packed: Packed) -> torch.Tensor:
        """Return the weighted mean cross-entropy of the answers' tokens."""
        asked = packed.labels >= 0
        logits = self.model.lm_head(self.states(features, packed)[asked]).float()
        losses = nn.functional.cross_entropy(logits, packed.labels[asked], reduction="none")
        weights = packed.weights[asked]
        return (losses * weights).sum() / weights.sum()


class Lessons:
    """Draws batches of packed questions from a pool."""

    def __init__(self, pool: Pool, settings: Settings, tokenizer: PreTrainedTokenizerFast) -> None:
        self.pool = pool
        self.settings = settings
        self.packer = Packer(tokenizer)

    def row(self, indices: Sequence[int], rng: random.Random) -> list[Lesson]:
        """Return the questions about a reference and a target, or a reference and four candidates."""
        reference, *others = (self.pool.figures[index] for index in indices)
        if len(others) == 1:
            return pair_lessons(reference, others[0], rng, self.settings.level)
        return pick_lessons(reference, others, rng)

    def images(self, pick: bool, rng: random.Random) -> list[int]:
        """Draw a reference and a sibling; to `pick`, candidates: siblings, often the reference itself, strangers."""
        reference = rng.randrange(len(self.pool.figures))
        siblings = self.pool.siblings(reference)
        if not pick:
            return [reference, rng.choice(siblings)]
        near = [*rng.sample(siblings, rng.randint(1, 3)), *([reference] if rng.random() < 0.6 else [])]
        random_ones = [rng.randrange(len(self.pool.figures)) for _ in range(4)]
        candidates = [*near, *random_ones][:4]
        rng.shuffle(candidates)
        return [reference, *candidates]

    def batch(self, rng: random.Random) -> tuple[list[int], Packed]:
        """Return the images of all rows, row by row, and the packed questions."""
        pick = rng.random() < PICK_SHARE
        rows = [self.images(pick, rng) for _ in range(self.settings.pick_batch if pick else self.settings.batch)]
        packed = self.packer.pack(len(rows[0]), [self.row(row, rng) for row in rows])
        return [index for row in rows for index in row], packed


def vision_loss(trainee: Trainee, pool: Pool, size: int) -> Callable[[random.Random], torch.Tensor]:
    """Return the loss of the first phase."""

    def loss(rng: random.Random) -> torch.Tensor:
        indices = [rng.randrange(len(pool.figures)) for _ in range(size)]
        with torch.autocast("cpu", torch.bfloat16):
            features = trainee.features(pixel_batch(pool.pixels, indices, rng))
            return trainee.classifiers(features, torch.from_numpy(pool.codes[indices]).long())  # type: ignore[no-any-return]

    return loss


def joint_loss(trainee: Trainee, lessons: Lessons) -> Callable[[random.Random], torch.Tensor]:
    """Return the loss of the second phase."""
    pool = lessons.pool

    def loss(rng: random.Random) -> torch.Tensor:
        indices, packed = lessons.batch(rng)
        with torch.autocast("cpu", torch.bfloat16):
            features = trainee.features(pixel_batch(pool.pixels, indices, rng))
            codes = torch.from_numpy(pool.codes[indices]).long()
            named: torch.Tensor = trainee.classifiers(features, codes)
            return trainee.answer_loss(features, packed) + CLASSIFIER_WEIGHT * named

    return loss


def train_mllm(
    folder: Path,
    settings: Settings,
    *,
    minutes: float | None = None,
    work: Path | None = None,
    cache: Path | None = None,
    report: Callable[[str], None] = print,
) -> None:
    """Train and write the model to `folder`; a run that finds its checkpoints in `work` goes on from them.

    Args:
        folder: where the model goes; it is written at every checkpoint too.
        settings: what to train.
        minutes: wall clock of the second phase instead of `settings.steps`.
        work: folder of the checkpoints, by default `folder` with `.work` after its name.
        cache: folder of the rendered pool.
        report: takes progress lines.
    """
    work = work or folder.with_name(folder.name + ".work")
    torch.manual_seed(settings.seed)
    tokenizer = mllm_tokenizer(tokenizer_texts())
    pool = load_pool("mllm", settings.level, settings.seed, settings.families, cache=cache)
    model: Any = build_mllm(tokenizer, settings.width, settings.layers)
    use_fast_attention(model)
    trainee = Trainee(model)
    first = Loop(
        "vision", trainee, vision_loss(trainee, pool, settings.vision_batch), Budget(settings.vision_steps),
        settings.seed, settings.rate, work / "vision.pt", report=report,
    )  # fmt: skip
    first.run()
    lessons = Lessons(pool, settings, tokenizer)
    second = Loop(
        "questions", trainee, joint_loss(trainee, lessons), Budget(settings.steps, minutes),
        settings.seed, settings.rate, work / "questions.pt", report=report,
        on_checkpoint=lambda: save_model(model, mllm_processor(tokenizer), folder),
    )  # fmt: skip
    second.run()
