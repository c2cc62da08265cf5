"""A filter has two halves: `score`, row by row and stored; `decide`, pure, over all rows, without a model.

What `score` measures with, the class declares (`needs_embeddings`, `needs_gallery`, `asks`), the stage hands over
(`tools.Tools`), and the keys of the scores hold.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import pyarrow as pa

from cirgen.filters.tools import Question, Tools
from cirgen.model_settings import Classifier, Encoder, Model
from cirgen.progress import Progress, Silent
from cirgen.schemas import TRIPLET, Status
from cirgen.settings import Settings


class FilterSettings(Settings):
    """What every filter can be told."""

    def contents(self, progress: Progress) -> dict[str, str]:  # noqa: ARG002
        """Return the hash of what each setting leads to that names files; it stands for them in the recipe's hash.

        Raises:
            UserError: a file is missing or is not what it should be.
        """
        return {}

    def check_files(self) -> None:
        """Look whether the files that settings name are there, without reading much.

        Raises:
            UserError: one is not.
        """
        self.contents(Silent())


class Score(NamedTuple):
    """What a filter measured on one triplet: named values, and a detail for the reader."""

    values: dict[str, float]
    """Empty where measuring failed."""
    detail: str = ""
    status: Status = "ok"
    error: str = ""


class ScoreNote(NamedTuple):
    """What one score says, for the reader of a corpus."""

    meaning: str
    values: str
    """Unit and range."""
    rejects: str
    """Which values reject, by the setting that decides; empty where the score decides nothing by itself."""


class AskedPrompt(NamedTuple):
    """A prompt that a filter renders."""

    reference: str
    """As in `prompts.load_prompt`."""
    task: str
    """That the prompt must be for."""
    slots: frozenset[str]
    """That the filter fills."""


class Filter(ABC):
    """Drops triplets, with a reason."""

    Settings: ClassVar[type[FilterSettings]]
    version: ClassVar[int] = 1
    """Raise when `score` changes its meaning: stored scores are then measured again."""
    code: ClassVar[str] = ""
    """Hash of the file of a filter that does not ship: a changed file measures again, whatever `version` says."""
    needs_embeddings: ClassVar[bool] = False
    needs_gallery: ClassVar[bool] = False
    """True where a score depends on all pictures of the run: with other pictures it is measured again."""
    asks: ClassVar[bool] = False
    """True where `score` asks a generative model."""
    chooses: ClassVar[bool] = False
    """True where it asks for the model's belief among a few answers (`Asker.choose`)."""
    reads_texts: ClassVar[bool] = False
    """True where it asks how probable the model holds given texts (`Asker.read`)."""
    observes: bool = False
    """True where `score` reads, as column `observed`, what the model answered to `question`."""
    observed_tokens: int = 0
    """Longest such answer, in tokens."""
    judges_text: ClassVar[bool] = True
    """False where no other text of the pair would do better: nothing is then written anew for what it rejects."""
    needs_negatives: ClassVar[int] = 0
    """Fewest hard negatives of a pair, beside the reference, that `score` can do with."""
    embeds: ClassVar[tuple[str, ...]] = ()
    """Columns of whose texts `score` reads embeddings."""
    expensive: ClassVar[bool] = False
    """True where scoring takes long enough that the user is told first how many triplets it is for."""
    measures: ClassVar[bool] = True
    """False for a `Rule`: nothing is scored, nothing stored."""
    score_notes: ClassVar[Mapping[str, ScoreNote]] = {}
    """Every name that `score` gives a value, and what it says; empty for a `Rule`."""
    mark_notes: Mapping[str, ScoreNote] = {}
    """Every name that `marks` gives a value with these settings, and what it says."""
    depends_on: ClassVar[tuple[str, ...]] = ()
    """Columns that `score` reads beside text and image ids, e.g. captions."""
    decides_on: tuple[str, ...] = tuple(TRIPLET.names)
    """Columns that `decide` reads, beside `triplet_id` and the scores; only these are held in memory."""

    def scoring(self) -> dict[str, object]:
        """Return the settings that change scores (thresholds do not); a part of the score key."""
        return {}

    def reads(self, row: Mapping[str, Any]) -> dict[str, object]:
        """Return what `score` reads of the columns of `depends_on`; a part of the score key."""
        return {column: row[column] for column in self.depends_on}

    def encoders(self) -> tuple[Encoder, ...]:
        """Return the encoders whose embeddings `score` reads; none stands for the run's."""
        return ()

    def against(self) -> tuple[str, ...]:
        """Return the folders of pictures, or lists of their fingerprints, among which `score` looks for the run's."""
        return ()

    def classifier(self) -> Classifier | None:
        """Return the classifier that `score` asks; None for a filter that asks none."""
        return None

    def check_labels(self, labels: Sequence[str]) -> None:  # noqa: B027 - most ask no classifier
        """Look whether the labels of the classifier say what `score` asks, before anything is generated.

        Raises:
            UserError: they do not.
        """

    def model(self) -> Model | None:
        """Return the model that `score` asks; None is the run's `mllm`."""
        return None

    def prompts(self) -> Mapping[str, AskedPrompt]:
        """Return the prompts that `score` renders, by the setting that names each."""
        return {}

    def question(self, row: Mapping[str, Any]) -> Question:
        """Return what the model is to write about a triplet (`schemas.TRIPLET`) before it is scored.

        Each question is asked once in the life of a run, whoever asks it.
        """
        raise NotImplementedError(f"{type(self).__name__} observes nothing")

    @abstractmethod
    def score(self, triplets: pa.RecordBatch, tools: Tools) -> list[Score]:
        """Measure each triplet by itself.

        Args:
            triplets: columns as in `schemas.TRIPLET`, and `observed` (a text) where the class `observes`.
            tools: what the class says that it needs.

        Returns:
            One score per row, with the same names in each and no NaN.
        """

    def remarks(self, triplets: pa.Table) -> list[str]:  # noqa: ARG002
        """Return sentences for the reader of a report about the scores as a whole; `triplets` as for `decide`."""
        return []

    @abstractmethod
    def decide(self, triplets: pa.Table) -> list[str]:
        """Return '' or the reason of rejection for every row.

        `triplets` has `triplet_id`, the columns of `decides_on` and one float64 column per score name, and holds the
        triplets that every earlier filter accepted, sorted by triplet_id; the answer must not depend on that order.
        Reasons are short words without figures, so that they can be counted.
        """

    def marks(self, triplets: pa.Table) -> dict[str, list[float]]:  # noqa: ARG002
        """Return what settings make of the scores, by name one value per row; published beside them, never stored.

        `triplets` is what `decide` sees; so it is as pure.
        """
        return {}


class Rule(Filter):
    """A filter that decides from the triplets alone, by comparing them with each other."""

    measures = False

    def score(self, triplets: pa.RecordBatch, tools: Tools) -> list[Score]:  # noqa: ARG002
        """Measure nothing."""
        return [Score({})] * triplets.num_rows
