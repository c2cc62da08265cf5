"""How probable a model holds given answers: one forward pass over question and answer, nothing generated."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch

from cirgen.backends.ahead import Ahead
from cirgen.backends.base import Likelihood, Request
from cirgen.backends.encoding import Tensors, Unreadable
from cirgen.backends.loaded_model import LoadedModel
from cirgen.backends.passes import AHEAD, Encoded, Failed, answered

LENGTH_STEP = 16
"""Answers are padded to a multiple of so many tokens."""

ANSWER = "answer"
"""The answer's tokens beside the model's inputs: -1 where the answer has ended, -2 after that."""
_END, _PADDING = -1, -2


class _Asked(NamedTuple):
    request: Request
    tokens: int
    """Of the answer, its end included."""
    read: int = 0
    """Tokens of question and answer."""


class Reader:
    """Reads answers with the eyes of one model.

    Rows are padded on the right, where no token before it sees the padding: the positions are those of the row alone,
    in every architecture.
    """

    def __init__(self, loaded: LoadedModel) -> None:
        self._loaded = loaded

    def run(self, requests: Iterable[tuple[Request, str]], ahead: Ahead) -> Iterator[Likelihood]:
        """Yield one likelihood per request and text."""
        for found in answered(self._encoded(requests, ahead), self._read, self._loaded.free_memory):
            if isinstance(found, Failed):
                yield Likelihood(found.asked.request, found.status, found.error)
            else:
                asked, value = found
                yield Likelihood(asked.request, "ok", "", value, asked.tokens, asked.read)

    def _encoded(
        self, requests: Iterable[tuple[Request, str]], ahead: Ahead
    ) -> Iterator[Encoded[_Asked] | Failed[_Asked]]:
        tokenizer = self._loaded.processor.tokenizer
        for (request, text), inputs in ahead.read(requests, lambda pair: pair[0], AHEAD):
            answer = tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
            asked = _Asked(request, len(answer) + 1)
            if isinstance(inputs, Unreadable):
                yield Failed(asked, *inputs)
            else:
                read = inputs["input_ids"].shape[1] + len(answer)
                yield Encoded(asked._replace(read=read), self._with_answer(inputs, answer))

    def _with_answer(self, inputs: Tensors, answer: list[int]) -> Tensors:
        """Append an answer to the question, filled up on the right."""
        length = -(-(len(answer) + 1) // LENGTH_STEP) * LENGTH_STEP
        padding = length - len(answer) - 1
        question = inputs["input_ids"].shape
        appended = {
            "input_ids": [*answer, *[self._loaded.pad_token] * (padding + 1)],
            "attention_mask": [1] * len(answer) + [0] * (padding + 1),
        }
        longer = {
            name: torch.cat([value, torch.tensor([appended.get(name, [0] * length)], dtype=value.dtype)], dim=1)
            if value.shape == question
            else value
            for name, value in inputs.items()
        }
        return {**longer, ANSWER: torch.tensor([[*answer, _END, *[_PADDING] * padding]])}

    def _read(self, inputs: Tensors) -> list[float]:
        """Return the log-likelihood of every row's answer."""
        answer = inputs.pop(ANSWER)
        logits = self._loaded.forward(inputs, answer.shape[1] + 1)[:, :-1]
        whole = [self._log_likelihood(*row) for row in zip(logits, answer, strict=True)]
        if not all(map(math.isfinite, whole)):
            raise ValueError("a likelihood is no number; try dtype float32")
        return whole

    def _log_likelihood(self, logits: torch.Tensor, answer: torch.Tensor) -> float:
        """Return that of one answer [n], given logits [n, vocabulary]: in double precision a row is large enough."""
        chances = logits.double().log_softmax(dim=-1)
        told = chances.gather(1, answer.clamp(min=0)[:, None])[:, 0]
        ends = chances[:, self._loaded.stop_tokens].logsumexp(dim=-1)
        return float(torch.where(answer == _END, ends, torch.where(answer == _PADDING, 0.0, told)).sum())
