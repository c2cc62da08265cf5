"""How fast a server may be asked: so much a minute, evenly spaced, and nothing at all while it says so.

A token bucket, which limiters of libraries are, begins full: in its first minute twice the limit goes out, and a
request that is larger than the bucket never does. Here each request pays for itself after it has gone: the next one
waits that long, whatever its size.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

SECONDS = 60.0  # of a minute, which limits are given for


class Pace:
    """One limit; requests of one event loop wait for it in turn.

    Args:
        per_minute: requests, tokens or whatever is counted; None for no limit.
        now: the clock, in seconds.
    """

    def __init__(self, per_minute: float | None, now: Callable[[], float] = time.monotonic) -> None:
        self._seconds_each = 0.0 if per_minute is None else SECONDS / per_minute
        self._now = now
        self._free = 0.0
        """When the next one may go."""

    async def turn(self, amount: float = 1.0) -> None:
        """Wait until a request of `amount` may go; those behind it wait for what it pays."""
        while (left := self._free - self._now()) > 0:
            await asyncio.sleep(left)
        self.pay(amount)

    def pay(self, amount: float) -> None:
        """Count `amount` more, or less where it is negative: what a request really took, beyond what was expected."""
        self._free = max(self._free, self._now()) + amount * self._seconds_each

    def pause(self, seconds: float) -> None:
        """Let nothing go for so many seconds."""
        self._free = max(self._free, self._now() + seconds)
