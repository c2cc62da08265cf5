"""One forward pass per question, of a shape that belongs to the question alone.

The same row in a batch of another shape comes out with other last bits (measured: CLIP at batch 32 against 1, no row
bit-equal), and a score that moves with its companions is no score. So every question is encoded by itself, padded to
a length that its own length decides, and runs in a batch of `ROWS` questions of like shapes, filled up by repetition.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from PIL import Image

from cirgen.backends.base import Choice, ImageReader, Request
from cirgen.backends.loaded_model import LoadedModel, Tensors
from cirgen.backends.options import option_tokens, padded, shares

ROWS = 16
"""Questions of a pass; a part of the answer, since another shape moves the last bits."""

LENGTH_STEP = 32
"""Prompts are padded to a multiple of so many tokens."""

WINDOW = 64 * ROWS
"""Questions held while those of like shape are gathered."""

Shapes = tuple[tuple[str, tuple[int, ...]], ...]


class _Question(NamedTuple):
    request: Request
    inputs: Tensors


class Chooser:
    """Asks one model for its belief among the answers of questions."""

    def __init__(self, loaded: LoadedModel, options: Sequence[str]) -> None:
        self._loaded = loaded
        self._tokens = option_tokens(loaded.processor.tokenizer, options)

    def run(self, requests: Iterable[Request], images: ImageReader) -> Iterator[Choice]:
        """Yield one choice per request."""
        gathered: defaultdict[Shapes, list[_Question]] = defaultdict(list)
        held = 0
        for request in requests:
            pictures = self._loaded.open(request, images)
            if isinstance(pictures, OSError):
                yield Choice(request, "image_error", str(pictures), (), 0.0)
                continue
            question = _Question(request, self._encode(request, pictures))
            alike = gathered[_shapes(question.inputs)]
            alike.append(question)
            held += 1
            if len(alike) == ROWS:
                yield from self._pass(alike)
                held -= ROWS
                alike.clear()
            if held >= WINDOW:
                yield from self._all(gathered)
                held = 0
        yield from self._all(gathered)

    def _all(self, gathered: defaultdict[Shapes, list[_Question]]) -> Iterator[Choice]:
        for alike in gathered.values():
            if alike:
                yield from self._pass(alike)
        gathered.clear()

    def _encode(self, request: Request, pictures: list[Image.Image]) -> Tensors:
        inputs = self._loaded.encode([request], [pictures])
        length = inputs["input_ids"].shape[1]
        return padded(inputs, -(-length // LENGTH_STEP) * LENGTH_STEP, self._loaded.pad_token)

    def _pass(self, questions: Sequence[_Question]) -> Iterator[Choice]:
        requests = [question.request for question in questions]
        try:
            found, masses = shares(self._logits([question.inputs for question in questions]), self._tokens)
        except (torch.OutOfMemoryError, MemoryError) as error:
            self._loaded.free_memory()
            message = f"out of memory with {ROWS} questions of this length; set a smaller max_pixels: {error}"
            yield from (Choice(request, "oom", message, (), 0.0) for request in requests)
        except (RuntimeError, ValueError, IndexError) as error:
            message = f"{type(error).__name__}: {error}"
            yield from (Choice(request, "engine_error", message, (), 0.0) for request in requests)
        else:
            for request, belief, mass in zip(requests, found, masses, strict=False):
                yield Choice(request, "ok", "", belief, mass)

    def _logits(self, rows: Sequence[Tensors]) -> torch.Tensor:
        """Return [ROWS, vocabulary] logits of the first token of the answers; rows past the given ones repeat them."""
        full = [rows[place % len(rows)] for place in range(ROWS)]
        inputs = {name: torch.cat([row[name] for row in full]) for name in full[0]}
        output = self._loaded.generate(inputs, 1, return_dict_in_generate=True, output_logits=True)
        logits: torch.Tensor = output.logits[0].float().cpu()
        return logits


def _shapes(inputs: Tensors) -> Shapes:
    return tuple((name, tuple(value.shape)) for name, value in sorted(inputs.items()))
