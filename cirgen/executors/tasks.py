"""Rows on their way to whoever runs a model, and what becomes of them when that somebody dies.

Nobody can tell which of the rows that a dead process held has killed it. So they go out again in small groups, each to
a process that holds nothing else, then one by one: a row whose process dies the third time is the one that kills, and
has failed. Rows that went down with a whole machine are not suspected, unless it happens again and again.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

MOST_DEATHS = 3
"""Of processes that held a row, and fewer others each time, until the row has failed."""
MOST_MOVES = 8
"""Machines that a row may go down with until it counts as failed: some rows take a machine's last memory."""
GROUP = 16
"""Rows that go out together after they have been in a process that died once."""


@dataclass(eq=False)
class Task:
    """One row to be worked on."""

    number: int
    item: Any
    """What is asked."""
    image_ids: tuple[str, ...] = ()
    by_value: bool = False
    """Whether the bytes of its pictures must travel with it."""
    deaths: int = 0
    moves: int = 0


@dataclass(frozen=True)
class Parcel:
    """Rows that go out together."""

    tasks: Sequence[Task]
    alone: bool = False
    """Whether nobody else may be where they go."""


class Waiting:
    """Rows that nobody works on yet.

    Args:
        tasks: read only as far ahead as `read_ahead` is told.
    """

    def __init__(self, tasks: Iterable[Task]) -> None:
        self._rest = iter(tasks)
        self._ready: deque[Task] = deque()
        self._suspects: deque[list[Task]] = deque()

    def __len__(self) -> int:
        return len(self._ready) + sum(map(len, self._suspects))

    def read_ahead(self, most: int) -> None:
        """Read tasks until so many are ready."""
        self._ready.extend(itertools.islice(self._rest, max(0, most - len(self._ready))))

    def take(self, most: int, held: int) -> Parcel:
        """Return rows for somebody, perhaps none.

        Rows about the same images come one after another and go out together, for their images to be read once.

        Args:
            most: rows to hand out, unless they are suspects; up to twice as many where the last share their images.
            held: rows that he has already: suspects go to those alone who have none.
        """
        if self._suspects and not held:
            return Parcel(self._suspects.popleft(), alone=True)
        tasks = [self._ready.popleft() for _ in range(min(most, len(self._ready)))]
        while self._ready and 0 < len(tasks) < 2 * most and _same_images(tasks[-1], self._ready[0]):
            tasks.append(self._ready.popleft())
        return Parcel(tasks)

    def back(self, tasks: Iterable[Task]) -> None:
        """Take back rows that are to go out again, before all others."""
        self._ready.extendleft(tasks)

    def died(self, tasks: Sequence[Task]) -> list[Task]:
        """Take back the rows of a process that died; return those that have failed for it."""
        for task in tasks:
            task.deaths += 1
        failed = [task for task in tasks if task.deaths >= MOST_DEATHS]
        self._suspect(tasks)
        return failed

    def moved(self, tasks: Sequence[Task]) -> list[Task]:
        """Take back the rows of a machine that went down; return those that have failed for it."""
        for task in tasks:
            task.moves += 1
        failed = [task for task in tasks if task.moves > MOST_MOVES]
        again = [task for task in tasks if task.moves <= MOST_MOVES]
        self._ready.extendleft(task for task in again if not task.deaths)
        self._suspect(again)
        return failed

    def _suspect(self, tasks: Sequence[Task]) -> None:
        """Have rows that were in processes that died go out again, in groups that get smaller."""
        for deaths, size in ((1, GROUP), (2, 1)):
            self._suspects.extend(_groups([task for task in tasks if task.deaths == deaths], size))


def _same_images(one: Task, other: Task) -> bool:
    return bool(one.image_ids) and one.image_ids == other.image_ids


def _groups(tasks: Sequence[Task], size: int) -> Iterator[list[Task]]:
    for start in range(0, len(tasks), size):
        yield list(tasks[start : start + size])
