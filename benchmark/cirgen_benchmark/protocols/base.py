"""What every benchmark has: galleries, queries, and figures that follow from ranks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Features = Mapping[str, NDArray[np.float32]]
"""Tensors by name as a features file holds them: `gallery`, `queries`, or `gallery.dress`, `queries.dress`, ..."""


class Query(NamedTuple):
    """What is asked: a reference by its id, and the modification text as the protocol has it."""

    reference: str
    text: str


@dataclass(frozen=True)
class Scores:
    """Figures of one scoring."""

    metrics: Mapping[str, float]
    """Per cent (0 to 100) by key; the key names benchmark, split and protocol: `cirr.val.recall@5`."""
    queries: pa.Table
    """One row a query: `query` (id, string), `part` (category or task, or empty), `reference`, `target`, `rank`
    (int32, 1 is best, null where unknown), and the protocol's own columns."""


class Protocol(ABC):
    """One benchmark on one split, read from annotation files alone."""

    name: str
    """Prefix of its metric keys, e.g. `cirr.val`."""

    @abstractmethod
    def galleries(self) -> Mapping[str, Sequence[str]]:
        """Return the image ids of each gallery tensor, in the order of its rows."""

    @abstractmethod
    def queries(self) -> Mapping[str, Sequence[Query]]:
        """Return the queries of each query tensor, in the order of its rows."""

    @abstractmethod
    def score(self, features: Features, **options: Any) -> Scores:
        """Rank every query and count.

        Raises:
            UserError: a tensor is missing, has another shape, or holds what is no number.
        """
