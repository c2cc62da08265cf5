"""Generation by an OpenAI-compatible server: vLLM, SGLang, `transformers serve`, or one that is hosted."""

from __future__ import annotations

import asyncio
import base64
import io
import math
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

from PIL import Image

from cirgen.backends.base import Backend, Choice, Identity, ImageReader, Request, Result
from cirgen.backends.client import Client, Refused, Reply, ServerDownError
from cirgen.backends.conversation import conversation
from cirgen.backends.in_flight import in_flight
from cirgen.backends.loaded_model import fit
from cirgen.backends.options import spellings
from cirgen.errors import UserError
from cirgen.keys import MODEL_LEFT_OUT, digest, without
from cirgen.model_settings import Model, Server
from cirgen.schemas import Status

TOP = 20
"""Tokens whose probabilities are asked for: as many as vLLM and OpenAI tell."""
STRIKES = 16
"""Requests that fail one after another, each after all its tries, before a run stops: then it is not the rows."""
JPEG_QUALITY = 95
WITHHELD = frozenset({"content_filter", "tool_calls", "function_call"})
"""Ends of an answer that is no text."""

Answer = TypeVar("Answer", Result, Choice)


class ServerBackend(Backend):
    """Asks a server about one model, many requests at a time.

    Raises:
        UserError: nobody answers there, or the key is missing or wrong.
    """

    def __init__(self, settings: Model) -> None:
        self._settings = settings
        self._client = Client(settings.server, settings.model)
        self._seen_requests = self._seen_tokens = 0
        self.identity = Identity(
            model=settings.model,
            revision=settings.revision or "",
            content=served_content(settings.model, settings.revision, self._client.served(certain=True)),
            backend="openai",
            dtype="",
            quantization="none",
            max_pixels=settings.max_pixels,
            options=answering(settings.server),
        )

    def generate(self, requests: Iterable[Request], images: ImageReader) -> Iterator[Result]:
        """Yield one result per request; see `Backend.generate`."""

        async def result(request: Request) -> Result:
            reply = await self._reply(request, images, sampling(request, self._settings.server))
            if isinstance(reply, Result):
                return reply
            return read(request, reply)

        yield from self._asked(requests, result)

    def choose(self, requests: Iterable[Request], options: Sequence[str], images: ImageReader) -> Iterator[Choice]:
        """Yield one choice per request; see `Backend.choose`."""

        async def choice(request: Request) -> Choice:
            reply = await self._reply(request, images, self._first_token())
            if isinstance(reply, Result):
                return Choice(request, reply.status, reply.error)
            if reply.first_token is None:
                raise UserError(self._no_probabilities())
            shares, mass = belief(reply.first_token, options)
            return Choice(request, "ok", "", shares, mass, reply.prompt_tokens, reply.output_tokens)

        yield from self._asked(requests, choice)

    def likelihood(self, requests: Iterable[tuple[Request, str]], images: ImageReader) -> NoReturn:  # noqa: ARG002
        """Refuse: a chat completion is a new answer, never the reading of a given one."""
        raise UserError(
            f"The server of '{self._settings.model}' cannot read how probable a given text is; give the filter "
            "'likelihood' a model with backend transformers or vllm."
        )

    def check_choose(self) -> None:
        """Ask for one token and its rivals; see `Backend.check_choose`."""

        class NoImages:
            def open(self, image_id: str) -> NoReturn:
                raise FileNotFoundError(image_id)

        request = Request("", 0, "Answer yes or no.", (), 0.0, 1.0, 0, 1)
        for choice in self.choose([request], ("yes", "no"), NoImages()):
            if choice.status != "ok":
                raise UserError(
                    f"The server at {self._settings.server.base_url} does not answer a question of one token with its "
                    f"probabilities ({choice.error}); mend it, or give the filters that judge a model with backend "
                    "transformers or vllm."
                )

    def _no_probabilities(self) -> str:
        return (
            f"The server at {self._settings.server.base_url} tells no probabilities of tokens (`top_logprobs`), which "
            "judge, claims and round_trip read; serve the model with vLLM or SGLang, or give these filters a model "
            "with backend transformers or vllm."
        )

    def _first_token(self) -> dict[str, Any]:
        """Return what asks for the plain distribution of an answer's first token."""
        server = self._settings.server
        return {server.limit_name: 1, "temperature": 1.0, "logprobs": True, "top_logprobs": TOP}

    def _asked(
        self, requests: Iterable[Request], work: Callable[[Request], Coroutine[Any, Any, Answer]]
    ) -> Iterator[Answer]:
        strikes = 0
        for answer in in_flight(requests, work, self._settings.server.concurrency, self._client.close):
            yield answer
            strikes = strikes + 1 if answer.status == "engine_error" else 0
            if strikes == STRIKES:
                raise ServerDownError(
                    f"{STRIKES} requests in a row failed at {self._settings.server.base_url}, the last with: "
                    f"{answer.error}; mend the server or the recipe and give the same command again: what was "
                    "answered is kept."
                )

    async def _reply(self, request: Request, images: ImageReader, how: Mapping[str, Any]) -> Reply | Result:
        """Return what the server says, or the failure that comes of a request."""
        server = self._settings.server
        try:
            urls = await asyncio.to_thread(self._pictures, request, images)
        except OSError as error:
            return Result(request, "image_error", str(error))
        body = {"messages": messages(request.prompt, urls), **how, **server.extra_body}
        reply = await self._client.ask(body, self._expected_tokens(request))
        if isinstance(reply, Refused):
            return Result(request, "engine_error", reply.why)
        self._seen_requests += 1
        self._seen_tokens += reply.prompt_tokens + reply.output_tokens
        return reply

    def _expected_tokens(self, request: Request) -> float:
        if not self._seen_requests:
            return float(request.max_new_tokens)
        return self._seen_tokens / self._seen_requests

    def _pictures(self, request: Request, images: ImageReader) -> list[str]:
        pictures = (fit(images.open(image_id), self._settings.max_pixels) for image_id in request.image_ids)
        return [data_url(picture, self._settings.server.image_format) for picture in pictures]


def served_content(model: str, revision: str | None, listed: Sequence[Mapping[str, Any]]) -> str:
    """Return what stands for the weights of a served model: its name, its told revision, and its root on the Hub.

    A root that is a path says where the weights lie, not which they are, and is left out.
    """
    roots = [one.get("root") for one in listed if one["id"] == model]
    root = roots[0] if roots and isinstance(roots[0], str) and not roots[0].startswith(("/", ".", "~")) else ""
    return digest("served", model, revision or "", root)


def answering(server: Server) -> dict[str, Any]:
    """Return the settings of a server that can change an answer, as far as they are not the usual ones."""
    kept: dict[str, Any] = without({"server": server.model_dump(mode="json")}, MODEL_LEFT_OUT)["server"]
    usual = Server().model_dump(mode="json")
    return {name: value for name, value in kept.items() if value != usual[name]}


def sampling(request: Request, server: Server) -> dict[str, Any]:
    """Return how a request wants its text drawn, as a chat completion says it; what is as usual is not said."""
    fields: dict[str, Any] = {server.limit_name: request.max_new_tokens, "temperature": request.temperature}
    if request.top_p < 1:
        fields["top_p"] = request.top_p
    if request.top_k:
        fields["top_k"] = request.top_k
    if request.temperature > 0 and server.send_seed:
        fields["seed"] = int(digest(request.key, request.attempt)[:7], 16)  # servers hold it in 32 bits, signed
    return fields


def messages(prompt: str, urls: Sequence[str]) -> list[dict[str, Any]]:
    """Return the turn of the user, pictures as URLs in the order that the prompt asks for."""
    (turn,) = conversation(prompt, len(urls))
    if not urls:
        return [{"role": "user", "content": " ".join(part["text"] for part in turn["content"])}]
    left = iter(urls)
    content = [
        {"type": "image_url", "image_url": {"url": next(left)}} if part["type"] == "image" else part
        for part in turn["content"]
    ]
    return [{"role": "user", "content": content}]


def data_url(picture: Image.Image, image_format: str) -> str:
    """Return a picture within a URL."""
    file = io.BytesIO()
    if image_format == "png":
        picture.save(file, "PNG", compress_level=1)  # a fifth of the time of the usual level, for a tenth more bytes
    else:
        picture.save(file, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return f"data:image/{image_format};base64,{base64.b64encode(file.getvalue()).decode()}"


def read(request: Request, reply: Reply) -> Result:
    """Return the result that a server's answer to a request is."""
    text = (reply.text or "").strip()
    status: Status = "ok"
    error = ""
    if reply.finish_reason == "length":
        status, error = "truncated", f"no end within {request.max_new_tokens} tokens"
    elif reply.finish_reason in WITHHELD:
        status, error = "parse_error", f"the server ended the answer with {reply.finish_reason}"
    elif not text:
        status, error = "parse_error", "the model answered nothing"
    return Result(request, status, error, text, reply.finish_reason, reply.prompt_tokens, reply.output_tokens)


def belief(first_token: Sequence[tuple[str, float]], options: Sequence[str]) -> tuple[tuple[float, ...], float]:
    """Return how the probability of the first token falls on the options, and how much does at all.

    A token belongs to an option where some spelling of it, and of no other option, begins with the token.

    Args:
        first_token: the likeliest tokens and their log-probabilities; what is not among them counts as 0.
        options: answers such as `yes` and `no`.
    """
    beginnings = [{spelling.strip() for spelling in spellings(option)} for option in options]
    found = [0.0] * len(options)
    for token, log_probability in first_token:
        word = token.strip()
        places = [place for place, begins in enumerate(beginnings) if any(one.startswith(word) for one in begins)]
        if word and len(places) == 1:
            found[places[0]] += math.exp(min(log_probability, 0.0))
    mass = sum(found)
    if not mass:
        return tuple(1 / len(options) for _ in options), 0.0
    return tuple(share / mass for share in found), min(mass, 1.0)
