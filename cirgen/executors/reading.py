"""Images of a source, read and described by the machines of a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from cirgen.errors import one_line
from cirgen.sources.base import Item
from cirgen.sources.reading import Read, cannot_be_read, failed_read, read_item

AHEAD_PER_CPU = 4
"""Images that are being read, or wait to be asked for, for each CPU of the cluster."""
RETRIES = 2
"""Further workers that may die of an image."""


class ClusterReader:
    """Reads images in tasks of the cluster.

    A worker opens the file where it lies. What one cannot read is read here, and where that succeeds, the cluster sees
    other files than this machine: from then on their bytes travel.
    """

    def __init__(self) -> None:
        import ray

        self.most = max(8, AHEAD_PER_CPU * int(ray.cluster_resources().get("CPU", 1.0)))
        self._read = ray.remote(num_cpus=1, max_retries=RETRIES)(read_item)
        self._by_value = False
        self._running: dict[Any, None] = {}

    def submit(self, item: Item, key: str, attempt: int) -> Callable[[], Read]:
        """Begin to read an item; what its file cannot tell elsewhere is read here first."""
        travelling = self._travelling(item)
        if travelling is None:
            return partial(read_item, item, key, attempt)
        reference = self._read.remote(travelling, key, attempt)
        self._running[reference] = None
        return partial(self._result, reference, item, key, attempt)

    def _travelling(self, item: Item) -> Item | None:
        """Return an item that another machine can read; None where this one cannot."""
        lies_anywhere = bool(item.url_path) or (item.path is not None and item.path.is_absolute())
        if lies_anywhere and not self._by_value:
            return item
        try:
            data = item.read()
        except (OSError, ValueError, MemoryError):
            return None
        absolute = item.path.absolute() if item.path else None
        return replace(item, path=absolute, read=partial(bytes, data))

    def _result(self, reference: Any, item: Item, key: str, attempt: int) -> Read:
        import ray

        self._running.pop(reference)
        try:
            read: Read = ray.get(reference)
        except ray.exceptions.RayError as error:
            words = one_line(error)
            return failed_read(item, key, attempt, f"whoever read it died {RETRIES + 1} times: {words}")
        if not cannot_be_read(read):
            return read
        here = read_item(item, key, attempt)
        self._by_value = self._by_value or not cannot_be_read(here)
        return here

    def close(self) -> None:
        """Give up what nobody asked for."""
        import ray

        for reference in self._running:
            ray.cancel(reference, force=False)
        self._running.clear()
