"""All the work in this process and its own workers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cirgen.model_settings import Encoder as EncoderSettings
from cirgen.model_settings import Model
from cirgen.sources.base import Item
from cirgen.sources.reading import Read, read_item

if TYPE_CHECKING:
    from cirgen.backends.base import Backend
    from cirgen.backends.loaded_model import LoadedModel
    from cirgen.encoders.transformers import TransformersEncoder

READERS = min(8, os.cpu_count() or 1)


class Local:
    """Runs models here; models that differ in speed alone share their weights."""

    def __init__(self) -> None:
        self._loaded: dict[Model, LoadedModel] = {}

    def backend(self, settings: Model) -> Backend:
        """Return who runs a generative model."""
        if settings.backend == "openai":
            from cirgen.backends.server import ServerBackend

            return ServerBackend(settings)
        if settings.backend == "vllm":
            from cirgen.backends.vllm import VllmBackend

            return VllmBackend(settings)
        from cirgen.backends.replicas import Replicas, visible_devices
        from cirgen.backends.transformers import TransformersBackend

        devices = visible_devices(settings.device)
        if len(devices) > 1:
            return Replicas(settings, devices)
        return TransformersBackend(settings, self._weights(settings))

    def _weights(self, settings: Model) -> LoadedModel:
        """Return the model's weights, which one that differs in speed alone shares."""
        from cirgen.backends.loaded_model import LoadedModel

        of_any_speed = settings.of_any_speed()
        if of_any_speed not in self._loaded:
            self._loaded[of_any_speed] = LoadedModel(of_any_speed)
        return self._loaded[of_any_speed]

    def encoder(self, settings: EncoderSettings) -> TransformersEncoder:
        """Return who runs an encoder."""
        from cirgen.encoders.transformers import TransformersEncoder

        return TransformersEncoder(settings)

    @contextmanager
    def reader(self) -> Iterator[LocalReader]:
        """Open threads that read images."""
        with ThreadPoolExecutor(READERS, thread_name_prefix="ingest") as pool:
            try:
                yield LocalReader(pool)
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def close(self) -> None:
        """Hold nothing."""


class LocalReader:
    """Reads images in threads."""

    most = 4 * READERS

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool

    def submit(self, item: Item, key: str, attempt: int) -> Callable[[], Read]:
        """Read and decode an item as soon as a thread is free."""
        return self._pool.submit(read_item, item, key, attempt).result
