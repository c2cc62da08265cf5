"""Ctrl-C that is heeded even where a library loses it.

Python raises `KeyboardInterrupt` wherever the main thread happens to be. In a destructor or a callback of a library
it is printed and forgotten, and the program goes on as if nobody had asked it to stop.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from cirgen.errors import LimitReachedError

if TYPE_CHECKING:
    from cirgen.spending import Spending

GRACE_SECONDS = 60.0
"""For the answers that are on their way when the time is over: they are paid for."""
AGAIN_SECONDS = 5.0
"""Time to save what there is, before the interrupt counts as lost and comes again."""


@contextmanager
def insistent(seconds: float = AGAIN_SECONDS) -> Iterator[None]:
    """Repeat an interrupt every `seconds` until this context is left; outside the main thread, do nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    left, main = threading.Event(), threading.get_ident()

    def repeat() -> None:
        while not left.wait(seconds):
            signal.pthread_kill(main, signal.SIGINT)  # wakes it, wherever it waits

    def stop(number: int, frame: FrameType | None) -> None:
        del number, frame
        if not any(thread.name == "interrupt" for thread in threading.enumerate()):
            threading.Thread(target=repeat, name="interrupt", daemon=True).start()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        left.set()
        signal.signal(signal.SIGINT, before)


@contextmanager
def stopping_in_time(spending: Spending, again_seconds: float = AGAIN_SECONDS) -> Iterator[None]:
    """Stop whatever runs when the time is over; outside the main thread, leave that to whoever asks `spending`.

    Stages that ask models end by themselves then, once the answers on their way are there; the others know no time.

    Raises:
        LimitReachedError: the time is over.
    """
    left = spending.seconds_left
    if left is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        del number, frame
        if spending.overdue(GRACE_SECONDS if spending.in_flight else 0.0):
            raise LimitReachedError(spending.reached())

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, max(left, 1e-3), again_seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
