"""Trains the embedded multimodal LLM from scratch, on the CPU, on rendered figures and the first grammar alone.

Four phases, each with a cosine of its own.
1. The vision tower learns to tell the attributes, through an attention-pooling classifier an attribute on its patch
   features: it gets there several times faster than through captions.
2. The language model learns to compare: from its middle states at the second image's patches, classifiers tell the
   values of the first image and which attributes differ. Without this phase captions came right and the change between
   two images did not: 900 steps of questions left it at 2 % (measured).
3. Everything is trained on packed questions (`packing.py`), the classifiers' losses still added at a small weight:
   first mostly about pairs of one edit, until the model names what changed,
4. then about all siblings, until it names every change of several.
All classifiers are thrown away; what is saved is a stock LLaVA.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import nn
from transformers import PreTrainedTokenizerFast

from cirgen.world.edits import edits
from cirgen.world.training.architecture import PATCHES, build_mllm, mllm_processor, save_model
from cirgen.world.training.attention import use_fast_attention
from cirgen.world.training.classifiers import VALUES, Classifiers
from cirgen.world.training.loop import Budget, Loop, pixel_batch
from cirgen.world.training.packing import Packed, Packer
from cirgen.world.training.pool import Pool, load_pool
from cirgen.world.training.precision import autocast
from cirgen.world.training.probes import CLASSES as PROBE_CLASSES
from cirgen.world.training.probes import Kind as ProbeKind
from cirgen.world.training.tasks import Lesson, pair_lessons, pick_lessons
from cirgen.world.training.tokenizer import mllm_tokenizer, tokenizer_texts
from cirgen.world.vocabulary import Level

Loss = Callable[[random.Random], torch.Tensor]
Part = Literal["all", "near", "images"]

CLASSIFIER_WEIGHT = 0.5
"""Weight of the classifiers' losses in the last phase."""

COMPARE_SHARE = 0.15
"""Share of steps of the last phases that compare images without a question: cheap, and every answer rests on it."""

PICK_SHARE = 0.35
"""Share of batches that hold pick questions, whose rows have five images."""


@dataclass(frozen=True)
class Settings:
    """What `cirgen world train-mllm` trains."""

    level: Level = "medium"
    seed: int = 0
    purpose: str = "mllm"
    """Whose figures are shown (`families.TRAINING`)."""
    families: int = 3000
    width: int = 192
    layers: tuple[int, int] = (4, 5)
    vision_steps: int = 500
    vision_batch: int = 96
    image_steps: int = 0
    """Of questions about single images, where the lessons have such."""
    compare_steps: int = 400
    compare_batch: int = 64
    near_steps: int = 400
    steps: int = 1000
    batch: int = 16
    pick_batch: int = 8
    rate: float = 2e-3


def _pool_of_figures(settings: Settings, cache: Path | None) -> Pool:
    return load_pool(settings.purpose, settings.level, settings.seed, settings.families, cache=cache)


class Trainee(nn.Module):
    """A LLaVA with its temporary classifiers.

    Args:
        model: the LLaVA.
        values: number of values of every attribute of the world, hidden ones included.
        probes: number of classes of every classifier of a probe.
    """

    def __init__(
        self,
        model: Any,
        values: Sequence[int] = VALUES,
        probes: Mapping[ProbeKind, tuple[int, ...]] = PROBE_CLASSES,
    ) -> None:
        super().__init__()
        width = model.config.text_config.hidden_size
        self.model = model
        self.classifiers = Classifiers(model.config.vision_config.hidden_size, values)
        self.differences = Classifiers(width, (2,) * len(values))
        self.fetched = Classifiers(width, values)
        self.probes = nn.ModuleDict(
            {kind: Classifiers(width, classes, rare=kind == "claims") for kind, classes in probes.items()}
        )

    def features(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the patch features [B, patches, width] that the projector reads."""
        hidden: torch.Tensor = self.model.model.vision_tower(pixels).last_hidden_state[:, 1:]
        return hidden

    def states(self, features: torch.Tensor, packed: Packed) -> tuple[torch.Tensor, ...]:
        """Return the states [rows, length, width] before and after every layer; `features` are those of all images."""
        inner = self.model.model
        embeddings = inner.language_model.embed_tokens(packed.ids)
        images = inner.multi_modal_projector(features).flatten(0, 1).to(embeddings.dtype)
        places = (packed.ids == self.model.config.image_token_id)[..., None].expand_as(embeddings)
        states: tuple[torch.Tensor, ...] = inner.language_model(
            inputs_embeds=embeddings.masked_scatter(places, images),
            attention_mask=packed.mask,
            position_ids=packed.positions,
            use_cache=False,
            output_hidden_states=True,
        ).hidden_states
        return states

    def loss(self, pixels: torch.Tensor, codes: torch.Tensor, packed: Packed) -> torch.Tensor:
        """Return the weighted mean cross-entropy of the answers' tokens, plus the classifiers' share.

        Args:
            pixels: [images, 3, side, side], row by row.
            codes: int64 [images, attributes].
            packed: the questions of all rows.
        """
        features = self.features(pixels)
        states = self.states(features, packed)
        asked = packed.labels >= 0
        logits = self.model.lm_head(states[-1][asked]).float()
        losses = nn.functional.cross_entropy(logits, packed.labels[asked], reduction="none")
        weights = packed.weights[asked]
        told: torch.Tensor = self.classifiers(features, codes)
        compared = self.comparison_loss(states[len(states) // 2], codes, packed) if len(codes) > len(packed.ids) else 0
        probed = self.probe_loss(states, packed)
        return (losses * weights).sum() / weights.sum() + CLASSIFIER_WEIGHT * (told + compared + probed)

    def probe_loss(self, states: Sequence[torch.Tensor], packed: Packed) -> torch.Tensor:
        """Return the sum over kinds of the losses of `probes.py`, from the states at the questions' words.

        What the images show must have reached the words by the middle; what follows from it, by the last layer.
        """
        losses = [
            self.probes[kind](
                states[len(states) // 2 if kind == "shown" else -2][probed.rows, probed.places],
                probed.codes,
                probed.words,
            )
            for kind, probed in packed.probes.items()
        ]
        return torch.stack(losses).sum() if losses else states[0].new_zeros(())

    def comparison_loss(self, states: torch.Tensor, codes: torch.Tensor, packed: Packed) -> torch.Tensor:
        """Compare every later image of a row with its first, from the states of the later one's patches.

        One classifier tells the values of the first image, which the patches must fetch, one which of them differ.
        """
        rows = len(packed.ids)
        images = len(codes) // rows
        seen = states[packed.ids == self.model.config.image_token_id]
        patches = seen.reshape(rows, images, PATCHES, -1)[:, 1:].flatten(0, 1)
        by_row = codes.reshape(rows, images, -1)
        first = by_row[:, :1].expand(-1, images - 1, -1).flatten(0, 1)
        differ = (by_row[:, 1:].flatten(0, 1) != first).long()
        loss: torch.Tensor = self.differences(patches, differ) + self.fetched(patches, first)
        return loss

    def middle_loss(self, pixels: torch.Tensor, codes: torch.Tensor, packed: Packed) -> torch.Tensor:
        """Return the classifiers' losses alone; `packed` are rows without a question."""
        features = self.features(pixels)
        states = self.states(features, packed)
        told: torch.Tensor = self.classifiers(features, codes)
        return told + self.comparison_loss(states[len(states) // 2], codes, packed)


class Lessons:
    """Draws batches of packed questions from a pool.

    Args:
        pool: of figures.
        settings: of the training.
        tokenizer: of the model.
        part: of the course: `all`; `near`, mostly about pairs of a single edit; `images`, about single images alone,
            which a course may not have.
    """

    def __init__(self, pool: Pool, settings: Settings, tokenizer: PreTrainedTokenizerFast, part: Part = "all") -> None:
        self.part = part
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
            tried = rng.sample(siblings, 2 if self.part == "near" else 1)
            return [reference, min(tried, key=lambda other: self._edits(reference, other))]
        near = [*rng.sample(siblings, rng.randint(1, 3)), *([reference] if rng.random() < 0.6 else [])]
        random_ones = [rng.randrange(len(self.pool.figures)) for _ in range(4)]
        candidates = [*near, *random_ones][:4]
        rng.shuffle(candidates)
        return [reference, *candidates]

    def _edits(self, one: int, other: int) -> int:
        return len(edits(self.pool.figures[one], self.pool.figures[other]))

    def batch(self, rng: random.Random) -> tuple[list[int], Packed]:
        """Return the images of all rows, row by row, and the packed questions."""
        pick = rng.random() < PICK_SHARE
        return self.packed(
            [self.images(pick, rng) for _ in range(self.settings.pick_batch if pick else self.settings.batch)], rng
        )

    def packed(self, rows: list[list[int]], rng: random.Random) -> tuple[list[int], Packed]:
        """Return the images of rows, and the packed questions about them."""
        packed = self.packer.pack(len(rows[0]), [self.row(row, rng) for row in rows])
        return [index for row in rows for index in row], packed


class School(NamedTuple):
    """Whose world is taught: its pictures and its words; figures unless told otherwise."""

    values: Sequence[int] = VALUES
    probes: Mapping[ProbeKind, tuple[int, ...]] = PROBE_CLASSES
    pool: Callable[[Settings, Path | None], Pool] = _pool_of_figures
    """Takes the folder of the cache."""
    texts: Callable[[], list[str]] = tokenizer_texts
    """For the tokenizer: they hold every word."""
    course: type[Lessons] = Lessons


def vision_loss(trainee: Trainee, pool: Pool, size: int) -> Loss:
    """Return the loss of the first phase."""

    def loss(rng: random.Random) -> torch.Tensor:
        indices = [rng.randrange(len(pool.figures)) for _ in range(size)]
        with autocast():
            features = trainee.features(pixel_batch(pool.pixels, indices, rng))
            return trainee.classifiers(features, torch.from_numpy(pool.codes[indices]).long())  # type: ignore[no-any-return]

    return loss


def comparing_loss(trainee: Trainee, lessons: Lessons, size: int) -> Loss:
    """Return the loss of the second phase: pairs of images without a question."""
    pool = lessons.pool

    def loss(rng: random.Random) -> torch.Tensor:
        indices = [index for _ in range(size) for index in lessons.images(pick=False, rng=rng)]
        packed = lessons.packer.pack(2, [[]] * size)
        codes = torch.from_numpy(pool.codes[indices]).long()
        with autocast():
            return trainee.middle_loss(pixel_batch(pool.pixels, indices, rng), codes, packed)

    return loss


def joint_loss(trainee: Trainee, lessons: Lessons) -> Loss:
    """Return the loss of the last two phases."""
    pool = lessons.pool
    compare = comparing_loss(trainee, lessons, lessons.settings.compare_batch)

    def loss(rng: random.Random) -> torch.Tensor:
        if lessons.part != "images" and rng.random() < COMPARE_SHARE:
            return compare(rng)
        indices, packed = lessons.batch(rng)
        codes = torch.from_numpy(pool.codes[indices]).long()
        with autocast():
            return trainee.loss(pixel_batch(pool.pixels, indices, rng), codes, packed)

    return loss


def train_mllm(
    folder: Path,
    settings: Settings,
    *,
    start: Path | None = None,
    course: type[Lessons] | None = None,
    school: School | None = None,
    minutes: float | None = None,
    work: Path | None = None,
    cache: Path | None = None,
    report: Callable[[str], None] = print,
) -> None:
    """Train and write the model to `folder`; a run that finds its checkpoints in `work` goes on from them.

    Args:
        folder: where the model goes; it is written at every checkpoint of the last phase too.
        settings: what to train.
        start: folder of a trained model to begin the last phase from, instead of the earlier phases.
        course: what is asked; by default what a generator needs.
        school: the world that is taught.
        minutes: wall clock of the last phase instead of `settings.steps`.
        work: folder of the checkpoints, by default `folder` with `.work` after its name.
        cache: folder of the rendered pool.
        report: takes progress lines.
    """
    torch.manual_seed(settings.seed)
    school = school or School()
    model, tokenizer = _load(start) if start else _build(settings, school)
    pool = school.pool(settings, cache)
    use_fast_attention(model)
    trainee = Trainee(model, school.values, school.probes)
    made = course or school.course
    lessons, near = made(pool, settings, tokenizer), made(pool, settings, tokenizer, "near")

    def run(name: str, loss: Loss, budget: Budget, keep: Callable[[], None] | None = None) -> None:
        checkpoint = (work or folder.with_name(folder.name + ".work")) / f"{name}.pt"
        loop = Loop(
            name, trainee, loss, budget, settings.seed, settings.rate, checkpoint, on_checkpoint=keep, report=report
        )
        loop.run()

    if not start:
        run("vision", vision_loss(trainee, pool, settings.vision_batch), Budget(settings.vision_steps))
        if settings.image_steps:
            images = made(pool, settings, tokenizer, "images")
            run("images", joint_loss(trainee, images), Budget(settings.image_steps))
        run("comparing", comparing_loss(trainee, near, settings.compare_batch), Budget(settings.compare_steps))
        run("near-pairs", joint_loss(trainee, near), Budget(settings.near_steps))
    run(
        "questions",
        joint_loss(trainee, lessons),
        Budget(settings.steps, minutes),
        lambda: save_model(model, mllm_processor(tokenizer), folder),
    )


def _build(settings: Settings, school: School) -> tuple[Any, PreTrainedTokenizerFast]:
    tokenizer = mllm_tokenizer(school.texts())
    return build_mllm(tokenizer, settings.width, settings.layers), tokenizer


def _load(folder: Path) -> tuple[Any, PreTrainedTokenizerFast]:
    from transformers import AutoTokenizer, LlavaForConditionalGeneration

    model: Any = LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    return model, AutoTokenizer.from_pretrained(folder)
