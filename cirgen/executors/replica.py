"""One copy of a model in a process of its own: takes in rows, gives out answers, in any order.

A call goes on as long as rows keep coming: whoever runs the model reads them as it has room. It ends when none wait,
since that is nobody's promise that more will come, and the next row begins another.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

from cirgen import __version__
from cirgen.backends.base import Choice, Likelihood, Request, Result
from cirgen.errors import UserError
from cirgen.executors.local import Local
from cirgen.executors.pictures import Travelled, read_travelled
from cirgen.keys import digest
from cirgen.model_settings import Encoder as EncoderSettings
from cirgen.model_settings import Model

GIVE_SECONDS = 0.25
"""Answers are collected for so long before they travel together."""
WAIT_SECONDS = 1.0
"""A copy without rows waits so long for some before it says that it has no answers."""

Numbered = tuple[int, Any]
"""A row and the number that it is known by, or its answer and that number."""


@dataclass(frozen=True)
class Call:
    """What is asked of rows, the same of all."""

    number: int
    kind: Literal["generate", "choose", "likelihood", "images", "texts"]
    options: tuple[str, ...] = ()


class Embedded(NamedTuple):
    """What an encoder made of one picture or text."""

    status: Literal["ok", "image_error"]
    error: str
    vector: Any
    """[d] float32; None on failure."""


class Work(Protocol):
    """A model as a copy runs it."""

    identity: str
    """Hash of what can change its answers."""

    def answers(self, call: Call, rows: Iterator[Numbered]) -> Iterator[Numbered]:
        """Yield the answer to each row under its number, in any order."""
        ...


class Replica:
    """The process. Rows come in by one thread; another loads the model, answers, and does nothing else.

    Args:
        settings: of the model.
        identity: hash of what must not differ here.
        version: of cirgen, where the rows come from.
        threads: that the model computes with where it has no GPU; 0 leaves that to torch.
    """

    def __init__(self, settings: Model | EncoderSettings, identity: str, version: str, threads: int) -> None:
        self._settings = settings
        self._identity = identity
        self._version = version
        self._threads = threads
        self._work: Work | None = None
        self._rows = _Rows()
        self._answers: Iterator[Numbered] | None = None

    def ready(self) -> str:
        """Make ready to work; return the node that this copy is on.

        Raises:
            UserError: the machine has another version of cirgen, or other weights under this name, or none.
        """
        import ray

        self._work = self._load()
        return str(ray.get_runtime_context().get_node_id())

    def _load(self) -> Work:
        _prepare(self._version, self._threads)
        settings = self._settings
        work: Work = GenerativeWork(settings) if isinstance(settings, Model) else EncodingWork(settings)
        if work.identity != self._identity:
            raise UserError(
                f"'{settings.model}' has other weights, or another number format, on one of the machines; "
                "put the same files there, or name it by its hub id and a revision."
            )
        return work

    def put(self, call: Call, rows: Sequence[Numbered]) -> None:
        """Take in rows; those of an earlier call are forgotten."""
        self._rows.put(call, rows)

    def take(self) -> list[Numbered]:
        """Work, and return answers as soon as there are some; none where no row came in time."""
        if self._work is None:
            raise RuntimeError("asked before it was ready")
        found: list[Numbered] = []
        until = time.monotonic() + GIVE_SECONDS
        while not found:
            if self._answers is None:
                call = self._rows.wait(WAIT_SECONDS)
                if call is None:
                    return found
                self._answers = self._work.answers(call, self._rows.of(call))
            for answer in self._answers:
                found.append(answer)
                if time.monotonic() >= until:
                    return found
            self._answers = None
        return found


def _prepare(version: str, threads: int) -> None:
    import torch

    from cirgen.cli.quiet import quieten_transformers

    if version != __version__:
        raise UserError(
            f"A machine has cirgen {__version__}, and the run is of {version}: `pip install cirgen=={version}` there."
        )
    quieten_transformers()
    if threads:
        torch.set_num_threads(threads)


class _Rows:
    """Rows that have come in and that nobody has read yet."""

    def __init__(self) -> None:
        self._come = threading.Condition()
        self._call: Call | None = None
        self._waiting: deque[Numbered] = deque()

    def put(self, call: Call, rows: Sequence[Numbered]) -> None:
        with self._come:
            if call != self._call:
                self._call = call
                self._waiting.clear()
            self._waiting.extend(rows)
            self._come.notify()

    def wait(self, seconds: float) -> Call | None:
        """Wait until a row is there; return its call, None where none comes."""
        with self._come:
            self._come.wait_for(lambda: self._waiting, seconds)
            return self._call if self._waiting else None

    def of(self, call: Call) -> Iterator[Numbered]:
        """Yield rows of a call until none waits."""
        while True:
            with self._come:
                if not self._waiting or self._call != call:
                    return
                row = self._waiting.popleft()
            yield row


class GenerativeWork:
    """A generative model."""

    def __init__(self, settings: Model) -> None:
        self._backend = Local().backend(settings)
        self._images = Travelled()
        self.identity = digest(self._backend.identity.key_part())

    def answers(self, call: Call, rows: Iterator[Numbered]) -> Iterator[Numbered]:
        """Yield answers; see `Work.answers`."""
        numbers: defaultdict[Request, deque[int]] = defaultdict(deque)

        def items() -> Iterator[Any]:
            for number, item in rows:
                numbers[item[0] if call.kind == "likelihood" else item].append(number)
                yield item

        for answer in self._asked(call, items()):
            numbered = numbers[answer.request]
            yield numbered.popleft(), answer
            if not numbered:
                del numbers[answer.request]

    def _asked(self, call: Call, items: Iterator[Any]) -> Iterator[Result | Choice | Likelihood]:
        if call.kind == "choose":
            return self._backend.choose(items, call.options, self._images)
        if call.kind == "likelihood":
            return self._backend.likelihood(items, self._images)
        return self._backend.generate(items, self._images)


class EncodingWork:
    """An encoder."""

    def __init__(self, settings: EncoderSettings) -> None:
        self._encoder = Local().encoder(settings)
        self._images = Travelled()
        self.identity = self._encoder.identity

    def answers(self, call: Call, rows: Iterator[Numbered]) -> Iterator[Numbered]:
        """Yield vectors; see `Work.answers`."""
        numbers: dict[str, int] = {}
        unreadable: list[Numbered] = []

        def items() -> Iterator[str]:
            for number, item in rows:
                try:
                    name = read_travelled(item) if call.kind == "images" else item
                except OSError as error:
                    unreadable.append((number, Embedded("image_error", str(error), None)))
                else:
                    numbers[name] = number
                    yield name

        embedded = (
            self._encoder.embed_images(items(), self._images)
            if call.kind == "images"
            else self._encoder.embed_texts(items())
        )
        for name, vector in embedded:
            yield numbers.pop(name), Embedded("ok", "", vector)
        yield from unreadable
