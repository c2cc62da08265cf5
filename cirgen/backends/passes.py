"""Forward passes over single questions, of a shape that belongs to the question alone.

The same row in a batch of another shape comes out with other last bits (measured: CLIP at batch 32 against 1, no row
bit-equal), and a score that moves with its companions is no score. So every question is encoded by itself, padded to
a length that its own length decides, and runs in a batch of `ROWS` questions of like shapes, filled up by repetition.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Generic, NamedTuple, TypeVar

import torch

from cirgen.backends.loaded_model import Tensors
from cirgen.schemas import Status

ROWS = 16
"""Questions of a pass; a part of the answer, since another shape moves the last bits."""

WINDOW = 64 * ROWS
"""Questions held while those of like shape are gathered."""

Asked = TypeVar("Asked")
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


def passes(questions: Iterable[Encoded[Asked]]) -> Iterator[list[Encoded[Asked]]]:
    """Yield groups of at most `ROWS` questions of like shapes, none of them empty."""
    gathered: defaultdict[Shapes, list[Encoded[Asked]]] = defaultdict(list)
    held = 0
    for question in questions:
        alike = gathered[_shapes(question.inputs)]
        alike.append(question)
        held += 1
        if len(alike) == ROWS:
            yield gathered.pop(_shapes(question.inputs))
            held -= ROWS
        elif held >= WINDOW:
            yield from gathered.values()
            gathered.clear()
            held = 0
    yield from gathered.values()


def full_batch(questions: Sequence[Encoded[Asked]]) -> Tensors:
    """Return `ROWS` rows of every tensor; rows past the given ones repeat them."""
    rows = [questions[place % len(questions)].inputs for place in range(ROWS)]
    return {name: torch.cat([row[name] for row in rows]) for name in rows[0]}


Answer = TypeVar("Answer")


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
        message = f"out of memory with {ROWS} questions of this length; set a smaller max_pixels: {error}"
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
