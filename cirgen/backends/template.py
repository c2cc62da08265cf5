"""Texts that need no model: the rendered template is the answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NoReturn

from cirgen.backends.base import Backend, Identity, ImageReader, Request, Result


class TemplateBackend(Backend):
    """Answers every request with its own prompt.

    Args:
        tokenizer: content hash of the tokenizer that decides when a template is too long.
        fallback_tokens: its limit, or None.
    """

    def __init__(self, tokenizer: str, fallback_tokens: int | None) -> None:
        content = f"{tokenizer}-{fallback_tokens}" if fallback_tokens is not None else ""
        self.identity = Identity("template", "", content, "template", "", "none", 0)

    def generate(self, requests: Iterable[Request], images: ImageReader) -> Iterator[Result]:  # noqa: ARG002
        """Yield the prompts."""
        for request in requests:
            yield Result(request, "ok", "", request.prompt, "template", 0, 0)

    def choose(
        self,
        requests: Iterable[Request],  # noqa: ARG002
        options: Sequence[str],  # noqa: ARG002
        images: ImageReader,  # noqa: ARG002
    ) -> NoReturn:
        """Refuse: a template believes nothing."""
        raise TypeError("a template has no probabilities")

    def likelihood(
        self,
        requests: Iterable[tuple[Request, str]],  # noqa: ARG002
        images: ImageReader,  # noqa: ARG002
    ) -> NoReturn:
        """Refuse: a template believes nothing."""
        raise TypeError("a template has no probabilities")
