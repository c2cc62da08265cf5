"""Jobs that the tests of worker processes give away; a spawned process must be able to import them."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from cirgen_benchmark.verdict.workers import side_by_side


def squared(number: int) -> int:
    """Take longer for smaller numbers, so that results arrive in another order than they were given."""
    time.sleep(0.2 / (number + 1))
    return number * number


def refused(number: int) -> int:
    """Fail for one number."""
    if number == 1:
        raise ValueError("one is refused")
    return number


def killed(number: int) -> int:
    """Die as a system kills that runs out of memory."""
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def waiting(folder: str) -> None:
    """Say who one is, and wait for longer than any test."""
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(600)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may ignore it
    list(side_by_side(waiting, [sys.argv[1]] * 2, 2))
