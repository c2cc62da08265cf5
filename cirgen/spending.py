"""What a run asks of its models in tokens and money, and where one call of it stops: at a cost, or after a time."""

from __future__ import annotations

import itertools
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Self, TypeVar

from cirgen.backends.base import Backend, Choice, ImageReader, Likelihood, Request, Result
from cirgen.errors import LimitReachedError

SAVE_SECONDS = 30.0
"""A kill forgets what was spent in so long at most; the rows themselves are safe by the store's own rule."""
TOKENS_OF_IMAGE = 3_000
"""Of a picture within the usual pixel limit, at most: a guess for requests that go out before any is answered."""
UNCHARGED = frozenset({"image_error", "engine_error", "oom"})
"""Statuses of requests that no model answered."""

Item = TypeVar("Item")
Answer = TypeVar("Answer", Result, Choice, Likelihood)


@dataclass
class Usage:
    """What one model was asked."""

    requests: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0
    """By the recipe's price, 0 without one."""

    def __add__(self, other: Self) -> Self:
        return type(self)(
            *(mine + theirs for mine, theirs in zip(vars(self).values(), vars(other).values(), strict=True))
        )


@dataclass
class Tally(Usage):
    """What one stage asked in this call; where a server does not tell tokens, as many as there may have been."""

    answered: int = 0
    """Requests that a model answered; the others took nothing."""


class Spending:
    """Counts what one call of a run spends, and says when it is enough.

    Args:
        save: takes what was spent since it was last called, by model.
        now: the clock, in seconds.
    """

    def __init__(
        self,
        save: Callable[[Mapping[str, Usage]], None] = lambda _: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.save = save
        self.save_seconds = SAVE_SECONDS
        self._max_cost: float | None = None
        self._max_hours: float | None = None
        self._now = now
        self._began = self._saved = now()
        self._unsaved: defaultdict[str, Usage] = defaultdict(Usage)
        self.in_flight = 0
        """Requests without an answer yet."""
        self.spent = Usage()
        self.by_stage: defaultdict[str, Tally] = defaultdict(Tally)

    def cap(self, cost: float | None, hours: float | None) -> None:
        """Set where to stop; None for no cap.

        Args:
            cost: of this call, in the currency of the recipe's prices.
            hours: from the beginning of this call.
        """
        self._max_cost, self._max_hours = cost, hours

    def metered(self, backend: Backend, stage: str) -> Metered:
        """Return a backend that counts here what a stage asks it, and reads no further request once it is enough."""
        return Metered(backend, self, stage)

    def count(self, model: str, usage: Usage) -> None:
        """Add what an answer took."""
        self.spent += usage
        self._unsaved[model] += usage
        if self._now() - self._saved >= self.save_seconds:
            self.flush()

    def flush(self) -> None:
        """Save what was spent since the last time."""
        if self._unsaved:
            self.save(dict(self._unsaved))
            self._unsaved.clear()
        self._saved = self._now()

    def reached(self, cost_next: float = 0.0) -> str:
        """Return which cap is reached, in words; empty where none is.

        Args:
            cost_next: of what would be asked next, beside what is in flight.
        """
        if self.overdue(0.0):
            return f"{self._max_hours:g} hours are over (--max-hours)"
        # the first request goes out whatever it may cost, unless nothing may be spent at all
        begun = self.spent.cost > 0 or self.in_flight > 0 or self._max_cost == 0
        if self._max_cost is not None and begun and self.spent.cost + cost_next > self._max_cost:
            return f"{self.spent.cost:,.4g} of {self._max_cost:g} is spent (--max-cost), and more would exceed it"
        return ""

    def overdue(self, grace: float) -> bool:
        """Return whether the time is over by at least `grace` seconds."""
        return self._max_hours is not None and self._now() - self._began >= self._max_hours * 3600 + grace

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the time is over, at least 0; None without a cap."""
        return None if self._max_hours is None else max(0.0, self._began + self._max_hours * 3600 - self._now())

    def stop_if_reached(self, cost_next: float = 0.0) -> None:
        """Stop the run where a cap is reached.

        Raises:
            LimitReachedError: it is.
        """
        why = self.reached(cost_next)
        if why:
            raise LimitReachedError(why)


class Metered(Backend):
    """Runs a model and counts what it takes."""

    def __init__(self, backend: Backend, spending: Spending, stage: str) -> None:
        self._backend = backend
        self._spending = spending
        self._stage = stage
        self._answered = Usage()
        self._kept_back: Request | None = None
        self.identity = backend.identity
        self.price = backend.price

    def check_choose(self) -> None:
        """Pass on."""
        self._backend.check_choose()

    def generate(self, requests: Iterable[Request], images: ImageReader) -> Iterator[Result]:
        """Yield one result for every request that a cap lets through.

        A request that was kept back is judged again when all before it are answered: what they cost is known then.

        Raises:
            LimitReachedError: after the last result, where it kept requests back.
        """
        left = iter(requests)
        while True:
            yield from self._counted(self._backend.generate(self._let_through(left), images))
            if self._kept_back is None:
                return
            self._spending.stop_if_reached(self._expected(self._kept_back))
            left = itertools.chain([self._kept_back], left)

    def choose(self, requests: Iterable[Request], options: Sequence[str], images: ImageReader) -> Iterator[Choice]:
        """Yield one choice for every request.

        Raises:
            LimitReachedError: before the first, where all of them would exceed a cap.
        """
        self._spending.stop_if_reached(sum(map(self._expected, requests)) if isinstance(requests, Sequence) else 0.0)
        yield from self._counted(self._backend.choose(self._noted(requests), options, images))

    def likelihood(self, requests: Iterable[tuple[Request, str]], images: ImageReader) -> Iterator[Likelihood]:
        """Yield one likelihood for every request.

        Raises:
            LimitReachedError: before the first, where all of them would exceed a cap.
        """
        asked = [request for request, _ in requests] if isinstance(requests, Sequence) else []
        self._spending.stop_if_reached(sum(map(self._expected, asked)))
        yield from self._counted(self._backend.likelihood(self._noted(requests), images))

    def _let_through(self, requests: Iterable[Request]) -> Iterator[Request]:
        self._kept_back = None
        for request in requests:
            if self._spending.reached((self._spending.in_flight + 1) * self._expected(request)):
                self._kept_back = request
                return
            self._spending.in_flight += 1
            yield request

    def _noted(self, requests: Iterable[Item]) -> Iterator[Item]:
        for request in requests:
            self._spending.in_flight += 1
            yield request

    def _expected(self, request: Request) -> float:
        """Return what a request costs: as those before it did on average, the first ones as much as they may."""
        if self.price is None:
            return 0.0
        if self._answered.requests:
            return self._answered.cost / self._answered.requests
        return self.price.of(_most_tokens(request), request.max_new_tokens)

    def _counted(self, answers: Iterator[Answer]) -> Iterator[Answer]:
        before = self._spending.in_flight
        try:
            for answer in answers:
                self._spending.in_flight -= 1
                self._count(answer)
                yield answer
        finally:
            self._spending.in_flight = before
            self._spending.flush()

    def _count(self, answer: Result | Choice | Likelihood) -> None:
        written = 0 if isinstance(answer, Likelihood) else answer.output_tokens
        charged = _charged(answer, written)
        cost = 0.0 if self.price is None else self.price.of(*charged)
        usage = Usage(1, answer.prompt_tokens, written, cost)
        self._answered += usage
        self._spending.by_stage[self._stage] += Tally(1, *charged, cost, answer.status not in UNCHARGED)
        self._spending.count(self.identity.model, usage)


def _charged(answer: Result | Choice | Likelihood, written: int) -> tuple[int, int]:
    """Return the tokens of a prompt and its answer: as many as there may be where a server does not tell them."""
    if answer.prompt_tokens or answer.status in UNCHARGED:
        return answer.prompt_tokens, written
    return _most_tokens(answer.request), written or answer.request.max_new_tokens


def _most_tokens(request: Request) -> int:
    return len(request.prompt) + TOKENS_OF_IMAGE * len(request.image_ids)


def summed(known: Mapping[str, Mapping[str, float]], spent: Mapping[str, Usage]) -> dict[str, dict[str, float]]:
    """Return what a run's models were asked in all, by model, as plain data.

    Args:
        known: before.
        spent: since then.
    """
    sums = {model: Usage(**fields) + spent.get(model, Usage()) for model, fields in known.items()}  # type: ignore[arg-type]
    return {model: asdict(usage) for model, usage in {**spent, **sums}.items()}
