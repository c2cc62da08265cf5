"""Progress of long steps: bars with rate and time left in a terminal, a plain line every so often elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


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
