"""What a server allows a minute is never exceeded, whatever the requests weigh and however many wait at once."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cirgen.backends import pace
from cirgen.backends.pace import Pace


class Clock:
    """A clock that moves on while somebody sleeps."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds


def gone(limit: float | None, amounts: list[float], pauses: dict[int, float] | None = None) -> list[float]:
    """Return when each of some requests went, by a clock that nothing but waiting moves."""
    clock = Clock()
    went: list[float] = []

    async def go() -> None:
        waiting = Pace(limit, clock.now)
        for place, amount in enumerate(amounts):
            waiting.pause((pauses or {}).get(place, 0.0))
            await waiting.turn(amount)
            went.append(clock.seconds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pace.asyncio, "sleep", clock.sleep)  # a real minute is too long for a test
        asyncio.run(go())
    return went


@given(st.floats(1, 1e6), st.lists(st.floats(0.1, 1e5), max_size=30))
def test_whatever_goes_between_two_requests_fits_into_the_time_between_them(
    limit: float, amounts: list[float]
) -> None:
    went = gone(limit, amounts)
    for first, start in enumerate(went):
        for last in range(first + 1, len(went)):
            sent = sum(amounts[first:last])
            assert sent <= (went[last] - start) * limit / 60 * (1 + 1e-6) + 1e-6


@given(st.lists(st.floats(0.1, 1e5), max_size=30))
def test_without_a_limit_nobody_waits(amounts: list[float]) -> None:
    assert set(gone(None, amounts)) <= {1000.0}


def test_a_pause_holds_what_comes_after_it() -> None:
    assert gone(None, [1, 1, 1], {1: 30.0}) == [1000.0, 1030.0, 1030.0]


def test_what_a_request_took_beyond_what_was_expected_is_paid_by_the_next() -> None:
    clock = Clock()
    tokens = Pace(60.0, clock.now)
    tokens.pay(10.0)
    tokens.pay(-4.0)
    assert tokens._free == pytest.approx(1006.0)


def test_many_that_wait_at_once_go_one_after_another() -> None:
    clock = Clock()
    went: list[float] = []

    async def one(waiting: Pace) -> None:
        await waiting.turn()
        went.append(clock.seconds)

    async def go() -> None:
        waiting = Pace(60.0, clock.now)
        await asyncio.gather(*(one(waiting) for _ in range(5)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pace.asyncio, "sleep", clock.sleep)
        asyncio.run(go())
    assert all(later - earlier >= 1.0 - 1e-9 for earlier, later in itertools.pairwise(went))
