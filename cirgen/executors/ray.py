"""The work of a run on a Ray cluster: models in copies that come and go, pictures read where there is room.

The process that runs the pipeline hands rows out and writes what comes back: the store knows nothing of the cluster.
"""

from __future__ import annotations

import importlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from cirgen.backends.base import Backend
from cirgen.devices import pick_dtype
from cirgen.encoders.base import Encoder
from cirgen.errors import UserError, one_line
from cirgen.executors.local import Local
from cirgen.executors.pool import Needs, Pool
from cirgen.executors.pooled import PooledBackend, PooledEncoder
from cirgen.executors.reading import ClusterReader
from cirgen.executors.settings import RaySettings
from cirgen.keys import digest
from cirgen.model_settings import Encoder as EncoderSettings
from cirgen.model_settings import Model

INSTALL = "pip install 'cirgen[ray]'"
LOOK_SECONDS = 2.0
"""Between two looks for copies that have been idle for too long."""


class Ray:
    """Runs models on a cluster.

    Args:
        settings: the recipe's section `ray`.
        say: prints one line for the user.

    Raises:
        UserError: Ray is not installed, or there is no such cluster.
    """

    def __init__(self, settings: RaySettings, say: Callable[[str], None] = lambda _: None) -> None:
        self._settings = settings
        self._say = say
        self._local = Local()
        self._began = _connect(settings, say)
        self._gpus = _gpus(settings)
        self._pools: dict[Model | EncoderSettings, Pool] = {}
        self._closed = threading.Event()
        threading.Thread(target=self._tidy, name="ray idle", daemon=True).start()

    def backend(self, settings: Model) -> Backend:
        """Return who runs a generative model; a server is asked from here, since it is the one that works."""
        if settings.backend == "openai":
            return self._local.backend(settings)
        here = self._local.backend(self._on(settings, "cpu"))
        pool = self._pool(self._on(settings), digest(here.identity.key_part()), settings.batch_size)
        return PooledBackend(here, pool)

    def encoder(self, settings: EncoderSettings) -> Encoder:
        """Return who runs an encoder."""
        here = self._local.encoder(self._on(settings, "cpu"))
        return PooledEncoder(here, self._pool(self._on(settings), here.identity, settings.batch_shape))

    @contextmanager
    def reader(self) -> Iterator[ClusterReader]:
        """Open who reads images."""
        reader = ClusterReader()
        try:
            yield reader
        finally:
            reader.close()

    def close(self) -> None:
        """End the copies, and the cluster where it was begun here."""
        self._closed.set()
        ray = ray_module()
        if not ray.is_initialized():
            return
        for pool in self._pools.values():
            pool.close()
        if self._began:
            ray.shutdown()

    def _on(self, settings: Any, device: str = "") -> Any:
        """Return settings of a model as a copy has them, or, on a `device`, as this process needs them for its keys.

        A number format of `auto` is that of the copies: this machine may have a GPU where they have none.
        """
        import torch

        kind = "cuda" if self._gpus else "cpu"
        dtype = pick_dtype(settings.dtype, torch.device(kind))
        return settings.model_copy(update={"dtype": dtype, "device": device or ("auto" if self._gpus else "cpu")})

    def _pool(self, settings: Model | EncoderSettings, identity: str, batch: int) -> Pool:
        """Return the copies of a model, which those that differ in speed alone share."""
        key = settings.of_any_speed() if isinstance(settings, Model) else settings
        if key not in self._pools:
            needs = Needs(self._settings.cpus, self._gpus)
            self._pools[key] = Pool(settings, identity, needs, batch, self._settings, self._make_room, self._say)
        return self._pools[key]

    def _make_room(self) -> None:
        """End one copy of a model that nobody asks."""
        for pool in self._pools.values():
            copies = len(pool.copies)
            if copies and pool.release_idle(time.monotonic(), 0.0, copies - 1):
                return

    def _tidy(self) -> None:
        """End copies that have been idle for too long."""
        while not self._closed.wait(LOOK_SECONDS):
            for pool in list(self._pools.values()):
                pool.release_idle(time.monotonic(), self._settings.idle_seconds, self._settings.min_replicas)


def ray_module() -> Any:
    """Import Ray.

    Raises:
        UserError: it is not there.
    """
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise UserError(f"`--executor ray` needs Ray ({error}): `{INSTALL}`.") from error


def _connect(settings: RaySettings, say: Callable[[str], None]) -> bool:
    """Connect to the cluster; returns whether that was done here, and is to be undone here."""
    ray = ray_module()
    if ray.is_initialized():
        return False
    address = settings.address or os.environ.get("RAY_ADDRESS")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # what this process begins tells nobody
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        if address:
            ray.init(address=address, **options)
        else:
            ray.init(address="local", include_dashboard=False, **options)
    except Exception as error:  # it raises errors of every kind, and bare ones
        if not address:
            raise UserError(
                f"Ray does not start on this machine ({one_line(error)}); give the command when less is going on, "
                "or name a cluster as ray.address."
            ) from error
        raise UserError(
            f"Ray finds no cluster at {address} that fits this installation ({one_line(error)}); begin one with "
            "`ray start --head`, correct ray.address or RAY_ADDRESS, or leave both out."
        ) from error
    say(f"Ray: {_described(ray)}.")
    return True


def _described(ray: Any) -> str:
    """Return what a cluster has, in words."""
    nodes = [node for node in ray.nodes() if node["Alive"]]
    cpus, gpus = (sum(node["Resources"].get(kind, 0.0) for node in nodes) for kind in ("CPU", "GPU"))
    machines = "one machine" if len(nodes) == 1 else f"{len(nodes)} machines"
    return f"{machines}, {cpus:g} CPUs, {gpus:g} GPUs"


def _gpus(settings: RaySettings) -> float:
    """Return how many GPUs a copy takes."""
    if settings.gpus is not None:
        return settings.gpus
    return 1.0 if ray_module().cluster_resources().get("GPU", 0.0) else 0.0
