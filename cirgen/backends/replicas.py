"""One model on several devices: a process for each, which all take requests from one stream."""

from __future__ import annotations

import multiprocessing
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

import torch

from cirgen.backends.base import Answer, Backend, Choice, ImageReader, Likelihood, Request, Result
from cirgen.backends.loaded_model import LoadedModel
from cirgen.backends.passes import AHEAD, WINDOW
from cirgen.backends.speed import Speed
from cirgen.backends.supply import WINDOW_BATCHES
from cirgen.backends.transformers import AHEAD_BATCHES, TransformersBackend
from cirgen.errors import UserError
from cirgen.model_settings import Model
from cirgen.schemas import Status

DEATHS = 2
"""A request that was with so many processes when they ended is to blame."""

Item = TypeVar("Item")
Job = tuple[str, tuple[Any, ...]]
"""Method of a backend, and what it takes beside requests."""
_END = None
"""After the last request."""


def visible_devices(wanted: str) -> list[str]:
    """Return the devices that a recipe's `device` stands for: all GPUs for `auto` and `cuda`."""
    count = torch.cuda.device_count() if wanted in ("auto", "cuda") and torch.cuda.is_available() else 0
    return [f"cuda:{place}" for place in range(count)] or [wanted]


@dataclass(eq=False)
class _Replica:
    """A process, and what it was given and has not answered yet."""

    device: str
    process: Any
    requests: Any
    """Queue to it."""
    answers: Connection
    """From it; a pipe of its own, since one that is killed may leave a shared queue locked."""
    with_it: dict[str, Any] = field(default_factory=dict)
    """Items by the key of their request."""
    asked: bool = False
    """It takes requests."""
    jobs: int = 0
    """How often it was asked and has not told yet that it is through."""

    def ask(self, job: Job) -> None:
        """Tell what the requests that follow are about."""
        self.requests.put(job)
        self.asked = True
        self.jobs += 1

    def close(self) -> None:
        """Tell that no more requests follow."""
        self.requests.put(_END)
        self.asked = False


class Replicas(Backend):
    """Runs one model in a process per device.

    Args:
        settings: of the model.
        devices: one process for each; a device may be named twice.
    """

    def __init__(self, settings: Model, devices: Sequence[str]) -> None:
        self._settings = settings
        self._devices = devices
        self._replicas: list[_Replica] = []
        self._speed = Speed()
        self.identity = LoadedModel(settings.model_copy(update={"device": devices[0]})).identity

    def generate(self, requests: Iterable[Request], images: ImageReader) -> Iterator[Result]:
        """Yield one result per request; see `Backend.generate`."""
        return self._spread("generate", requests, lambda request: request, (images,), Result)

    def choose(self, requests: Iterable[Request], options: Sequence[str], images: ImageReader) -> Iterator[Choice]:
        """Yield one choice per request; see `Backend.choose`."""
        return self._spread("choose", requests, lambda request: request, (tuple(options), images), Choice)

    def likelihood(self, requests: Iterable[tuple[Request, str]], images: ImageReader) -> Iterator[Likelihood]:
        """Yield one likelihood per request and text; see `Backend.likelihood`."""
        return self._spread("likelihood", requests, lambda item: item[0], (images,), Likelihood)

    def take_speed(self) -> Speed:
        """Return what all processes counted since this was last asked."""
        speed, self._speed = self._speed, Speed()
        return speed

    def _spread(
        self,
        method: str,
        items: Iterable[Item],
        request_of: Callable[[Item], Request],
        options: tuple[Any, ...],
        answer: Callable[[Request, Status, str], Answer],
    ) -> Iterator[Answer]:
        job = (method, options)
        self._start()
        stream, again, deaths = iter(items), deque[Item](), Counter[str]()
        through = False
        try:
            while self._feed(job, chain_last(again, stream), request_of):
                for replica in self._ready():
                    try:
                        found = replica.answers.recv()
                    except (EOFError, OSError):
                        for item in self._bury(replica):
                            request = request_of(item)
                            deaths[request.key] += 1
                            if deaths[request.key] < DEATHS:
                                again.append(item)
                            else:
                                why = f"the process on {replica.device} ended twice with this row"
                                yield answer(request, "engine_error", why)
                        continue
                    if isinstance(found, Exception):
                        raise found
                    if isinstance(found, Speed):
                        self._count(found)
                        replica.jobs -= 1
                    elif replica.with_it.pop(found.request.key, None) is not None:
                        yield found
            through = True
        finally:
            if not through:
                self._stop()  # what is on its way would be taken for answers to the next call

    def _feed(self, job: Job, items: Iterator[Item], request_of: Callable[[Item], Request]) -> bool:
        """Give every process what it may hold; return whether anything is still to be answered.

        Requests about the same images come one after another, and go to one process, which reads these images once.
        """
        item = next(items, _END)
        replica, about = self._replicas[0], None
        while item is not _END:
            images = request_of(item).image_ids
            if not images or images != about:
                replica = min(self._replicas, key=lambda one: len(one.with_it))
            about = images
            if not replica.asked:
                replica.ask(job)
            replica.with_it[request_of(item).key] = item
            replica.requests.put(item)
            if len(min(self._replicas, key=lambda one: len(one.with_it)).with_it) >= self._most():
                return True
            item = next(items, _END)
        for replica in self._replicas:
            if replica.asked:
                replica.close()
        return any(replica.jobs for replica in self._replicas)

    def _ready(self) -> list[_Replica]:
        """Wait until a process has told something, or has ended."""
        ready = wait([replica.answers for replica in self._replicas])
        return [replica for replica in self._replicas if replica.answers in ready]

    def _start(self) -> None:
        if self._replicas:
            return
        context = multiprocessing.get_context("spawn")  # a forked process could not use a GPU
        for device in self._devices:
            answers, theirs = context.Pipe(duplex=False)
            requests = context.Queue()
            settings = self._settings.model_copy(update={"device": device})
            process = context.Process(target=_serve, args=(settings, requests, theirs), daemon=True)
            process.start()
            theirs.close()  # only then does the pipe end when the process does
            self._replicas.append(_Replica(device, process, requests, answers))

    def _stop(self) -> None:
        for replica in self._replicas:
            replica.process.kill()
            replica.process.join()
            replica.requests.cancel_join_thread()
        self._replicas = []

    def _bury(self, replica: _Replica) -> list[Any]:
        """Return what was with a process that ended.

        Raises:
            UserError: none is left.
        """
        replica.process.join()
        replica.requests.cancel_join_thread()
        self._replicas.remove(replica)
        if not self._replicas:
            code = replica.process.exitcode
            raise UserError(
                f"No process is left to run the model: the last, on {replica.device}, ended with exit code {code}; "
                "give the command again, and it goes on where it stopped."
            )
        return list(replica.with_it.values())

    def _count(self, speed: Speed) -> None:
        """Add what one process counted: work adds up, time is that of the slowest."""
        total = self._speed
        for name in ("rows", "images", "prompt_tokens", "output_tokens", "prompt_slots", "output_slots", "operations"):
            setattr(total, name, getattr(total, name) + getattr(speed, name))
        for name in ("seconds", "model_seconds", "waited_seconds", "peak_bytes"):
            setattr(total, name, max(getattr(total, name), getattr(speed, name)))
        total.peak_tflops += speed.peak_tflops

    def _most(self) -> int:
        """Return how many requests a process may hold: more than it reads ahead, so that none waits for company."""
        batches = WINDOW_BATCHES + AHEAD_BATCHES + 1
        return max(batches * self._settings.batch_size, WINDOW + 2 * AHEAD)


def chain_last(again: deque[Item], stream: Iterator[Item]) -> Iterator[Item]:
    """Yield what is to be asked again, and then what is new."""
    while again:
        yield again.popleft()
    yield from stream


def _serve(settings: Model, requests: Any, answers: Connection) -> None:
    """Answer what comes, in a process of its own, until it is killed or the parent ends."""
    backend = TransformersBackend(settings)
    while True:
        method, options = requests.get()
        try:
            for answer in getattr(backend, method)(iter(requests.get, _END), *options):
                answers.send(answer)
            answers.send(backend.take_speed())
        except BrokenPipeError:
            return
        except Exception as error:
            answers.send(error if isinstance(error, UserError) else RuntimeError(f"{type(error).__name__}: {error}"))
