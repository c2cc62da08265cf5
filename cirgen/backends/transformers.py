"""Generation with transformers: rows are read ahead of the model and answered together, whatever their lengths."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence

from cirgen.backends.ahead import Ahead, processes_for
from cirgen.backends.base import Backend, Choice, ImageReader, Likelihood, Request, Result
from cirgen.backends.choosing import Chooser
from cirgen.backends.likelihoods import Reader
from cirgen.backends.limits import Limits
from cirgen.backends.loaded_model import LoadedModel
from cirgen.backends.speed import Speed, peak_bytes
from cirgen.backends.supply import Supply
from cirgen.model_settings import Model

AHEAD_BATCHES = 2
"""Batches that are read while the model works, beyond those that wait."""


class TransformersBackend(Backend):
    """Runs one image-text-to-text model in this process; weights are loaded at the first request."""

    def __init__(self, settings: Model, loaded: LoadedModel | None = None) -> None:
        """Take the settings, and weights where another backend has them already."""
        self._settings = settings
        self._loaded = loaded or LoadedModel(settings)
        self._limits = Limits(settings.batch_size, settings.batch_tokens)
        self._readers: Ahead | None = None
        self._speed = self._new_speed()
        self.identity = self._loaded.identity

    def choose(self, requests: Iterable[Request], options: Sequence[str], images: ImageReader) -> Iterator[Choice]:
        """Yield one choice per request; see `Backend.choose`."""
        return Chooser(self._loaded, options).run(requests, self._ahead(images))

    def likelihood(self, requests: Iterable[tuple[Request, str]], images: ImageReader) -> Iterator[Likelihood]:
        """Yield one likelihood per request and text; see `Backend.likelihood`."""
        return Reader(self._loaded).run(requests, self._ahead(images))

    def take_speed(self) -> Speed:
        """Return what was counted since this was last asked, and count anew."""
        speed, self._speed = self._speed, self._new_speed()
        speed.peak_bytes = peak_bytes(self._loaded.device)
        return speed

    def _new_speed(self) -> Speed:
        return Speed(peak_tflops=self._settings.peak_tflops or 0.0)

    def generate(self, requests: Iterable[Request], images: ImageReader) -> Iterator[Result]:
        """Yield one result per request; see `Backend.generate`."""
        from cirgen.backends.answering import Answering

        ahead = self._ahead(images)
        read = ahead.read(requests, lambda request: request, AHEAD_BATCHES * self._settings.batch_size)
        supply = Supply(read, self._limits, self._settings.batch_size)
        speed = self._speed
        waited, start = ahead.waited, time.perf_counter()
        for results in Answering(self._loaded, supply, self._limits, speed).run():
            speed.seconds += time.perf_counter() - start
            speed.waited_seconds += ahead.waited - waited
            yield from results
            waited, start = ahead.waited, time.perf_counter()
        speed.seconds += time.perf_counter() - start

    def _ahead(self, images: ImageReader) -> Ahead:
        """Return the workers that read these pictures; those of other pictures end."""
        if self._readers is None or self._readers.images is not images:
            if self._readers is not None:
                self._readers.close()
            _ = self._loaded.processor  # a processor that cannot be loaded is told once, here
            count = processes_for(self._loaded.device, self._settings.workers)
            self._readers = Ahead(self._loaded.encoder, images, count)
        return self._readers
