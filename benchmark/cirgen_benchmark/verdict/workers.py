"""Independent jobs in processes of their own, which end with the process that began them."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import repeat
from threading import Thread
from typing import TypeVar

import torch

from cirgen.cli.quiet import quieten_transformers
from cirgen.errors import UserError

Given = TypeVar("Given")
Result = TypeVar("Result")


def side_by_side(work: Callable[[Given], Result], given: Sequence[Given], jobs: int) -> Iterator[Result]:
    """Yield the result of each item in order, at most `jobs` of them at work at once.

    Each process has its share of the threads, and where there are several GPUs its own one in turn.

    Raises:
        UserError: a process was killed, as a system does that runs out of memory.
    """
    threads = max(1, torch.get_num_threads() // jobs)
    devices = [place % max(1, torch.cuda.device_count()) for place in range(len(given))]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin, initargs=(threads,)) as pool:
        try:
            yield from pool.map(_on_device, repeat(work), given, devices)
        except BrokenProcessPool as error:
            raise UserError(
                "A process that trained was killed, perhaps for want of memory; go on with fewer --jobs."
            ) from error
        except BaseException:
            for process in multiprocessing.active_children():
                process.terminate()
            raise


def _begin(threads: int) -> None:
    """Prepare a process: it ends with its parent, however that ends, since nobody would wait for its results."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    torch.set_num_threads(threads)
    quieten_transformers()
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    Thread(target=watch, daemon=True).start()


def _on_device(work: Callable[[Given], Result], given: Given, device: int) -> Result:
    if torch.cuda.is_available():
        torch.cuda.set_device(device)
    return work(given)
