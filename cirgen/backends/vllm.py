"""Generation with vLLM in this process: requests go in as it has room, answers come out as they are done."""

from __future__ import annotations

import importlib
import itertools
import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from typing import Any, NamedTuple

from PIL import Image

from cirgen.backends.base import Backend, Choice, Identity, ImageReader, Likelihood, Request, Result
from cirgen.backends.conversation import conversation
from cirgen.backends.loaded_model import fit
from cirgen.backends.options import option_tokens
from cirgen.devices import pick_device, pick_dtype
from cirgen.errors import UserError, one_line
from cirgen.keys import MODEL_LEFT_OUT, digest, without
from cirgen.model_files import ModelFiles, find_model, opened
from cirgen.model_settings import Model
from cirgen.schemas import Status

INSTALL = "pip install 'cirgen[vllm]'"
DECODERS = 2
"""Threads that decode pictures; Pillow releases the interpreter lock."""
AHEAD = 64
"""Requests that wait in the engine beyond those it runs, so that none of its places is empty."""
FED = 8
"""Requests that go in between two looks at what came out."""
TOP = 20
"""Tokens whose probabilities are asked for: as many as the engine tells unless its options say otherwise."""


class Asked(NamedTuple):
    """A question, and the answer to read where there is one."""

    request: Request
    answer: tuple[int, ...] = ()


class Failed(NamedTuple):
    """A question that got no answer."""

    asked: Asked
    status: Status
    error: str


class Answered(NamedTuple):
    """What the engine says of a question (`vllm.RequestOutput`)."""

    asked: Asked
    output: Any


class VllmBackend(Backend):
    """Runs one model in vLLM; the engine starts at the first request."""

    def __init__(self, settings: Model) -> None:
        vllm_module()
        self._settings = settings
        self._files: ModelFiles = find_model(settings.model, settings.revision)
        self._numbers = itertools.count()
        left = without({"engine": settings.engine}, MODEL_LEFT_OUT)["engine"]
        self.identity = Identity(
            model=settings.model,
            revision=self._files.revision,
            content=self._files.content,
            backend="vllm",
            dtype=pick_dtype(settings.dtype, pick_device("auto")),
            quantization="none",
            max_pixels=settings.max_pixels,
            options=left,
        )

    @cached_property
    def engine(self) -> Any:
        """The engine (`vllm.LLMEngine`), with the options of the recipe.

        Raises:
            UserError: it does not know one of them, or does not start.
        """
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
        vllm = vllm_module()
        try:
            known = vllm.EngineArgs(
                **{"model": str(self._files.folder), "dtype": self.identity.dtype, **self._settings.engine}
            )
        except TypeError as error:
            raise UserError(f"vLLM does not know an option under 'engine' ({error}); correct or remove it.") from error
        try:
            return vllm.LLMEngine.from_engine_args(known)
        except Exception as error:  # of no common kind
            raise UserError(
                f"vLLM does not start with '{self._settings.model}' and the options under 'engine' "
                f"({one_line(error)}); mend them, or take backend transformers."
            ) from error

    @cached_property
    def processor(self) -> Any:
        """The processor, which knows the chat template."""
        from transformers import AutoProcessor

        processor = opened(AutoProcessor, self._files.folder, bool(self._settings.engine.get("trust_remote_code")))
        if not getattr(processor, "chat_template", None):
            raise UserError(f"The processor of '{self._settings.model}' has no chat template; use an instruct model.")
        return processor

    @cached_property
    def stop_tokens(self) -> list[int]:
        """The tokens that end an answer, the tokenizer's own first."""
        from transformers import GenerationConfig

        try:
            listed = GenerationConfig.from_pretrained(self._files.folder).eos_token_id
        except OSError:
            listed = None
        own = self.processor.tokenizer.eos_token_id
        stops = [listed] if isinstance(listed, int) else list(listed or [])
        return [stop for stop in dict.fromkeys([own, *stops]) if stop is not None]

    def generate(self, requests: Iterable[Request], images: ImageReader) -> Iterator[Result]:
        """Yield one result per request; see `Backend.generate`."""
        for found in self._run(map(Asked, requests), images, self._sampling):
            if isinstance(found, Failed):
                yield Result(found.asked.request, found.status, found.error)
            else:
                yield _result(found.asked.request, found.output)

    def choose(self, requests: Iterable[Request], options: Sequence[str], images: ImageReader) -> Iterator[Choice]:
        """Yield one choice per request; see `Backend.choose`. Options beyond the likeliest tokens count as 0."""
        tokens = option_tokens(self.processor.tokenizer, options)
        for found in self._run(map(Asked, requests), images, self._first_token):
            if isinstance(found, Failed):
                yield Choice(found.asked.request, found.status, found.error)
            else:
                (answer,) = found.output.outputs
                shares, mass = _shares(answer.logprobs[0], tokens)
                yield Choice(found.asked.request, "ok", "", shares, mass, len(found.output.prompt_token_ids), 1)

    def likelihood(self, requests: Iterable[tuple[Request, str]], images: ImageReader) -> Iterator[Likelihood]:
        """Yield one likelihood per request and text; see `Backend.likelihood`."""
        for found in self._run((self._to_read(*one) for one in requests), images, self._reading):
            request = found.asked.request
            if isinstance(found, Failed):
                yield Likelihood(request, found.status, found.error)
            else:
                answer = found.asked.answer
                whole = _log_likelihood(found.output.prompt_logprobs[-len(answer) :], answer, self.stop_tokens)
                yield Likelihood(request, "ok", "", whole, len(answer), len(found.output.prompt_token_ids))

    def _to_read(self, request: Request, text: str) -> Asked:
        answer = self.processor.tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
        return Asked(request, (*answer, self.stop_tokens[0]))

    def _sampling(self, asked: Asked) -> Any:
        request = asked.request
        return vllm_module().SamplingParams(
            temperature=request.temperature,
            top_p=request.top_p,
            top_k=request.top_k,
            max_tokens=request.max_new_tokens,
            seed=int(digest(request.key, request.attempt)[:15], 16) if request.temperature > 0 else None,
        )

    def _first_token(self, asked: Asked) -> Any:
        del asked
        return vllm_module().SamplingParams(temperature=0.0, max_tokens=1, logprobs=TOP)

    def _reading(self, asked: Asked) -> Any:
        del asked
        ends = TOP if len(self.stop_tokens) > 1 else 0  # the answer's own tokens are told whatever their rank
        return vllm_module().SamplingParams(temperature=0.0, max_tokens=1, prompt_logprobs=ends)

    def _run(
        self, questions: Iterable[Asked], images: ImageReader, how: Callable[[Asked], Any]
    ) -> Iterator[Answered | Failed]:
        """Keep the engine full, and yield what comes of each question."""
        running: dict[str, Asked] = {}
        most = self.engine.vllm_config.scheduler_config.max_num_seqs + AHEAD
        decoded = self._decoded(questions, images)
        try:
            while True:
                room = min(FED, most - len(running))
                for asked, pictures in itertools.islice(decoded, room):
                    failed = self._add(asked, pictures, how, running)
                    if failed:
                        yield failed
                if not running:
                    if room:
                        return
                    continue
                yield from self._done(running)
        finally:
            if running:
                self.engine.abort_request(list(running))

    def _add(
        self,
        asked: Asked,
        pictures: list[Image.Image] | OSError,
        how: Callable[[Asked], Any],
        running: dict[str, Asked],
    ) -> Failed | None:
        """Hand a question to the engine, or return why it cannot be asked."""
        if isinstance(pictures, OSError):
            return Failed(asked, "image_error", str(pictures))
        number, params = str(next(self._numbers)), self._checked(how, asked)
        try:
            self.engine.add_request(number, self._prompt(asked, pictures), params)
        except _dead() as error:
            raise _stopped(error) from error
        except Exception as error:  # whatever a processor takes amiss; vLLM's own errors are of no common kind
            return Failed(asked, "parse_error", f"the prompt cannot be read: {one_line(error)}")
        running[number] = asked
        return None

    def _checked(self, how: Callable[[Asked], Any], asked: Asked) -> Any:
        """Return vLLM's parameters of a question.

        Raises:
            UserError: vLLM cannot draw texts as the recipe says, which holds for every question.
        """
        try:
            return how(asked)
        except Exception as error:  # as above
            raise UserError(
                f"vLLM cannot draw texts as the recipe says ({one_line(error)}); correct the sampling there."
            ) from error

    def _done(self, running: dict[str, Asked]) -> Iterator[Answered | Failed]:
        """Let the engine do a step, and yield the questions that it answered in it."""
        try:
            outputs = self.engine.step()
        except _dead() as error:
            raise _stopped(error) from error
        for output in outputs:
            asked = running.pop(output.request_id, None) if output.finished else None
            if asked is None:
                continue
            reason = output.outputs[0].finish_reason
            if reason in ("stop", "length"):
                yield Answered(asked, output)
            else:
                yield Failed(asked, "engine_error", f"the engine ended the answer with {reason}")

    def _prompt(self, asked: Asked, pictures: Sequence[Image.Image]) -> dict[str, Any]:
        """Return what the engine reads: tokens, an answer behind them where one is read, pictures by their names.

        The engine remembers what it made of a picture under its name, for the next question that shows it.
        """
        request, tokenizer = asked.request, self.processor.tokenizer
        text = self.processor.apply_chat_template(
            conversation(request.prompt, len(request.image_ids)), tokenize=False, add_generation_prompt=True
        )
        begins = bool(tokenizer.bos_token) and text.startswith(tokenizer.bos_token)
        prompt: dict[str, Any] = {
            "prompt_token_ids": [*tokenizer.encode(text, add_special_tokens=not begins), *asked.answer]
        }
        if pictures:
            names = [f"{image_id}-{self._settings.max_pixels}" for image_id in request.image_ids]
            prompt |= {"multi_modal_data": {"image": list(pictures)}, "multi_modal_uuids": {"image": names}}
        return prompt

    def _decoded(
        self, questions: Iterable[Asked], images: ImageReader
    ) -> Iterator[tuple[Asked, list[Image.Image] | OSError]]:
        """Yield questions with their pictures, a few of them decoded ahead."""

        def opened(asked: Asked) -> list[Image.Image] | OSError:
            try:
                return [fit(images.open(image_id), self._settings.max_pixels) for image_id in asked.request.image_ids]
            except OSError as error:
                return error

        waiting: deque[tuple[Asked, Future[list[Image.Image] | OSError]]] = deque()
        with ThreadPoolExecutor(DECODERS) as pool:
            for asked in questions:
                waiting.append((asked, pool.submit(opened, asked)))
                if len(waiting) > FED:
                    first, pictures = waiting.popleft()
                    yield first, pictures.result()
            while waiting:
                first, pictures = waiting.popleft()
                yield first, pictures.result()


def vllm_module() -> Any:
    """Import vLLM.

    Raises:
        UserError: it is not there, or its parts do not fit together.
    """
    try:
        return importlib.import_module("vllm")
    except (ImportError, RuntimeError) as error:
        raise UserError(f"The backend 'vllm' cannot import vLLM ({one_line(error)}): `{INSTALL}`.") from error


def _dead() -> type[Exception]:
    """Return what vLLM raises when its engine is no more."""
    error: type[Exception] = importlib.import_module("vllm.v1.engine.exceptions").EngineDeadError
    return error


def _stopped(error: Exception) -> UserError:
    return UserError(
        f"vLLM stopped in the middle ({one_line(error)}); give the same command again, with less "
        "gpu_memory_utilization under 'engine' if memory ran out: what was answered is kept."
    )


def _result(request: Request, output: Any) -> Result:
    (answer,) = output.outputs
    text, tokens = answer.text.strip(), (len(output.prompt_token_ids), len(answer.token_ids))
    if answer.finish_reason == "length":
        return Result(request, "truncated", f"no end within {request.max_new_tokens} tokens", text, "length", *tokens)
    if not text:
        return Result(request, "parse_error", "the model answered nothing", "", "stop", *tokens)
    return Result(request, "ok", "", text, "stop", *tokens)


def _shares(logprobs: Mapping[int, Any], tokens: Sequence[Sequence[int]]) -> tuple[tuple[float, ...], float]:
    """Return how the probability of a token falls on the options, and how much does at all."""
    found = [sum(math.exp(logprobs[token].logprob) for token in own if token in logprobs) for own in tokens]
    mass = sum(found)
    if not mass:
        return tuple(1 / len(tokens) for _ in tokens), 0.0
    return tuple(share / mass for share in found), min(mass, 1.0)


def _log_likelihood(logprobs: Sequence[Mapping[int, Any]], answer: Sequence[int], stops: Sequence[int]) -> float:
    """Return that of an answer whose last token is its end, given the probabilities of each of its tokens."""
    told = sum(place[token].logprob for place, token in zip(logprobs[:-1], answer[:-1], strict=True))
    end = sum(math.exp(logprobs[-1][stop].logprob) for stop in stops if stop in logprobs[-1])
    return float(told) + math.log(max(end, 1e-300))
