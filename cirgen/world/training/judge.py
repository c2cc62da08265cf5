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
from cirgen.world.training.tasks import Lesson

SETTINGS = Settings(seed=1, purpose="second-mllm", image_steps=260, compare_steps=300, near_steps=350, steps=920)

IMAGE_SHARE = 0.08
"""Share of batches whose rows are about single images; the others are about pairs."""

IMAGE_BATCH = 32
"""Rows of a batch about single images."""


class JudgeLessons(Lessons):
    """Draws batches of what a judge is asked."""

    def row(self, indices: Sequence[int], rng: random.Random) -> list[Lesson]:
        """Return the questions about an image or a pair."""
        first, *others = (self.pool.figures[index] for index in indices)
        if not others:
            return image_lessons(first, rng, self.settings.level)
        return judge_lessons(first, others[0], rng, self.settings.level)

    def batch(self, rng: random.Random) -> tuple[list[int], Packed]:
        """Return the images of all rows, row by row, and the packed questions."""
        if self.part == "images" or rng.random() < IMAGE_SHARE:
            return self.packed([[rng.randrange(len(self.pool.figures))] for _ in range(IMAGE_BATCH)], rng)
        return self.packed([self.images(pick=False, rng=rng) for _ in range(self.settings.batch)], rng)
