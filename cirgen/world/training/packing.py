"""Packs several questions about the same images into one row, so that the images are read once.

A row is a prefix (`<s><user>` and the images) and segments (question, `<assistant>`, answer, `</s>`). A segment sees
the images it asks about and itself, at the positions it would have alone: every answer is predicted exactly as from
the chat template's own sequence (a test compares the two), at less than half the cost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from transformers import PreTrainedTokenizerFast

from cirgen.prompts import IMAGE_MARK
from cirgen.world.training.architecture import PATCHES
from cirgen.world.training.probes import Kind, Probed
from cirgen.world.training.tasks import Lesson
from cirgen.world.training.tokenizer import ASSISTANT, BOS, EOS, IMAGE, SPECIAL_TOKENS, USER


class Packed(NamedTuple):
    """A batch of rows of `length` tokens."""

    ids: torch.Tensor
    """int64 [rows, length]."""
    positions: torch.Tensor
    """int64 [rows, length]."""
    mask: torch.Tensor
    """float32 [rows, 1, length, length], added to the attention's scores: 0 where seen."""
    labels: torch.Tensor
    """int64 [rows, length]: the token to predict at this place, -100 for none."""
    weights: torch.Tensor
    """float32 [rows, length] of the labels."""
    probes: Mapping[Kind, Probed]


class _Row(NamedTuple):
    ids: list[int]
    positions: list[int]
    segments: list[int]
    limits: list[int]
    labels: list[int]
    weights: list[float]
    questions: list[tuple[Lesson, int, int]]
    """Lessons with the first place of their question and the place after its last."""


class Packer:
    """Turns lessons into token rows with one tokenizer."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self.tokenizer = tokenizer

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False) if text else []
        return ids

    def _row(self, images: int, lessons: Sequence[Lesson]) -> _Row:
        prefix = self._prefix(images, lessons)
        length = len(prefix)
        row = _Row(
            prefix,
            [*range(len(prefix))],
            [0] * len(prefix),
            [0] * len(prefix),
            [-100] * len(prefix),
            [0.0] * len(prefix),
            [],
        )
        for number, lesson in enumerate(lessons, start=1):
            self._append(row, number, lesson, length - (images - lesson.images) * PATCHES)
        return row

    def _prefix(self, images: int, lessons: Sequence[Lesson]) -> list[int]:
        """Return the start of a row: all images, each after the words that the prompt puts before it."""
        leads = {tuple(lesson.question.split(IMAGE_MARK)[:-1]) for lesson in lessons} or {()}
        if len(leads) > 1:
            raise ValueError(f"the questions of a row place its images differently: {sorted(leads)}")
        ids = [SPECIAL_TOKENS.index(BOS), SPECIAL_TOKENS.index(USER)]
        for lead in leads.pop() or [""] * images:
            ids += [*self._encode(lead.strip()), *[SPECIAL_TOKENS.index(IMAGE)] * PATCHES]
        return ids

    def _append(self, row: _Row, number: int, lesson: Lesson, start: int) -> None:
        """Add a question that sees the first `start` places of the row."""
        words = lesson.question.split(IMAGE_MARK)[-1].strip()
        question = [*self._encode(words), SPECIAL_TOKENS.index(ASSISTANT)]
        answer = [*self._encode(lesson.answer), SPECIAL_TOKENS.index(EOS)]
        inputs = question + answer[:-1]
        asked = len(question) - 1
        row.questions.append((lesson, len(row.ids), len(row.ids) + len(question)))
        row.ids.extend(inputs)
        row.positions.extend(range(start, start + len(inputs)))
        row.segments.extend([number] * len(inputs))
        row.limits.extend([start] * len(inputs))
        row.labels.extend([-100] * asked + answer)
        row.weights.extend([0.0] * asked + [lesson.weight] * len(answer))

    def pack(self, images: int, lessons: Sequence[Sequence[Lesson]]) -> Packed:
        """Pack one row per sequence of lessons, all about `images` images a row, padded on the right."""
        rows = [self._row(images, row) for row in lessons]
        length = max(len(row.ids) for row in rows)

        def tensor(name: str, fill: float, dtype: torch.dtype) -> torch.Tensor:
            lists = [[*getattr(row, name), *[fill] * (length - len(row.ids))] for row in rows]
            return torch.tensor(lists, dtype=dtype)

        segments, limits = tensor("segments", -1, torch.int64), tensor("limits", 0, torch.int64)
        return Packed(
            tensor("ids", self.tokenizer.pad_token_id, torch.int64),
            tensor("positions", 0, torch.int64),
            attention_mask(segments, limits),
            tensor("labels", -100, torch.int64),
            tensor("weights", 0.0, torch.float32),
            Probed.collect((place, *question) for place, row in enumerate(rows) for question in row.questions),
        )


def attention_mask(segments: torch.Tensor, limits: torch.Tensor) -> torch.Tensor:
    """Return the additive mask [rows, 1, length, length]; of the prefix, segment 0, a token sees `limits` tokens."""
    length = segments.shape[1]
    places = torch.arange(length)
    earlier = places[None, :] <= places[:, None]
    same = segments[:, :, None] == segments[:, None, :]
    prefix = (segments[:, None, :] == 0) & (places[None, None, :] < limits[:, :, None])
    seen = earlier[None] & (same | prefix)
    return torch.where(seen, 0.0, torch.finfo(torch.float32).min)[:, None]
