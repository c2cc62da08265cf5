"""A backend and an encoder whose work is done by the copies of a pool."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from cirgen.backends.base import Answer, Backend, Choice, ImageReader, Likelihood, Request, Result
from cirgen.encoders.base import Encoder, Vector
from cirgen.errors import UserError
from cirgen.executors.pictures import Pack, packing
from cirgen.executors.pool import Pool
from cirgen.executors.replica import Embedded
from cirgen.executors.tasks import Task
from cirgen.model_files import ModelFiles
from cirgen.schemas import Status


class PooledBackend(Backend):
    """A generative model.

    Args:
        here: the same in this process, which tells its keys and runs nothing.
        pool: runs it.
    """

    def __init__(self, here: Backend, pool: Pool) -> None:
        self._here = here
        self._pool = pool
        self.identity = here.identity

    def check_choose(self) -> None:
        """Pass on."""
        self._here.check_choose()

    def generate(self, requests: Iterable[Request], images: ImageReader) -> Iterator[Result]:
        """Yield one result per request; see `Backend.generate`."""
        yield from self._answered("generate", (), requests, images, Result)

    def choose(self, requests: Iterable[Request], options: Sequence[str], images: ImageReader) -> Iterator[Choice]:
        """Yield one choice per request; see `Backend.choose`."""
        yield from self._answered("choose", options, requests, images, Choice)

    def likelihood(self, requests: Iterable[tuple[Request, str]], images: ImageReader) -> Iterator[Likelihood]:
        """Yield one likelihood per request and text; see `Backend.likelihood`."""
        pack = packing(images)

        def packed(task: Task) -> tuple[Request, str]:
            request, text = task.item
            return _travelling(request, pack, task.by_value), text

        def failed(task: Task, status: Status, error: str) -> Likelihood:
            return Likelihood(task.item[0], status, error)

        tasks = (Task(number, item, item[0].image_ids) for number, item in enumerate(requests))
        for task, likelihood in self._pool.run("likelihood", (), tasks, packed, failed):
            yield replace(likelihood, request=task.item[0])

    def _answered(
        self,
        method: str,
        options: Sequence[str],
        requests: Iterable[Request],
        images: ImageReader,
        answer: Callable[[Request, Status, str], Answer],
    ) -> Iterator[Answer]:
        pack = packing(images)

        def packed(task: Task) -> Request:
            return _travelling(task.item, pack, task.by_value)

        def failed(task: Task, status: Status, error: str) -> Answer:
            return answer(task.item, status, error)

        tasks = (Task(number, request, request.image_ids) for number, request in enumerate(requests))
        for task, found in self._pool.run(method, options, tasks, packed, failed):
            yield replace(found, request=task.item)


def _travelling(request: Request, pack: Pack, by_value: bool) -> Request:
    return replace(request, image_ids=tuple(pack(image_id, by_value) for image_id in request.image_ids))


class PooledEncoder:
    """An encoder.

    Args:
        here: the same in this process, which tells its keys and counts tokens.
        pool: runs it.
    """

    def __init__(self, here: Encoder, pool: Pool) -> None:
        self._here = here
        self._pool = pool
        self.identity = here.identity

    @property
    def files(self) -> ModelFiles:
        """Where the weights are, with their content hash."""
        return self._here.files

    def count_tokens(self, text: str) -> int:
        """Return how many tokens the encoder's tokenizer makes of a text."""
        return self._here.count_tokens(text)

    def embed_images(self, image_ids: Iterable[str], images: ImageReader) -> Iterator[tuple[str, Vector]]:
        """Yield every picture's id with its vector; see `Encoder.embed_images`."""
        pack = packing(images)
        tasks = (Task(number, image_id, (image_id,)) for number, image_id in enumerate(image_ids))
        yield from self._embedded("images", tasks, lambda task: pack(task.item, task.by_value))

    def embed_texts(self, texts: Iterable[str]) -> Iterator[tuple[str, Vector]]:
        """Yield every text with its vector; see `Encoder.embed_texts`."""
        tasks = (Task(number, text) for number, text in enumerate(texts))
        yield from self._embedded("texts", tasks, lambda task: task.item)

    def _embedded(self, kind: str, tasks: Iterable[Task], pack: Any) -> Iterator[tuple[str, Vector]]:
        for task, found in self._pool.run(kind, (), tasks, pack, _failed):
            if found.status == "image_error":
                raise UserError(
                    f"An image can no longer be read ({found.error}); run again to take its folder in afresh."
                )
            yield task.item, found.vector


def _failed(task: Task, status: Status, error: str) -> Embedded:
    if status == "image_error":
        return Embedded("image_error", error, None)
    raise UserError(f"The encoder cannot embed '{task.item[:80]}' ({error}); take it out of the collection.")
