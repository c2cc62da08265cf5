"""Generation with transformers: real batches of rows of like length, pictures decoded ahead of the model.

Padding is on the left, always: right padding silently spoils the texts of decoder-only models.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import torch
from PIL import Image
from transformers import (
    AutoModelForImageTextToText,
    AutoProcessor,
    GenerationConfig,
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from cirgen.backends.base import Backend, Identity, ImageReader, Request, Result
from cirgen.backends.conversation import conversation
from cirgen.backends.sampling import SeededGumbel
from cirgen.devices import dtype_of, pick_device, pick_dtype
from cirgen.errors import UserError
from cirgen.keys import digest
from cirgen.model_files import ModelFiles, find_model
from cirgen.recipe import Model

WINDOW_BATCHES = 16
"""Requests are sorted by length within so many batches: enough for little padding, few enough to stay in memory."""
DECODERS = 2
"""Threads that decode pictures; Pillow releases the interpreter lock."""


class Prepared(NamedTuple):
    """A batch ready for the model, and the rows that could not be prepared."""

    requests: list[Request]
    inputs: dict[str, Any]
    failures: list[Result]


class TransformersBackend(Backend):
    """Runs one image-text-to-text model in this process; weights are loaded at the first request."""

    def __init__(self, settings: Model) -> None:
        self._settings = settings
        self._device = pick_device(settings.device)
        self._files: ModelFiles = find_model(settings.model, settings.revision)
        self._limits: dict[tuple[Any, ...], int] = {}
        self._loaded: tuple[Any, Any] | None = None
        self.identity = Identity(
            model=settings.model,
            revision=self._files.revision,
            content=self._files.content,
            backend="transformers",
            dtype=pick_dtype(settings.dtype, self._device),
            quantization=settings.quantization,
            max_pixels=settings.max_pixels,
        )

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
        for request, opened in zip(batch, decoders.map(lambda r: self._open(r, images), batch), strict=True):
            if isinstance(opened, OSError):
                failures.append(_failure(request, "image_error", str(opened)))
            else:
                requests.append(request)
                pictures.append(opened)
        return Prepared(requests, self._encode(requests, pictures) if requests else {}, failures)

    def _open(self, request: Request, images: ImageReader) -> list[Image.Image] | OSError:
        try:
            return [fit(images.open(image_id), self._settings.max_pixels) for image_id in request.image_ids]
        except OSError as error:
            return error

    def _encode(self, requests: Sequence[Request], pictures: Sequence[list[Image.Image]]) -> dict[str, Any]:
        processor, _ = self._load()
        texts = [
            processor.apply_chat_template(
                conversation(request.prompt, len(request.image_ids)), tokenize=False, add_generation_prompt=True
            )
            for request in requests
        ]
        with_images = {"images": list(pictures)} if requests[0].image_ids else {}
        return dict(processor(text=texts, **with_images, padding=True, return_tensors="pt"))

    def _run(
        self, requests: list[Request], inputs: dict[str, Any], images: ImageReader, decoders: ThreadPoolExecutor
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
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        for part in (requests[:half], requests[half:]):
            yield from self._again(part, images, decoders)

    def _again(self, requests: list[Request], images: ImageReader, decoders: ThreadPoolExecutor) -> Iterator[Result]:
        prepared = self._prepare(requests, images, decoders)
        yield from prepared.failures
        yield from self._run(prepared.requests, prepared.inputs, images, decoders)

    def _generate(self, requests: list[Request], inputs: dict[str, Any]) -> list[Result]:
        processor, model = self._load()
        on_device = {
            name: value.to(self._device, model.dtype if value.is_floating_point() else None)
            for name, value in inputs.items()
        }
        prompt_length = on_device["input_ids"].shape[1]
        policy = requests[0]
        with torch.inference_mode():
            output = model.generate(
                **on_device,
                generation_config=self._generation_config(model, policy),
                logits_processor=_sampler(requests, prompt_length) if policy.temperature > 0 else None,
            )
        answers = output[:, prompt_length:].tolist()
        lengths = on_device["attention_mask"].sum(dim=1).tolist()
        stops = set(_stop_tokens(model))
        return [
            _result(processor, stops, request, answer, length)
            for request, answer, length in zip(requests, answers, lengths, strict=True)
        ]

    def _generation_config(self, model: Any, policy: Request) -> GenerationConfig:
        stops = _stop_tokens(model)
        pad = model.generation_config.pad_token_id
        return GenerationConfig(
            do_sample=False,
            num_beams=1,
            max_new_tokens=policy.max_new_tokens,
            eos_token_id=stops or None,
            pad_token_id=pad if pad is not None else (stops[0] if stops else 0),
        )

    def _load(self) -> tuple[Any, Any]:
        if self._loaded is None:
            processor = AutoProcessor.from_pretrained(self._files.folder)
            if not getattr(processor, "chat_template", None):
                raise UserError(
                    f"The processor of '{self._settings.model}' has no chat template; use an instruct model."
                )
            processor.tokenizer.padding_side = "left"
            if processor.tokenizer.pad_token is None:
                processor.tokenizer.pad_token = processor.tokenizer.eos_token
            model = AutoModelForImageTextToText.from_pretrained(
                self._files.folder, dtype=dtype_of(self.identity.dtype), **self._quantization()
            )
            self._loaded = processor, model.to(self._device).eval()
        return self._loaded

    def _quantization(self) -> dict[str, Any]:
        if self._settings.quantization == "none":
            return {}
        try:
            import bitsandbytes  # noqa: F401
        except ImportError as error:
            raise UserError("Quantised loading needs bitsandbytes: `pip install bitsandbytes`.") from error
        from transformers import BitsAndBytesConfig

        eight = self._settings.quantization == "8bit"
        return {"quantization_config": BitsAndBytesConfig(load_in_8bit=eight, load_in_4bit=not eight)}


def fit(image: Image.Image, max_pixels: int) -> Image.Image:
    """Scale a picture down to at most `max_pixels`, keeping its shape; smaller ones stay as they are."""
    pixels = image.width * image.height
    if pixels <= max_pixels:
        return image
    scale = (max_pixels / pixels) ** 0.5
    size = max(1, int(image.width * scale)), max(1, int(image.height * scale))
    return image.resize(size, Image.Resampling.BICUBIC)


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


def _stop_tokens(model: Any) -> list[int]:
    stops = model.generation_config.eos_token_id
    return [] if stops is None else [stops] if isinstance(stops, int) else list(stops)


def _result(processor: Any, stops: set[int], request: Request, answer: list[int], prompt_tokens: int) -> Result:
    end = next((place for place, token in enumerate(answer) if token in stops), None)
    tokens = answer if end is None else answer[:end]
    text = processor.tokenizer.decode(tokens, skip_special_tokens=True).strip()
    if end is None:
        error = f"no end within {request.max_new_tokens} tokens"
        return Result(request, "truncated", error, text, "length", prompt_tokens, len(tokens))
    if not text:
        return Result(request, "parse_error", "the model answered nothing", "", "stop", prompt_tokens, 0)
    return Result(request, "ok", "", text, "stop", prompt_tokens, len(tokens))


def _failure(request: Request, status: Any, error: str) -> Result:
    return Result(request, status, error, "", "", 0, 0)
