"""Rows in the order that suits the model: sorted within a window that is refilled while the model works."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from cirgen.backends.base import Request
from cirgen.backends.encoding import Tensors, Unreadable
from cirgen.backends.limits import Limits
from cirgen.backends.rows import Row

WINDOW_BATCHES = 14
"""Rows are sorted within so many batches: enough for little padding, few enough to stay in memory."""
FIRST_BATCHES = 2
"""The model begins as soon as so many batches are there; the window fills up while it works."""
WINDOW_BYTES = 1 << 30
"""Of inputs that wait at most: pictures of native resolution take 20 MB each."""
SHORTEST_SHARE = 0.5
"""A row is at least this long, as a share of the longest of its batch: more padding costs more than another batch."""

Read = Iterator[tuple[Request, Tensors | Unreadable]]


class Supply:
    """Hands out rows by policy, longest first, so that memory runs out at the beginning if it does.

    What is handed out depends on the order of the requests and on nothing that takes time.

    Args:
        read: requests, each with what the model reads for it.
        limits: of a batch.
        batch_size: the recipe's.
    """

    def __init__(self, read: Read, limits: Limits, batch_size: int) -> None:
        self._read = read
        self._limits = limits
        self._window = batch_size * WINDOW_BATCHES
        self._wanted = batch_size * FIRST_BATCHES
        self._sorted: deque[Row] = deque()
        self._coming: list[Row] = []
        self._alone: deque[Row] = deque()
        self._bytes = 0
        self.unreadable: list[tuple[Request, Unreadable]] = []
        """Requests that cannot be asked; whoever tells of them empties the list."""

    def take(self, policy: tuple[Any, ...] | None, rows: int, length: int) -> list[Row]:
        """Return rows that may join those in flight, none where nothing fits or nothing is left.

        Args:
            policy: of the rows in flight, None where there are none.
            rows: in flight.
            length: tokens that each of them holds.
        """
        if self._alone:
            return [self._alone.popleft()] if policy is None else []
        self._fill()
        if not self._sorted or policy not in (None, self._sorted[0].policy):
            return []
        batch: list[Row] = []
        shared, shortest = self._sorted[0].policy, self._sorted[0].length
        longest = shortest
        while self._sorted and self._sorted[0].policy == shared:
            row = self._sorted[0]
            shortest, longest = min(shortest, row.length), max(longest, row.length)
            request = row.request
            allowed = self._limits.rows(len(request.image_ids), max(longest, length), request.max_new_tokens) - rows
            if len(batch) >= allowed or shortest < SHORTEST_SHARE * longest:
                break
            batch.append(self._sorted.popleft())
        self._bytes -= sum(row.size for row in batch)
        self._wanted = min(self._window, self._held + 2 * len(batch))
        return batch

    def put_back(self, rows: Sequence[Row]) -> None:
        """Take back rows that were too many at once."""
        self._sorted.extendleft(reversed(_together(rows)))
        self._bytes += sum(row.size for row in rows)

    def set_apart(self, rows: Sequence[Row]) -> None:
        """Take back rows of which one spoils the batch: each will run by itself."""
        self._alone.extend(rows)

    @property
    def _held(self) -> int:
        return len(self._sorted) + len(self._coming)

    def _fill(self) -> None:
        while self._held < self._wanted and (self._bytes < WINDOW_BYTES or not self._held):
            found = next(self._read, None)
            if found is None:
                break
            request, inputs = found
            if isinstance(inputs, Unreadable):
                self.unreadable.append((request, inputs))
                continue
            row = Row(request, inputs)
            self._coming.append(row)
            self._bytes += row.size
        if not self._sorted:
            self._sorted.extend(_together(self._coming))
            self._coming = []


def _together(rows: Sequence[Row]) -> list[Row]:
    """Return rows longest first; those of like length about the same images come one after another."""
    groups: dict[Any, list[Row]] = {}
    apart: list[list[Row]] = []
    for row in sorted(rows, key=_order):
        about = (row.policy, row.request.image_ids)
        alike = groups.get(about)
        if alike is None or not row.request.image_ids or row.length < SHORTEST_SHARE * alike[0].length:
            alike = groups[about] = []
            apart.append(alike)
        alike.append(row)
    return [row for alike in sorted(apart, key=lambda alike: _order(alike[0])) for row in alike]


def _order(row: Row) -> tuple[Any, ...]:
    return (row.policy, -row.length, row.request.key)
