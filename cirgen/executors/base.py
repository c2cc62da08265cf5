"""Where the work of a run is done: who runs its models, and who reads its pictures."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from cirgen.backends.base import Backend
from cirgen.encoders.base import Encoder
from cirgen.model_settings import Encoder as EncoderSettings
from cirgen.model_settings import Model
from cirgen.sources.base import Item
from cirgen.sources.reading import Read


class Reader(Protocol):
    """Reads and describes images ahead of whoever commits them."""

    most: int
    """Images read and not yet asked for, at most: more would fill memory."""

    def submit(self, item: Item, key: str, attempt: int) -> Callable[[], Read]:
        """Begin to read an item; returns what waits for it."""
        ...


class Executor(Protocol):
    """Hands out who works; whatever it hands out gives the same rows as any other's."""

    def backend(self, settings: Model) -> Backend:
        """Return who runs a generative model; weights are loaded at the first request."""
        ...

    def encoder(self, settings: EncoderSettings) -> Encoder:
        """Return who runs an encoder; weights are loaded at the first call."""
        ...

    def reader(self) -> AbstractContextManager[Reader]:
        """Open who reads images; what is not yet asked for when it is closed is given up."""
        ...

    def close(self) -> None:
        """Give back what was held."""
        ...
