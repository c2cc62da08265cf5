"""Trains a second multimodal LLM, which judges what the first one writes: another seed, other figures, other lessons.

It goes through the phases of `mllm.py`, with one more after the vision phase: claims about single images. There the
words of a text learn to find their part of an image, which everything later rests on.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from cirgen.world.training.checks import image_lessons, judge_lessons
from cirgen.world.training.mllm import Lessons, Settings
from cirgen.world.training.packing import Packed
from cirgen.world.training.tasks import Lesson, pick_lessons

SETTINGS = Settings(seed=1, purpose="second-mllm", image_steps=800, compare_steps=400, near_steps=600, steps=2000)

SHARES = {"image": 0.3, "pair": 0.5, "pick": 0.2}
"""Of batches, by what their rows are about."""

IMAGE_BATCH = 32
"""Rows of a batch about single images."""


class JudgeLessons(Lessons):
    """Draws batches of what a judge is asked."""

    def row(self, indices: Sequence[int], rng: random.Random) -> list[Lesson]:
        """Return the questions about an image, a pair, or a reference and four candidates."""
        first, *others = (self.pool.figures[index] for index in indices)
        if not others:
            return image_lessons(first, rng, self.settings.level)
        if len(others) == 1:
            return judge_lessons(first, others[0], rng, self.settings.level)
        return pick_lessons(first, others, rng)

    def batch(self, rng: random.Random) -> tuple[list[int], Packed]:
        """Return the images of all rows, row by row, and the packed questions."""
        kind = "image" if self.part == "images" else rng.choices(list(SHARES), list(SHARES.values()))[0]
        if kind == "image":
            return self.packed([[rng.randrange(len(self.pool.figures))] for _ in range(IMAGE_BATCH)], rng)
        size = self.settings.pick_batch if kind == "pick" else self.settings.batch
        return self.packed([self.images(kind == "pick", rng) for _ in range(size)], rng)
