"""Progress of long steps: bars with rate and time left in a terminal, a plain line every so often elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

LINE_EVERY_SECONDS = 10.0


class Step(Protocol):
    """One running step."""

    def advance(self, count: int = 1, **notes: str) -> None:
        """Count work done; notes (e.g. accepted="71 %") are shown beside the rate."""
        ...


class Progress(Protocol):
    """Where steps report to."""

    def step(self, label: str, total: int | None = None) -> AbstractContextManager[Step]:
        """Open a step of `total` units, or of unknown length."""
        ...

    def say(self, message: str) -> None:
        """Print one line above the bars."""
        ...


class Silent:
    """Reports nowhere."""

    def advance(self, count: int = 1, **notes: str) -> None:
        """Count nothing."""

    @contextmanager
    def step(self, label: str, total: int | None = None) -> Iterator[Step]:  # noqa: ARG002
        """Open a step that shows nothing."""
        yield self

    def say(self, message: str) -> None:
        """Say nothing."""


def to_stderr() -> Progress:
    """Return bars where standard error is a terminal, plain lines where it is not."""
    from rich.console import Console

    console = Console(stderr=True)
    return Bars(console) if console.is_terminal else Lines(sys.stderr)


class Bars:
    """A bar per step, with count, rate, time left and notes."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def step(self, label: str, total: int | None = None) -> Iterator[Step]:
        """Show a bar until the step is over; what stays is one line."""
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(compact=True),
        )
        with RichProgress(*columns, console=self._console, expand=True) as bars:
            yield _Bar(bars, bars.add_task(label, total=total, figures=""))

    def say(self, message: str) -> None:
        """Print one line above the bars."""
        self._console.print(message, highlight=False, markup=False)


class _Bar:
    def __init__(self, bars: RichProgress, task: TaskID) -> None:
        self._bars = bars
        self._task = task
        self._counter = _Counter()

    def advance(self, count: int = 1, **notes: str) -> None:
        self._counter.add(count, notes)
        self._bars.update(self._task, advance=count, figures=self._counter.figures())


class Lines:
    """A plain line when a step begins, every so often, and when it ends.

    Args:
        stream: where the lines go.
        every_seconds: least time between two lines of a step.
        now: the clock, in seconds.
    """

    def __init__(
        self,
        stream: TextIO,
        every_seconds: float = LINE_EVERY_SECONDS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._every_seconds = every_seconds
        self._now = now

    @contextmanager
    def step(self, label: str, total: int | None = None) -> Iterator[Step]:
        """Write lines until the step is over; the last one says how far it came, whatever ended it."""
        line = _Line(self, label, total, self._every_seconds, self._now)
        try:
            yield line
        finally:
            line.write()

    def say(self, message: str) -> None:
        """Write one line."""
        print(message, file=self._stream, flush=True)


class _Line:
    def __init__(
        self, lines: Lines, label: str, total: int | None, every_seconds: float, now: Callable[[], float]
    ) -> None:
        self._lines = lines
        self._label = label
        self._total = total
        self._every_seconds = every_seconds
        self._now = now
        self._counter = _Counter(now)
        self._written = now()

    def advance(self, count: int = 1, **notes: str) -> None:
        self._counter.add(count, notes)
        if self._now() - self._written >= self._every_seconds:
            self.write()

    def write(self) -> None:
        self._written = self._now()
        parts = [f"{self._label}: {self._counter.progress(self._total)}", self._counter.figures()]
        left = self._counter.seconds_left(self._total)
        if left:
            parts.append(f"{timedelta(seconds=round(left))} left")
        self._lines.say(", ".join(part for part in parts if part))


class _Counter:
    """Work done, how fast, and the latest notes."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._start = now()
        self._done = 0
        self._notes: dict[str, str] = {}

    def add(self, count: int, notes: dict[str, str]) -> None:
        self._done += count
        self._notes |= notes

    def rate(self) -> float:
        """Return units per second."""
        return self._done / max(self._now() - self._start, 1e-9)

    def progress(self, total: int | None) -> str:
        return f"{self._done:,}" if total is None else f"{self._done:,} of {total:,}"

    def seconds_left(self, total: int | None) -> float | None:
        return (total - self._done) / self.rate() if total and self._done else None

    def figures(self) -> str:
        rate = f"{self.rate():,.0f}/s" if self.rate() >= 100 else f"{self.rate():.2g}/s" if self._done else ""
        return ", ".join(part for part in (rate, *(f"{name} {value}" for name, value in self._notes.items())) if part)
