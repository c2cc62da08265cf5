"""How work is spread over a Ray cluster: settings of speed and place, none of which changes a row."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from cirgen.settings import Name, Settings


class RaySettings(Settings):
    """The section `ray` of a recipe; `cirgen run --executor ray` reads it."""

    address: Name | None = None
    """`auto`, or HOST:PORT of the head; null is what RAY_ADDRESS says, else a cluster of this machine alone."""
    min_replicas: int = Field(0, ge=0, le=100_000)
    """Copies of a model that stay once they are loaded, work or none."""
    max_replicas: int | None = Field(None, ge=1, le=100_000)
    """Copies of a model at most; null for what the cluster holds now. More than that makes an autoscaler grow it."""
    gpus: float | None = Field(None, ge=0, le=1_000)
    """Of a copy of a model; 0.5 lets two share one; null for 1 where the cluster has GPUs, else 0."""
    cpus: float = Field(1.0, gt=0, le=10_000)
    """Cores of a copy of a model, which are also the threads that it computes with where it has no GPU."""
    idle_seconds: float = Field(60.0, ge=0, le=86_400)
    """A copy that has had no work for so long gives its place back, down to `min_replicas`."""

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        if self.max_replicas is not None and self.min_replicas > self.max_replicas:
            raise ValueError(f"min_replicas {self.min_replicas} is above max_replicas {self.max_replicas}; swap them")
        return self
