"""One question to an OpenAI-compatible server: at the pace it allows, tried again where that can help."""

from __future__ import annotations

import asyncio
import json
import math
import os
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from cirgen.backends.pace import Pace
from cirgen.errors import UserError
from cirgen.model_settings import Server

if TYPE_CHECKING:
    import openai
    import tenacity

NO_KEY = "none"
"""Sent where the recipe names no key: the client insists on one, and must not find another server's by itself."""
PASSING = frozenset({408, 409, 425, 429})
"""Statuses, beside those from 500 on, that another try may mend."""
NOT_NOW = frozenset({408, 425, 429, 502, 503, 504})
"""Statuses of a question that is answered at another time; not 500, with which `transformers serve` says that it keeps
no list of models."""
CLOSED = {401: "wants a key, or another one", 402: "wants to be paid", 403: "refuses this key"}
SPENT_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
"""What a server calls a 429 that no waiting mends."""
LONGEST_BACKOFF = 60.0
LONGEST_PAUSE = 3600.0
"""Seconds; a server that asks for more is as good as down."""
PROBE_SECONDS = 10.0
PROBE_TRIES = 3
MOST_TOKENS = 2**31 - 1  # that a row has room for
LEAST_KEY = 16
"""Characters of a key that no text has by chance."""
SHOWN = 300
"""Characters of a server's words that are passed on."""
INSTALL = "pip install 'cirgen[server]'"


class Refused(NamedTuple):
    """A request that got no answer."""

    why: str


class Reply(NamedTuple):
    """What a server answered."""

    text: str | None
    finish_reason: str
    prompt_tokens: int
    output_tokens: int
    first_token: list[tuple[str, float]] | None
    """Tokens that the answer could begin with, and their log-probabilities; None where they are not told."""


class WrongAnswerError(Exception):
    """An answer that is no chat completion."""


class ServerDownError(UserError):
    """Nobody answers at the server's address."""


class Client:
    """Asks one server. What it counts holds for one event loop after another.

    Args:
        server: where it is, and how fast it may be asked.
        model: as the server calls it.
    """

    def __init__(self, server: Server, model: str) -> None:
        self.server = server
        self.model = model
        self._requests = Pace(server.requests_per_minute)
        self._tokens = Pace(server.tokens_per_minute)
        self._key = key_of(server)
        self._open: openai.AsyncOpenAI | None = None

    def _client(self) -> openai.AsyncOpenAI:
        if self._open is None:
            self._open = _openai().AsyncOpenAI(
                base_url=self.server.base_url,
                api_key=self._key or NO_KEY,
                timeout=self.server.timeout,
                max_retries=0,  # which would forget a Retry-After of more than a minute, and know nothing of the pace
            )
        return self._open

    async def close(self) -> None:
        """Let go of connections; the next question opens others."""
        if self._open is not None:
            await self._open.close()
            self._open = None

    async def ask(self, body: Mapping[str, Any], expected_tokens: float) -> Reply | Refused:
        """Return the answer to a request, or why there is none after all tries.

        Args:
            body: beside the model's name.
            expected_tokens: of prompt and answer.

        Raises:
            UserError: no request to this server can succeed.
        """
        import tenacity

        retrying = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(self.server.retries + 1),
            wait=self._wait,
            retry=tenacity.retry_if_exception(self._passes),
            reraise=True,
        )
        try:
            return await retrying(self._once, body, expected_tokens)
        except (_openai().OpenAIError, WrongAnswerError, TimeoutError) as error:
            await self._raise_if_hopeless(error)
            return Refused(self.told(error))

    async def _once(self, body: Mapping[str, Any], expected_tokens: float) -> Reply:
        await self._requests.turn()
        await self._tokens.turn(expected_tokens)
        create = self._client().chat.completions.with_raw_response.create
        async with asyncio.timeout(self.server.timeout):
            raw = await create(model=self.model, messages=body["messages"], extra_body=dict(body))
        reply = reply_of(self._without_key(raw.text))
        self._tokens.pay(reply.prompt_tokens + reply.output_tokens - expected_tokens)
        return reply

    def _passes(self, error: BaseException) -> bool:
        """Return whether another try may end better; where the server names a time, hold everything until then."""
        openai = _openai()
        if isinstance(error, openai.APIStatusError):
            if error.code in SPENT_CODES or not (error.status_code in PASSING or error.status_code >= 500):
                return False
            pause = retry_after(error.response.headers)
            if pause > LONGEST_PAUSE:
                return False
            self._requests.pause(pause)
            return True
        return isinstance(error, openai.APIConnectionError | WrongAnswerError | TimeoutError)

    def _wait(self, state: tenacity.RetryCallState) -> float:
        """Return seconds: doubled after every try, somewhere in their upper half; or as told, where that is longer."""
        from tenacity import wait_random

        error = state.outcome.exception() if state.outcome else None
        told = retry_after(error.response.headers) if isinstance(error, _openai().APIStatusError) else 0.0
        backoff = min(LONGEST_BACKOFF, self.server.backoff * 2.0 ** (state.attempt_number - 1))
        return max(told, float(wait_random(backoff / 2, backoff)(state)))

    async def _raise_if_hopeless(self, error: Exception) -> None:
        """Raise where the next request would fail, too.

        Raises:
            UserError: the server is closed to this key, does not know the model, or is not there any more.
        """
        openai = _openai()
        if isinstance(error, openai.APIStatusError):
            if error.code in SPENT_CODES or error.status_code in CLOSED:
                raise self._closed(error) from error
            if error.status_code == 404:
                names = await asyncio.to_thread(lambda: [one["id"] for one in self.served()])
                raise UserError(
                    f"The server at {self.server.base_url} does not know the model '{self.model}' "
                    f"(it lists: {', '.join(names) or 'none'}); correct the model, or the base_url: {self.told(error)}"
                )
        else:
            await asyncio.to_thread(self.served)

    def _closed(self, error: openai.APIStatusError) -> UserError:
        why = "says that the account is used up" if error.code in SPENT_CODES else CLOSED[error.status_code]
        name = self.server.api_key_env
        advice = f"look at the key in {name}" if name else "name the variable that holds a key as server.api_key_env"
        return UserError(f"The server at {self.server.base_url} {why}; {advice}: {self.told(error)}")

    def told(self, error: BaseException) -> str:
        """Return what a failure says in one line, never with the key in it."""
        cause = f" ({error.__cause__})" if error.__cause__ is not None and str(error.__cause__) else ""
        text = " ".join(f"{error or type(error).__name__}{cause}".split())
        return (text.replace(self._key, "***") if self._key else text)[:SHOWN]

    def _without_key(self, text: str) -> str:
        """Return what a server sent, its copies of the key taken out; a word for a key, such as `none`, stays."""
        return text.replace(self._key, "***") if self._key and len(self._key) >= LEAST_KEY else text

    def served(self, certain: bool = False) -> list[dict[str, Any]]:
        """Return what the server lists as its models; nothing where it keeps no list.

        Args:
            certain: raise, rather than return nothing, where it may keep one and cannot tell it now.

        Raises:
            ServerDownError: nobody answers, or not now.
            UserError: it refuses the key.
        """
        openai = _openai()
        client = openai.OpenAI(
            base_url=self.server.base_url,
            api_key=self._key or NO_KEY,
            timeout=PROBE_SECONDS,
            max_retries=PROBE_TRIES - 1,
        )
        try:
            with client:
                listed = json.loads(client.models.with_raw_response.list().text)["data"]
            return [one for one in listed if isinstance(one, dict) and isinstance(one.get("id"), str)]
        except openai.APIConnectionError as error:
            raise ServerDownError(
                f"No server answers at {self.server.base_url} ({self.told(error)}); start it, or correct "
                "server.base_url, and give the same command again: what was answered is kept."
            ) from error
        except openai.APIStatusError as error:
            if error.status_code in CLOSED:
                raise self._closed(error) from error
            if certain and error.status_code in NOT_NOW:
                raise ServerDownError(
                    f"The server at {self.server.base_url} cannot say now which models it serves "
                    f"({self.told(error)}); give the same command again when it can: what was answered is kept."
                ) from error
            return []
        except (ValueError, KeyError, TypeError):
            return []


def key_of(server: Server) -> str | None:
    """Return the key of a server.

    Raises:
        UserError: the recipe names a variable that is not set.
    """
    if server.api_key_env is None:
        return None
    key = os.environ.get(server.api_key_env, "").strip()
    if not key:
        raise UserError(
            f"The environment variable {server.api_key_env} is not set; export it with the server's key, since the "
            "recipe names it as server.api_key_env."
        )
    return key


def retry_after(headers: Mapping[str, str]) -> float:
    """Return the seconds that a server asks to wait, 0 where it says nothing of the kind."""
    told = headers.get("retry-after", "").strip()
    try:
        return max(0.0, float(told))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(told).timestamp() - time.time())
    except (ValueError, TypeError):
        return 0.0


def reply_of(text: str) -> Reply:
    """Read a chat completion.

    Raises:
        WrongAnswerError: it is none.
    """
    try:
        answer = json.loads(text)
        choice = answer["choices"][0]
        content, told = choice["message"].get("content"), answer.get("usage")
        usage = told if isinstance(told, dict) else {}
        if not isinstance(content, str | None):
            raise TypeError("its content is no text")
        return Reply(
            None if content is None else _clean(content),
            _clean(str(choice.get("finish_reason") or "")),
            _tokens(usage.get("prompt_tokens")),
            _tokens(usage.get("completion_tokens")),
            _first_token(choice),
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise WrongAnswerError(f"the answer is no chat completion ({error!r}): {text}") from error


def _clean(text: str) -> str:
    """Replace halves of characters, which JSON can hold and UTF-8 cannot."""
    return text.encode("utf8", "replace").decode("utf8")


def _tokens(told: Any) -> int:
    """Return a number of tokens, 0 where what is told is none."""
    sane = isinstance(told, int | float) and 0 <= told <= MOST_TOKENS
    return int(told) if sane else 0


def _first_token(choice: Mapping[str, Any]) -> list[tuple[str, float]] | None:
    tokens = (choice.get("logprobs") or {}).get("content") or []
    found = tokens[0].get("top_logprobs") if tokens else None
    if not found:
        return None
    told = [(_clean(str(one["token"])), float(one["logprob"])) for one in found]
    if any(math.isnan(logprob) or logprob == math.inf for _, logprob in told):
        raise ValueError("a logarithm of a probability is no number")
    return told


def _openai() -> Any:
    try:
        import openai
        import tenacity  # noqa: F401
    except ImportError as error:
        raise UserError(f"The backend 'openai' needs its client: `{INSTALL}`.") from error
    return openai
