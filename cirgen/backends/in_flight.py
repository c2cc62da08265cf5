"""Many answers awaited at once by a generator: coroutines on an event loop in a thread, results in any order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def in_flight(
    items: Iterable[Item],
    work: Callable[[Item], Coroutine[Any, Any, Answer]],
    most: int,
    end: Callable[[], Awaitable[None]],
) -> Iterator[Answer]:
    """Yield what `work` makes of every item, as each is done, with `most` of them under way and none read further.

    Where one raises, those that are done by then come out before the error does, and the others are called off; so
    they are where the caller reads no further.

    Args:
        items: read in the caller's thread.
        work: runs in the loop's thread.
        most: under way at once.
        end: closes what `work` held open.
    """
    done: SimpleQueue[Future[Answer]] = SimpleQueue()
    with _event_loop(end) as loop:
        under_way = 0
        for item in items:
            asyncio.run_coroutine_threadsafe(work(item), loop).add_done_callback(done.put)
            under_way += 1
            while under_way == most or not done.empty():
                under_way -= 1
                yield from _result(done.get(), done)
        for _ in range(under_way):
            yield from _result(done.get(), done)


def _result(future: Future[Answer], done: SimpleQueue[Future[Answer]]) -> Iterator[Answer]:
    error = future.exception()
    if error is None:
        yield future.result()
        return
    while not done.empty():
        other = done.get()
        if other.exception() is None:
            yield other.result()
    raise error


@contextmanager
def _event_loop(end: Callable[[], Awaitable[None]]) -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, name="in flight", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        asyncio.run_coroutine_threadsafe(_call_off(end), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _call_off(end: Callable[[], Awaitable[None]]) -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await end()
    await asyncio.get_running_loop().shutdown_default_executor()
