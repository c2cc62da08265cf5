"""Generation with transformers: real batches of rows of like length, pictures decoded ahead of the model."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import torch
from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from cirgen.backends.base import Backend, Choice, ImageReader, Likelihood, Request, Result
from cirgen.backends.choosing import Chooser
from cirgen.backends.likelihoods import Reader
from cirgen.backends.loaded_model import LoadedModel, Tensors
from cirgen.backends.sampling import SeededGumbel
from cirgen.keys import digest
from cirgen.model_settings import Model

WINDOW_BATCHES = 16
"""Requests are sorted by length within so many batches: enough for little padding, few enough to stay in memory."""
DECODERS = 2
"""Threads that decode pictures; Pillow releases the interpreter lock."""


class Prepared(NamedTuple):
    """A batch ready for the model, and the rows that could not be prepared."""

    requests: list[Request]
    inputs: Tensors
    failures: list[Result]


class TransformersBackend(Backend):
    """Runs one image-text-to-text model in this process; weights are loaded at the first request."""

    def __init__(self, settings: Model, loaded: LoadedModel | None = None) -> None:
        """Take the settings, and weights where another backend has them already."""
        self._settings = settings
        self._loaded = loaded or LoadedModel(settings)
        self._limits: dict[tuple[Any, ...], int] = {}
        self.identity = self._loaded.identity

    def choose(self, requests: Iterable[Request], options: Sequence[str], images: ImageReader) -> Iterator[Choice]:
        """Yield one choice per request; see `Backend.choose`."""
        return Chooser(self._loaded, options).run(requests, images)

    def likelihood(self, requests: Iterable[tuple[Request, str]], images: ImageReader) -> Iterator[Likelihood]:
        """Yield one likelihood per request and text; see `Backend.likelihood`."""
        return Reader(self._loaded).run(requests, images)

    def generate(self, requests: Iterable[Request], images: ImageReader) -> Iterator[Result]:
        """Yield one result per request; see `Backend.generate`."""
        window_rows = self._settings.batch_size * WINDOW_BATCHES
        stream = iter(requests)
        with ThreadPoolExecutor(1) as ahead, ThreadPoolExecutor(DECODERS) as decoders:
            while window := list(itertools.islice(stream, window_rows)):
                yield from self._window(window, images, ahead, decoders)

    def _window(
        self, window: list[Request], images: ImageReader, ahead: ThreadPoolExecutor, decoders: ThreadPoolExecutor
    ) -> Iterator[Result]:
        batches = iter(self._batches(window))
        waiting: Future[Prepared] | None = None
        for batch in itertools.chain(batches, [None]):
            ready = waiting
            waiting = ahead.submit(self._prepare, batch, images, decoders) if batch else None
            if ready is not None:
                prepared = ready.result()
                yield from prepared.failures
                yield from self._run(prepared.requests, prepared.inputs, images, decoders)

    def _batches(self, window: list[Request]) -> Iterator[list[Request]]:
        """Yield batches of one policy and one number of images, longest prompts first."""
        ordered = sorted(window, key=lambda r: (_policy(r), -len(r.prompt), r.key))
        for policy, group in itertools.groupby(ordered, key=_policy):
            size = min(self._settings.batch_size, self._limits.get(policy, self._settings.batch_size))
            while batch := list(itertools.islice(group, size)):
                yield batch

    def _prepare(self, batch: list[Request], images: ImageReader, decoders: ThreadPoolExecutor) -> Prepared:
        requests, pictures, failures = [], [], []
        opened_all = decoders.map(lambda request: self._loaded.open(request, images), batch)
        for request, opened in zip(batch, opened_all, strict=True):
            if isinstance(opened, OSError):
                failures.append(_failure(request, "image_error", str(opened)))
            else:
                requests.append(request)
                pictures.append(opened)
        return Prepared(requests, self._loaded.encode(requests, pictures) if requests else {}, failures)

    def _run(
        self, requests: list[Request], inputs: Tensors, images: ImageReader, decoders: ThreadPoolExecutor
    ) -> Iterator[Result]:
        if not requests:
            return
        try:
            yield from self._generate(requests, inputs)
        except (torch.OutOfMemoryError, MemoryError) as error:
            if len(requests) == 1:
                yield _failure(requests[0], "oom", f"out of memory alone in its batch: {error}")
                return
            yield from self._split(requests, images, decoders)
        except (RuntimeError, ValueError, IndexError) as error:
            if len(requests) == 1:
                yield _failure(requests[0], "engine_error", f"{type(error).__name__}: {error}")
                return
            # one row can spoil a whole batch: alone, each either answers or is the one to blame
            for request in requests:
                yield from self._again([request], images, decoders)

    def _split(self, requests: list[Request], images: ImageReader, decoders: ThreadPoolExecutor) -> Iterator[Result]:
        half = (len(requests) + 1) // 2
        self._limits[_policy(requests[0])] = half
        self._loaded.free_memory()
        for part in (requests[:half], requests[half:]):
            yield from self._again(part, images, decoders)

    def _again(self, requests: list[Request], images: ImageReader, decoders: ThreadPoolExecutor) -> Iterator[Result]:
        prepared = self._prepare(requests, images, decoders)
        yield from prepared.failures
        yield from self._run(prepared.requests, prepared.inputs, images, decoders)

    def _generate(self, requests: list[Request], inputs: Tensors) -> list[Result]:
        prompt_length = inputs["input_ids"].shape[1]
        policy = requests[0]
        output = self._loaded.generate(
            inputs,
            policy.max_new_tokens,
            _sampler(requests, prompt_length) if policy.temperature > 0 else None,
        )
        answers = output[:, prompt_length:].tolist()
        lengths = inputs["attention_mask"].sum(dim=1).tolist()
        return [
            self._result(request, answer, length)
            for request, answer, length in zip(requests, answers, lengths, strict=True)
        ]

    def _result(self, request: Request, answer: list[int], prompt_tokens: int) -> Result:
        stops = set(self._loaded.stop_tokens)
        end = next((place for place, token in enumerate(answer) if token in stops), None)
        tokens = answer if end is None else answer[:end]
        text = self._loaded.processor.tokenizer.decode(tokens, skip_special_tokens=True).strip()
        if end is None:
            error = f"no end within {request.max_new_tokens} tokens"
            return Result(request, "truncated", error, text, "length", prompt_tokens, len(tokens))
        if not text:
            return Result(request, "parse_error", "the model answered nothing", "", "stop", prompt_tokens, 0)
        return Result(request, "ok", "", text, "stop", prompt_tokens, len(tokens))


def _policy(request: Request) -> tuple[Any, ...]:
    return (len(request.image_ids), request.max_new_tokens, request.temperature, request.top_p, request.top_k)


def _sampler(requests: list[Request], prompt_length: int) -> LogitsProcessorList:
    policy = requests[0]
    steps: list[Any] = [TemperatureLogitsWarper(policy.temperature)]
    if policy.top_k:
        steps.append(TopKLogitsWarper(policy.top_k))
    if policy.top_p < 1:
        steps.append(TopPLogitsWarper(policy.top_p))
    seeds = [digest(request.key, request.attempt) for request in requests]
    return LogitsProcessorList([*steps, SeededGumbel(seeds, prompt_length)])


def _failure(request: Request, status: Any, error: str) -> Result:
    return Result(request, status, error, "", "", 0, 0)
