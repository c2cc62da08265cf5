"""Texts that need no model: the rendered template is the answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

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
