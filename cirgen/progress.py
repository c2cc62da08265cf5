"""Progress of long steps: bars with rate and time left in a terminal, a plain line every so often elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple, Protocol, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

LINE_EVERY_SECONDS = 10.0
ARRIVAL_SECONDS = 1.0
"""What comes within so many seconds arrived together."""


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
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as RichProgress

        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
        )
        with RichProgress(*columns, console=self._console, expand=True) as bars:
            bar = _Bar(bars, label, total)
            try:
                yield bar
            finally:
                bar.close()

    def say(self, message: str) -> None:
        """Print one line above the bars."""
        self._console.print(message, highlight=False, markup=False)


class _Bar:
    def __init__(self, bars: RichProgress, label: str, total: int | None) -> None:
        self._bars = bars
        self._task: TaskID = bars.add_task(label, total=total, figures="")
        self._counter = _Counter(total)

    def advance(self, count: int = 1, **notes: str) -> None:
        self._counter.add(count, notes)
        self._bars.update(self._task, advance=count, figures=self._counter.figures())

    def close(self) -> None:
        """Show the rate of the whole step."""
        self._counter.close()
        self._bars.update(self._task, figures=self._counter.figures())


class Lines:
    """A plain line every so often, and one when a step ends.

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
            line.close()

    def say(self, message: str) -> None:
        """Write one line."""
        print(message, file=self._stream, flush=True)


class _Line:
    def __init__(
        self, lines: Lines, label: str, total: int | None, every_seconds: float, now: Callable[[], float]
    ) -> None:
        self._lines = lines
        self._label = label
        self._every_seconds = every_seconds
        self._now = now
        self._counter = _Counter(total, now)
        self._written = now()

    def advance(self, count: int = 1, **notes: str) -> None:
        self._counter.add(count, notes)
        over = self._counter.done == self._counter.total  # the last line is for `close` to write
        if self._now() - self._written >= self._every_seconds and not over:
            self._write()

    def close(self) -> None:
        """Write the last line."""
        self._counter.close()
        self._write()

    def _write(self) -> None:
        self._written = self._now()
        parts = (f"{self._label}: {self._counter.progress()}", self._counter.figures())
        self._lines.say(", ".join(part for part in parts if part))


class _Counter:
    """Work done, how fast, and the latest notes.

    Models answer a batch at a time, and load before the first. So work is counted by arrivals, what comes within
    `ARRIVAL_SECONDS`; the first one starts the clock, and there is no rate to tell before the second is complete.
    """

    def __init__(self, total: int | None, now: Callable[[], float] = time.monotonic) -> None:
        self.total = total
        self.done = 0
        self._now = now
        self._opened = self._began = self._last = now()
        self._first: _Arrival | None = None
        self._latest: _Arrival | None = None
        self._closed = False
        self._notes: dict[str, str] = {}

    def add(self, count: int, notes: dict[str, str]) -> None:
        now = self._now()
        if not self.done:
            self._began = now
        elif now - self._began >= ARRIVAL_SECONDS:
            self._arrived()
            self._began = now
        self._last = now
        self.done += count
        self._notes |= notes

    def _arrived(self) -> None:
        self._latest = _Arrival(self._last, self.done)
        self._first = self._first or self._latest

    def close(self) -> None:
        """Count what came last, too."""
        self._closed = True
        if self._first and self._last > self._first.end:
            self._arrived()

    def rate(self) -> float | None:
        """Return units per second; None as long as it cannot be told."""
        if self._first and self._latest and self._latest != self._first:
            return (self._latest.done - self._first.done) / (self._latest.end - self._first.end)
        return self.done / max(self._now() - self._opened, 1e-9) if self._closed and self.done else None

    def progress(self) -> str:
        return f"{self.done:,}" if self.total is None else f"{self.done:,} of {self.total:,}"

    def figures(self) -> str:
        """Return rate, notes and time left, as far as they are known."""
        rate = self.rate()
        notes = [f"{name} {value}" for name, value in self._notes.items()]
        if not rate:
            return ", ".join(notes)
        parts = [f"{rate:,.0f}/s" if rate >= 100 else f"{rate:.2g}/s", *notes]
        if self.total and not self._closed:
            parts.append(f"{timedelta(seconds=round((self.total - self.done) / rate))} left")
        return ", ".join(parts)


class _Arrival(NamedTuple):
    """A batch of answers."""

    end: float
    """When the last of it came, in seconds."""
    done: int
    """Units done by then."""
