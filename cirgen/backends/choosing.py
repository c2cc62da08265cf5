"""A model's belief among the answers to choose from, by the first token that it would answer with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from cirgen.backends.ahead import Ahead
from cirgen.backends.base import Choice, Request
from cirgen.backends.encoding import Tensors, Unreadable
from cirgen.backends.loaded_model import LoadedModel
from cirgen.backends.options import option_tokens, padded, shares
from cirgen.backends.passes import AHEAD, Encoded, Failed, answered

LENGTH_STEP = 32
"""Prompts are padded to a multiple of so many tokens."""

Belief = tuple[tuple[float, ...], float]


class _Asked(NamedTuple):
    request: Request
    tokens: int
    """Of the prompt."""


class Chooser:
    """Asks one model for its belief among the answers of questions."""

    def __init__(self, loaded: LoadedModel, options: Sequence[str]) -> None:
        self._loaded = loaded
        self._tokens = option_tokens(loaded.processor.tokenizer, options)

    def run(self, requests: Iterable[Request], ahead: Ahead) -> Iterator[Choice]:
        """Yield one choice per request."""
        for found in answered(self._encoded(requests, ahead), self._beliefs, self._loaded.free_memory):
            if isinstance(found, Failed):
                yield Choice(found.asked.request, found.status, found.error)
            else:
                asked, (belief, mass) = found
                yield Choice(asked.request, "ok", "", belief, mass, asked.tokens, 1)

    def _encoded(self, requests: Iterable[Request], ahead: Ahead) -> Iterator[Encoded[_Asked] | Failed[_Asked]]:
        for request, inputs in ahead.read(requests, lambda request: request, AHEAD):
            if isinstance(inputs, Unreadable):
                yield Failed(_Asked(request, 0), *inputs)
                continue
            tokens = inputs["input_ids"].shape[1]
            length = -(-tokens // LENGTH_STEP) * LENGTH_STEP
            yield Encoded(_Asked(request, tokens), padded(inputs, length, self._loaded.pad_token))

    def _beliefs(self, inputs: Tensors) -> list[Belief]:
        output = self._loaded.generate(inputs, 1, return_dict_in_generate=True, output_logits=True)
        logits = output.logits[0].float().cpu()
        if not logits.isfinite().any(dim=1).all() or logits.isnan().any():
            raise ValueError("the model's logits are no numbers; try dtype float32")
        found, masses = shares(logits, self._tokens)
        return list(zip(found, masses, strict=True))
