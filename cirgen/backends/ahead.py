"""Requests are read ahead of the model, in threads or processes, behind a bounded queue."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Any, TypeVar

import torch

from cirgen.backends.base import ImageReader, Request
from cirgen.backends.encoding import Encoder, Tensors, Unreadable

THREADS = 2
"""Pillow and numpy release the interpreter lock for a part of their work; more threads than two gained nothing."""
PROCESSES = 8
"""On a GPU at most, where threads would hold the lock that launching kernels needs."""

Item = TypeVar("Item")


class Ahead:
    """Reads requests in workers.

    Args:
        encoder: of the model.
        images: opens the pictures.
        processes: how many; 0 for threads of this one.
    """

    def __init__(self, encoder: Encoder, images: ImageReader, processes: int = 0) -> None:
        self._encoder = encoder
        self._images = images
        self._own = threading.local()
        self._copying = threading.Lock()
        self._pool: Executor = _processes(encoder, images, processes) if processes else ThreadPoolExecutor(THREADS)
        self.waited = 0.0
        """Seconds that whoever asked for the next row had to wait."""

    @property
    def images(self) -> ImageReader:
        """Whose pictures it opens."""
        return self._images

    def read(
        self, items: Iterable[Item], request_of: Callable[[Item], Request], depth: int
    ) -> Iterator[tuple[Item, Tensors | Unreadable]]:
        """Yield every item with what the model reads for it, in order.

        Args:
            items: read only so far ahead as `depth` says.
            request_of: the request of an item.
            depth: requests read, or being read, and not yet asked for.
        """
        stream = iter(items)
        queue: deque[tuple[Item, Future[Any] | None]] = deque()
        try:
            while True:
                queue.extend((item, self._submit(request_of(item))) for item in islice(stream, depth - len(queue)))
                if not queue:
                    return
                item, future = queue.popleft()
                yield item, self._result(request_of(item), future)
        finally:
            for _, future in queue:
                if future is not None:
                    future.cancel()

    def _submit(self, request: Request) -> Future[Any] | None:
        try:
            if isinstance(self._pool, ProcessPoolExecutor):
                return self._pool.submit(_read, request)
            return self._pool.submit(self._read_in_thread, request)
        except BrokenProcessPool:
            return None

    def _read_in_thread(self, request: Request) -> Tensors | Unreadable:
        if not hasattr(self._own, "encoder"):
            with self._copying:
                self._own.encoder = self._encoder.copy()
        found: Tensors | Unreadable = self._own.encoder.read(request, self._images)
        return found

    def _result(self, request: Request, future: Future[Any] | None) -> Tensors | Unreadable:
        start = time.perf_counter()
        try:
            found = None if future is None else future.result()
        except BrokenProcessPool:
            found = None
        if found is None:  # a worker was killed: this process reads what it would have
            self._pool = ThreadPoolExecutor(THREADS) if isinstance(self._pool, ProcessPoolExecutor) else self._pool
            found = self._encoder.read(request, self._images)
        self.waited += time.perf_counter() - start
        if isinstance(found, Unreadable):
            return found
        return {name: torch.as_tensor(value) for name, value in found.items()}

    def close(self) -> None:
        """End the workers."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def processes_for(device: torch.device, wanted: int | None) -> int:
    """Return how many processes read ahead: what the recipe says, else some on a GPU and none on a CPU."""
    if wanted is not None:
        return wanted
    return 0 if device.type == "cpu" else max(1, min(PROCESSES, (os.cpu_count() or 1) - 1))


def _processes(encoder: Encoder, images: ImageReader, count: int) -> Executor:
    # spawn: a fork of a process that runs threads, or holds a GPU, can hang
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(count, mp_context=context, initializer=_start, initargs=(encoder, images))


_worker: tuple[Encoder, ImageReader] | None = None
"""Of this process, where it is a worker."""


def _start(encoder: Encoder, images: ImageReader) -> None:
    global _worker  # noqa: PLW0603
    torch.set_num_threads(1)
    _worker = (encoder, images)


def _read(request: Request) -> dict[str, Any] | Unreadable:
    if _worker is None:
        raise RuntimeError("the worker was not started")
    encoder, images = _worker
    found = encoder.read(request, images)
    # plain arrays travel by value; tensors would travel as handles to shared memory, of which there are few
    return found if isinstance(found, Unreadable) else {name: value.numpy() for name, value in found.items()}
