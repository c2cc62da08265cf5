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

from cirgen.backends.base import ImageReader, Request
from cirgen.backends.loaded_model import LoadedModel, Tensors
from cirgen.schemas import Status

ROWS = 16
"""Questions of a pass; a part of the answer, since another shape moves the last bits."""

WINDOW = 64 * ROWS
"""Questions held while those of like shape are gathered."""

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


def encoded(loaded: LoadedModel, request: Request, images: ImageReader, asked: Asked) -> Tensors | Failed[Asked]:
    """Return what the model reads for one request, or why it cannot be asked."""
    pictures = loaded.open(request, images)
    if isinstance(pictures, OSError):
        return Failed(asked, "image_error", str(pictures))
    try:
        return loaded.encode([request], [pictures])
    except (RuntimeError, ValueError, IndexError) as error:  # words that the processor takes for an image
        return Failed(asked, "parse_error", f"the prompt cannot be read: {error}")


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
    """Yield groups of at most `ROWS` questions of like shapes, none of them empty; what has failed goes through."""
    gathered: defaultdict[Shapes, list[Encoded[Asked]]] = defaultdict(list)
    held = 0
    for question in questions:
        if isinstance(question, Failed):
            yield question
            continue
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
