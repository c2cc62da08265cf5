"""Forward passes over single questions, of a shape that belongs to the question alone.

The same row in a batch of another shape comes out with other last bits (measured: CLIP at batch 32 against 1, no row
bit-equal), and a score that moves with its companions is no score. So every question is encoded by itself, padded to
a length that its own length decides, and runs among questions of like shapes, as many as that length decides, filled
up by repetition.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Generic, NamedTuple, TypeVar

import torch

from cirgen.backends.encoding import Tensors
from cirgen.schemas import Status

MOST_ROWS = 16
"""Questions of a pass at most; a part of the answer, since another shape moves the last bits."""

TOKENS = 4096
"""Tokens of a pass at most, if it has several rows; a part of the answer, too.

Long questions keep a device busy in small company, and those about pictures of native resolution, whose shapes differ
with the pictures, find no other: rows that repeat them would be run for nothing.
"""

WINDOW = 1024
"""Questions held at most while those of like shape are gathered."""

AHEAD = 64
"""Questions that are read while the model works, beyond those that wait."""

WINDOW_BYTES = 1 << 29
"""Bytes of inputs held at most for it."""

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")
Shapes = tuple[tuple[str, tuple[int, ...]], ...]


class Encoded(NamedTuple, Generic[Asked]):
    """A question and what the model reads for it, one row of each tensor."""

    asked: Asked
    inputs: Tensors


class Failed(NamedTuple, Generic[Asked]):
    """A question that got no answer."""

    asked: Asked
    status: Status
    error: str


def answered(
    questions: Iterable[Encoded[Asked] | Failed[Asked]],
    run: Callable[[Tensors], Sequence[Answer]],
    free_memory: Callable[[], None],
) -> Iterator[tuple[Asked, Answer] | Failed[Asked]]:
    """Yield the answer to every question that could be encoded, and what could not as it is."""
    for group in passes(questions):
        if isinstance(group, Failed):
            yield group
        else:
            yield from guarded(group, run, free_memory)


def passes(questions: Iterable[Encoded[Asked] | Failed[Asked]]) -> Iterator[list[Encoded[Asked]] | Failed[Asked]]:
    """Yield groups of questions of like shapes, none of them empty; what has failed goes through.

    A group is full with the rows of its shape (`rows_of`); others come out when too many questions, or too many bytes,
    wait for company.
    """
    gathered: defaultdict[Shapes, list[Encoded[Asked]]] = defaultdict(list)
    held = held_bytes = 0
    for question in questions:
        if isinstance(question, Failed):
            yield question
            continue
        shapes, size = _shapes(question.inputs), _bytes(question.inputs)
        alike = gathered[shapes]
        alike.append(question)
        held, held_bytes = held + 1, held_bytes + size
        if len(alike) == rows_of(question.inputs):
            yield gathered.pop(shapes)
            held, held_bytes = held - len(alike), held_bytes - len(alike) * size
        elif held >= WINDOW or held_bytes >= WINDOW_BYTES:
            yield from gathered.values()
            gathered.clear()
            held = held_bytes = 0
    yield from gathered.values()


def rows_of(inputs: Tensors) -> int:
    """Return how many rows a pass over questions of this shape has: `MOST_ROWS`, or fewer of long ones."""
    return max(1, min(MOST_ROWS, TOKENS // inputs["input_ids"].shape[1]))


def full_batch(questions: Sequence[Encoded[Asked]]) -> Tensors:
    """Return every tensor with all rows of a pass; rows past the given questions repeat them."""
    every = rows_of(questions[0].inputs)
    rows = [questions[place % len(questions)].inputs for place in range(every)]
    return {name: torch.cat([row[name] for row in rows]) for name in rows[0]}


def guarded(
    questions: Sequence[Encoded[Asked]],
    run: Callable[[Tensors], Sequence[Answer]],
    free_memory: Callable[[], None],
) -> Iterator[tuple[Asked, Answer] | Failed[Asked]]:
    """Run one pass; where it fails, each question of it runs by itself, so that one fails alone, with its reason."""
    try:
        answers = run(full_batch(questions))
    except (torch.OutOfMemoryError, MemoryError) as error:
        free_memory()
        rows = rows_of(questions[0].inputs)
        message = f"out of memory with {rows} questions of this length at once; set a smaller max_pixels: {error}"
        yield from (Failed(question.asked, "oom", message) for question in questions)
    except (RuntimeError, ValueError, IndexError) as error:
        if len(questions) == 1:
            yield Failed(questions[0].asked, "engine_error", f"{type(error).__name__}: {error}")
            return
        for question in questions:
            yield from guarded([question], run, free_memory)
    else:
        yield from zip((question.asked for question in questions), answers, strict=False)


def _shapes(inputs: Tensors) -> Shapes:
    return tuple((name, tuple(value.shape)) for name, value in sorted(inputs.items()))


def _bytes(inputs: Tensors) -> int:
    return sum(value.nbytes for value in inputs.values())
