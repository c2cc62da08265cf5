"""A filter has two halves: `score`, row by row and stored; `decide`, pure, over all rows, without a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict


class FilterSettings(BaseModel):
    """What every filter can be told."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Score(NamedTuple):
    """What a filter measured on one triplet: named values, and a detail for the reader."""

    values: dict[str, float]
    detail: str = ""


class Embeddings(Protocol):
    """Embeddings of the run's encoder, L2-normalised, each image and text encoded once and stored."""

    identity: str
    """Content hash of the encoder and of how it runs; a part of every score key that depends on it."""

    def images(self, image_ids: Sequence[str]) -> NDArray[np.float32]:
        """Return image embeddings [len(image_ids), d]."""
        ...

    def texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return text embeddings [len(texts), d], encoding and storing those not seen before."""
        ...


class Filter(ABC):
    """Drops triplets, with a reason."""

    Settings: ClassVar[type[FilterSettings]]
    version: ClassVar[int] = 1
    """Raise when `score` changes its meaning: stored scores are then measured again."""
    needs_embeddings: ClassVar[bool] = False

    def scoring(self) -> dict[str, object]:
        """Return the settings that change scores (thresholds do not); a part of the score key."""
        return {}

    @abstractmethod
    def score(self, triplets: pa.RecordBatch, embeddings: Embeddings | None) -> list[Score]:
        """Measure each triplet by itself; columns as in `schemas.TRIPLET`, one score per row, same names in each."""

    @abstractmethod
    def decide(self, triplets: pa.Table) -> list[str]:
        """Return '' or the reason of rejection for every row.

        `triplets` has the columns of `schemas.TRIPLET` and one float64 column per score name, sorted by triplet_id, and
        holds the triplets that every earlier filter accepted. Reasons are short words without figures, so that they count.
        """
