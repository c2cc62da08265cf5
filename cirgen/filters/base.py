"""A filter has two halves: `score`, row by row and stored; `decide`, pure, over all rows, without a model.

A filter that asks a generative model (round trip, judge, shortcut tests) will declare what it needs the way
`needs_embeddings` does, be handed a backend beside the embeddings, and have the backend's `Identity.key_part()` in
its score keys. Its questions are generations of their own; `score` turns the answers into numbers, `decide` is pure.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cirgen.schemas import TRIPLET
from cirgen.settings import Settings


class FilterSettings(Settings):
    """What every filter can be told."""


class Score(NamedTuple):
    """What a filter measured on one triplet: named values, and a detail for the reader."""

    values: dict[str, float]
    detail: str = ""


class ScoreNote(NamedTuple):
    """What one score says, for the reader of a corpus."""

    meaning: str
    values: str
    """Unit and range."""
    rejects: str
    """Which values reject, by the setting that decides; empty where the score decides nothing by itself."""


class Embeddings(Protocol):
    """Embeddings of the run's encoder, L2-normalised, each image and text encoded once and stored."""

    identity: str
    """Content hash of the encoder and of how it runs; a part of every score key that depends on it."""

    def images(self, image_ids: Sequence[str]) -> NDArray[np.float32]:
        """Return image embeddings [len(image_ids), d]."""
        ...

    def expect(self, texts: Iterable[str]) -> None:
        """Encode and store those not seen before of all texts that `texts` will be asked for."""
        ...

    def texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the embeddings of texts that were expected [len(texts), d]."""
        ...


class Filter(ABC):
    """Drops triplets, with a reason."""

    Settings: ClassVar[type[FilterSettings]]
    version: ClassVar[int] = 1
    """Raise when `score` changes its meaning: stored scores are then measured again."""
    needs_embeddings: ClassVar[bool] = False
    embeds: ClassVar[tuple[str, ...]] = ()
    """Columns of whose texts `score` reads embeddings."""
    expensive: ClassVar[bool] = False
    """True where scoring takes long enough that the user is told first how many triplets it is for."""
    measures: ClassVar[bool] = True
    """False for a `Rule`: nothing is scored, nothing stored."""
    score_notes: ClassVar[Mapping[str, ScoreNote]] = {}
    """Every name that `score` gives a value, and what it says; empty for a `Rule`."""
    depends_on: ClassVar[tuple[str, ...]] = ()
    """Columns that `score` reads beside text and image ids, e.g. captions; a part of the score key."""
    decides_on: tuple[str, ...] = tuple(TRIPLET.names)
    """Columns that `decide` reads, beside `triplet_id` and the scores; only these are held in memory."""

    def scoring(self) -> dict[str, object]:
        """Return the settings that change scores (thresholds do not); a part of the score key."""
        return {}

    @abstractmethod
    def score(self, triplets: pa.RecordBatch, embeddings: Embeddings | None) -> list[Score]:
        """Measure each triplet by itself.

        Args:
            triplets: columns as in `schemas.TRIPLET`.
            embeddings: of the run's encoder, where the class `needs_embeddings`.

        Returns:
            One score per row, with the same names in each and no NaN.
        """

    @abstractmethod
    def decide(self, triplets: pa.Table) -> list[str]:
        """Return '' or the reason of rejection for every row.

        `triplets` has `triplet_id`, the columns of `decides_on` and one float64 column per score name, and holds the
        triplets that every earlier filter accepted, sorted by triplet_id; the answer must not depend on that order.
        Reasons are short words without figures, so that they can be counted.
        """


class Rule(Filter):
    """A filter that decides from the triplets alone, by comparing them with each other."""

    measures = False

    def score(self, triplets: pa.RecordBatch, embeddings: Embeddings | None) -> list[Score]:  # noqa: ARG002
        """Measure nothing."""
        return [Score({})] * triplets.num_rows
