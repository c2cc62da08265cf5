"""Answers every request that a supply hands out, whatever goes wrong with some of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from cirgen.backends.base import Result
from cirgen.backends.decoding import Answer, Decoder, decoder_for
from cirgen.backends.limits import Limits, is_broken_device, is_out_of_memory
from cirgen.backends.loaded_model import LoadedModel
from cirgen.backends.rows import Row
from cirgen.backends.speed import Speed
from cirgen.backends.supply import Supply
from cirgen.errors import UserError, one_line
from cirgen.schemas import Status

ADMITTED_SHARE = 0.25
"""So much of a batch must be free before other rows are read: prompts one by one would keep answers waiting."""


class Answering:
    """One call of a backend.

    Args:
        loaded: the model.
        supply: of rows.
        limits: of a batch; what is learnt stays.
        speed: counts the work.
    """

    def __init__(self, loaded: LoadedModel, supply: Supply, limits: Limits, speed: Speed) -> None:
        self._loaded = loaded
        self._supply = supply
        self._limits = limits
        self._speed = speed
        self._policy: tuple[Any, ...] | None = None
        """Of the rows in flight."""
        self._most = 0
        """Rows that were in flight after the last were admitted."""

    def run(self) -> Iterator[list[Result]]:
        """Yield results as they come, until every request has one."""
        first = self._supply.take(None, 0, 0)
        yield self._unreadable()
        if not first:
            return
        start = time.perf_counter()
        decoder = decoder_for(self._loaded, self._speed)
        self._speed.seconds -= time.perf_counter() - start  # loading weights is no part of how fast they are
        yield self._admitted(first, decoder)
        while batch := self._next(decoder) or decoder.rows:
            found = self._unreadable()
            if isinstance(batch, list):
                found += self._admitted(batch, decoder)
            yield [*found, *self._stepped(decoder)]
        yield self._unreadable()

    def _next(self, decoder: Decoder) -> list[Row]:
        """Return rows to admit now: none as long as too few places are free."""
        if not decoder.rows:
            return self._supply.take(None, 0, 0)
        if decoder.rows > (1 - ADMITTED_SHARE) * self._most:
            return []
        return self._supply.take(self._policy, decoder.rows, decoder.length)

    def _unreadable(self) -> list[Result]:
        found = [Result(request, *why) for request, why in self._supply.unreadable]
        self._supply.unreadable.clear()
        self._speed.rows += len(found)
        return found

    def _admitted(self, batch: list[Row], decoder: Decoder) -> list[Result]:
        """Admit rows; return results of those that cannot be."""
        try:
            decoder.admit(batch)
        except Exception as error:
            problem = _Problem.of(error)
        else:
            self._policy = batch[0].policy
            self._most = decoder.rows
            return []
        # outside of `except`: an error holds on to the memory of whatever it interrupted
        if problem.is_memory:
            batch = [*decoder.evict(), *batch]
        return self._rescued(batch, problem)

    def _stepped(self, decoder: Decoder) -> list[Result]:
        """Answer on; return results of those that are done, or that cannot be answered."""
        try:
            return [self._result(answer) for answer in decoder.step()]
        except Exception as error:
            problem = _Problem.of(error)
        return self._rescued(decoder.evict(), problem)

    def _rescued(self, rows: list[Row], problem: _Problem) -> list[Result]:
        """Give rows that failed together another try; one that failed by itself has failed."""
        self._loaded.free_memory()
        if len(rows) == 1:
            self._speed.rows += 1
            return [Result(rows[0].request, problem.status, problem.words)]
        if problem.is_memory:
            self._limits.halve(rows[0].policy[0], max(row.length for row in rows), len(rows))
            self._supply.put_back(rows)
        else:
            self._supply.set_apart(rows)
        return []

    def _result(self, answer: Answer) -> Result:
        """Return what an answer amounts to."""
        request, prompt_tokens = answer.row.request, answer.row.length
        self._speed.answered(len(answer.tokens))
        stops = set(self._loaded.stop_tokens)
        ended = answer.tokens[-1] in stops
        tokens = answer.tokens[:-1] if ended else answer.tokens
        text = self._loaded.processor.tokenizer.decode(tokens, skip_special_tokens=True).strip()
        if not ended:
            error = f"no end within {request.max_new_tokens} tokens"
            return Result(request, "truncated", error, text, "length", prompt_tokens, len(tokens))
        if not text:
            return Result(request, "parse_error", "the model answered nothing", "", "stop", prompt_tokens, 0)
        return Result(request, "ok", "", text, "stop", prompt_tokens, len(tokens))


class _Problem(NamedTuple):
    """Why rows got no answer."""

    is_memory: bool
    words: str

    @property
    def status(self) -> Status:
        """Return what a row has that fails by itself."""
        return "oom" if self.is_memory else "engine_error"

    @classmethod
    def of(cls, error: Exception) -> _Problem:
        """Return what an error says of rows.

        Raises:
            UserError: it says nothing of rows: the device is lost, and every other would fail as well.
        """
        if isinstance(error, UserError):
            raise error
        if is_broken_device(error):
            raise UserError(
                f"The GPU failed ({one_line(error)}); give the command again, and it goes on where it stopped."
            ) from error
        if is_out_of_memory(error):
            return cls(True, f"out of memory alone in its batch; set a smaller max_pixels: {one_line(error)}")
        return cls(False, f"{type(error).__name__}: {error}")
