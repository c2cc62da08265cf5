"""What every benchmark has: galleries, queries, and figures that follow from ranks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cirgen.errors import UserError
from cirgen_benchmark.protocols.figures import Figure

if TYPE_CHECKING:
    import pyarrow as pa

    from cirgen_benchmark.protocols.rankings import RankingsFile
    from cirgen_benchmark.protocols.submissions import Submission

Features = Mapping[str, NDArray[np.float32]]
"""Tensors by name as a features file holds them: `gallery`, `queries`, or `gallery.dress`, `queries.dress`, ...

A row of zeros stands for an image, or a query, that has no embedding.
"""


class Query(NamedTuple):
    """What is asked: a reference by its id, and the modification text as the protocol has it."""

    reference: str
    text: str


@dataclass(frozen=True)
class Scores:
    """Figures of one scoring."""

    figures: Mapping[str, Figure]
    """By key; the key names benchmark, split and protocol: `cirr.val.recall@5`."""
    queries: pa.Table
    """One row a query: `query` (id, string), `part` (category or task, or empty), `reference`, `target`, `rank`
    (int32, 1 is best, null where unknown), and the protocol's own columns."""
    notes: Sequence[str] = ()
    """What is missing, in whole sentences; empty where nothing is."""

    @cached_property
    def metrics(self) -> Mapping[str, float]:
        """Per cent (0 to 100) by key."""
        return {key: figure.mean() for key, figure in self.figures.items()}

    @cached_property
    def left_out(self) -> int:
        """Queries that no metric counts, for want of an embedding or a target."""
        uncounted: dict[str, NDArray[np.bool_]] = {}
        for figure in self.figures.values():
            for part, values in figure.values.items():
                uncounted[part] = uncounted.get(part, np.True_) & np.isnan(values)
        return sum(int(np.count_nonzero(which)) for which in uncounted.values())


class Protocol(ABC):
    """One benchmark on one split, read from annotation files."""

    name: str
    """Prefix of its metric keys, e.g. `cirr.val`; with holes that were allowed, `.partial` follows it."""
    allow_missing: bool = False
    """Go on without images and queries that have no embedding, and say so in every key."""

    @property
    def withheld(self) -> bool:
        """Whether the split has no public targets, so that its server alone can score."""
        return False

    @abstractmethod
    def galleries(self) -> Mapping[str, Sequence[str]]:
        """Return the image ids of each gallery tensor, in the order of its rows."""

    @abstractmethod
    def queries(self) -> Mapping[str, Sequence[Query]]:
        """Return the queries of each query tensor, in the order of its rows."""

    @abstractmethod
    def query_ids(self) -> Mapping[str, Sequence[str]]:
        """Return the ids of the queries of each query tensor, in the order of its rows."""

    @abstractmethod
    def score(self, features: Features) -> Scores:
        """Rank every query and count.

        Args:
            features: tensors in the order of `galleries` and `queries`; a row of zeros is a hole.

        Raises:
            UserError: a tensor is missing, has another shape, or holds what is no number; images or queries have no
                embedding and that is not allowed; the split withholds its targets.
        """

    def score_rankings(self, files: Sequence[RankingsFile]) -> Scores:  # noqa: ARG002
        """Score rankings in the benchmark's own submission format.

        Raises:
            UserError: the benchmark has no such format, or the files are not in it.
        """
        raise UserError(f"{self.name} has no submission format; score its features with --features.")

    def submissions(self, features: Features) -> Sequence[Submission]:  # noqa: ARG002
        """Return the files that the benchmark's server takes, checked.

        Raises:
            UserError: the benchmark has no such server, or the features do not fit.
        """
        raise UserError(f"{self.name} has no submission format; leave out --submission.")
