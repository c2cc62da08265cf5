"""What a filter may use to measure a triplet, beside the triplet itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from cirgen.prompts import Prompt
from cirgen.schemas import Status


class Embeddings(Protocol):
    """Embeddings of one encoder, L2-normalised, each image and text encoded once and stored."""

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


@dataclass(frozen=True)
class Gallery:
    """The pictures of a run, among which a query is searched."""

    identity: str
    """Hash of the pictures and their groups; a part of every score key that depends on it."""
    image_ids: NDArray[np.bytes_]
    """[N] sorted."""
    groups: NDArray[np.bytes_]
    """[N] near duplicates share one."""

    @cached_property
    def group_numbers(self) -> NDArray[np.int64]:
        """Return a number for each picture's group [N]."""
        return np.unique(self.groups, return_inverse=True)[1].astype(np.int64)

    def rows(self, image_ids: Sequence[str]) -> NDArray[np.int64]:
        """Return where some pictures are [len(image_ids)].

        Raises:
            KeyError: one of them is not in the gallery.
        """
        asked = np.asarray(image_ids, dtype=self.image_ids.dtype)
        found = np.minimum(np.searchsorted(self.image_ids, asked), len(self.image_ids) - 1)
        if (self.image_ids[found] != asked).any():
            raise KeyError(image_ids[int(np.argmax(self.image_ids[found] != asked))])
        return found.astype(np.int64)


class Question(NamedTuple):
    """What a model is asked about pictures."""

    prompt: Prompt
    rendered: str
    image_ids: tuple[str, ...]


class Belief(NamedTuple):
    """How a model shares its belief among the answers to choose from."""

    status: Status
    error: str
    shares: tuple[float, ...]
    """One for each answer, sum 1; empty on failure."""
    mass: float
    """Probability that it answers with any of them, 0 to 1."""


class Reading(NamedTuple):
    """How probable a model holds a given answer."""

    status: Status
    error: str
    log_likelihood: float
    """Natural logarithm, at most 0."""
    tokens: int
    """Of the answer, its end included."""


class Asker(Protocol):
    """A generative model that answers questions about pictures of the run."""

    identity: Mapping[str, Any]
    """What of the model can change an answer; a part of every score key that depends on it."""

    def choose(self, questions: Sequence[Question], options: Sequence[str]) -> list[Belief]:
        """Return the model's belief among `options` for each question.

        Raises:
            UserError: its tokens cannot tell the options apart.
        """
        ...

    def read(self, answers: Sequence[tuple[Question, str]]) -> list[Reading]:
        """Return how probable the model holds each answer to its question."""
        ...


class Classifier(Protocol):
    """A model that gives texts, or pairs of texts, one of a few labels."""

    identity: str
    """Content hash of the model and of how it runs; a part of every score key that depends on it."""
    labels: tuple[str, ...]
    """L names, as the model has them."""
    exclusive: bool
    """True where the probabilities of a text sum to 1, False where each label is a question of its own."""

    def probabilities(self, texts: Sequence[str], seconds: Sequence[str] | None = None) -> NDArray[np.float64]:
        """Return the probability of each label [len(texts), L]; `seconds` are the other halves of pairs."""
        ...


NOT_FOUND, NEAR, SAME_PIXELS, SAME_FILE = range(4)
"""How near a picture comes to a known one."""


class Match(NamedTuple):
    """How a picture of the run is found among known ones."""

    level: int
    """`NOT_FOUND` to `SAME_FILE`."""
    where: str
    """Name of the list; empty where it is in none."""


class KnownPictures(Protocol):
    """Pictures by their fingerprints, such as those of a benchmark."""

    identity: str
    """Hash of the fingerprints; a part of every score key that depends on them."""

    def matches(self, image_ids: Sequence[str]) -> list[Match]:
        """Return how near the nearest known picture is to each picture of the run."""
        ...


@dataclass(frozen=True)
class Tools:
    """What the stage hands to a filter: what its class says that it needs."""

    embeddings: tuple[Embeddings, ...] = ()
    """Of each encoder that the filter names, of the run's where it names none."""
    gallery: Gallery | None = None
    asker: Asker | None = None
    classifier: Classifier | None = None
    known: KnownPictures | None = None

    def encoder(self) -> Embeddings:
        """Return the embeddings of the first encoder."""
        if not self.embeddings:
            raise ValueError("the filter measures embeddings and was given none")
        return self.embeddings[0]

    def images(self) -> Gallery:
        """Return the gallery."""
        if self.gallery is None:
            raise ValueError("the filter searches a gallery and was given none")
        return self.gallery

    def known_pictures(self) -> KnownPictures:
        """Return the pictures that are known."""
        if self.known is None:
            raise ValueError("the filter looks for known pictures and was given none")
        return self.known

    def classes(self) -> Classifier:
        """Return the classifier."""
        if self.classifier is None:
            raise ValueError("the filter classifies texts and was given no classifier")
        return self.classifier

    def model(self) -> Asker:
        """Return the model to ask."""
        if self.asker is None:
            raise ValueError("the filter asks a model and was given none")
        return self.asker
