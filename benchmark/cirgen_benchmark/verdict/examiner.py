"""Scores a retrieval model on a protocol: each picture is encoded once, each query composed once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cirgen.errors import UserError
from cirgen.keys import digest
from cirgen_benchmark.images import ImageCollection
from cirgen_benchmark.models.base import Retriever
from cirgen_benchmark.protocols.base import Features, Query, Scores
from cirgen_benchmark.protocols.parts import Asked, GalleryProtocol, Opened
from cirgen_benchmark.protocols.ranks import alphabetical, first
from cirgen_benchmark.protocols.submissions import Submission
from cirgen_benchmark.training.features import EncodedImages, encode_collection, evaluating

QUERY_BATCH = 256


class Found(NamedTuple):
    """One query and the images that a model finds for it, the most similar first."""

    reference: str
    text: str
    targets: tuple[str, ...]
    top: tuple[str, ...]


class Examiner:
    """One protocol over the images that it names.

    Args:
        protocol: says what is asked, among what, and counts.
        images: where the pictures are.
        batch: pictures encoded at once.
        cache: folder of encodings, kept between calls; without it they are in memory alone.
    """

    def __init__(
        self, protocol: GalleryProtocol, images: ImageCollection, batch: int = 64, cache: Path | None = None
    ) -> None:
        self.protocol = protocol
        self.images = images
        self._batch = batch
        self._cache = cache
        self._known = frozenset(images.ids)
        self._ids = tuple(name for name in dict.fromkeys(_named(protocol)) if name in self._known)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of what is asked, among which pictures."""
        galleries = {
            name: [self.images.content(one) if one in self._known else None for one in ids]
            for name, ids in self.protocol.galleries().items()
        }
        return digest("questions", self.protocol.name, galleries, list(self._asked()))

    @cached_property
    def asked_about(self) -> frozenset[str]:
        """The content of every picture that is a reference or a right answer."""
        named = {name for one in self._asked() for name in (one.reference, *one.targets)}
        return frozenset(self.images.content(name) for name in named & self._known)

    def _asked(self) -> Iterator[Asked]:
        for part in self.protocol.parts:
            yield from part.asked

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """Every key that scores have: told by embeddings that are all alike.

        Raises:
            UserError: images are missing and that is not allowed.
        """
        named = dict(self.protocol.galleries())
        named |= {name: [query.reference for query in asked] for name, asked in self.protocol.queries().items()}
        found = {name: self._filled(ids, torch.ones(len(self._there(ids)), 1)) for name, ids in named.items()}
        return tuple(self.protocol.score(found).metrics)

    def value(self, metric: str, model: Retriever, encoded: EncodedImages | None = None) -> float:
        """Return one metric of a model, in per cent.

        Raises:
            UserError: the protocol has no such metric.
        """
        metrics = self.scores(model, encoded or self.encode(model, keep=False)).metrics
        return metrics[metric_key(metrics, metric)]

    def encode(self, model: Retriever, keep: bool = True) -> EncodedImages:
        """Encode every picture of galleries and references; with `keep`, into the cache, or out of it."""
        folder = self._cache if keep else None
        return encode_collection(model, self.images, self._ids, batch=self._batch, folder=folder)

    def features(self, model: Retriever, encoded: EncodedImages) -> Features:
        """Return the tensors that a features file would hold; rows of zeros for images that are not there."""
        galleries = self.protocol.galleries().items()
        found = {name: self._filled(ids, encoded.targets_of(self._there(ids))) for name, ids in galleries}
        for name, asked in self.protocol.queries().items():
            there = [query for query in asked if query.reference in self._known]
            found[name] = self._filled([query.reference for query in asked], _composed(model, encoded, there))
        return found

    def scores(self, model: Retriever, encoded: EncodedImages | None = None) -> Scores:
        """Score a model, whose pictures may be encoded already.

        Raises:
            UserError: its embeddings are no numbers.
        """
        features = self.features(model, encoded or self.encode(model))
        broken = [name for name, rows in features.items() if not np.isfinite(rows).all()]
        if broken:
            raise UserError(
                f"The model embeds {' and '.join(broken)} as NaN or infinity: training went astray, or its weights "
                "were broken before; lower the learning rate, raise the temperature, or train in float32."
            )
        return self.protocol.score(features)

    def submissions(self, model: Retriever, encoded: EncodedImages) -> Sequence[Submission]:
        """Return the files that the benchmark's server takes.

        Raises:
            UserError: it has none, or images are missing and that is not allowed.
        """
        return self.protocol.submissions(self.features(model, encoded))

    def _there(self, ids: Sequence[str]) -> list[str]:
        """Return the images that the copy has."""
        return [name for name in ids if name in self._known]

    def _filled(self, ids: Sequence[str], rows: Tensor) -> NDArray[np.float32]:
        """Put the rows of those images that the copy has in their places; the others get zeros."""
        whole = np.zeros((len(ids), *rows.shape[1:]), dtype=np.float32)
        whole[[name in self._known for name in ids]] = rows.numpy()
        return whole

    def tops(self, model: Retriever, encoded: EncodedImages, depth: int) -> list[Found]:
        """Return what a model finds for every query, in the order of the protocol's table; references are left out."""
        opened, _, _ = self.protocol.opened(self.features(model, encoded), True)
        return [found for part in opened for found in _found(part, depth)]


def _found(opened: Opened, depth: int) -> list[Found]:
    part = opened.part
    lists = [rows for block in opened.search.blocks() for rows in first(block, depth, alphabetical(part.gallery))]
    by_query = dict(zip(opened.answered.tolist(), lists, strict=True))
    return [
        Found(one.reference, one.text, one.targets, tuple(part.gallery[row] for row in by_query.get(place, ())))
        for place, one in enumerate(part.asked)
    ]


def metric_key(keys: Iterable[str], metric: str) -> str:
    """Return the key that a metric's name is, or the one that it ends: `cirr.val.recall@10` for `recall@10`.

    Raises:
        UserError: there is none, or several.
    """
    every = list(keys)
    found = [key for key in every if f".{key}".endswith(f".{metric}")]
    if len(found) != 1:
        raise UserError(f"'{metric}' is the end of {len(found)} metrics; take one of {', '.join(every)}.")
    return found[0]


def _named(protocol: GalleryProtocol) -> Iterable[str]:
    for ids in protocol.galleries().values():
        yield from ids
    for queries in protocol.queries().values():
        yield from (query.reference for query in queries)


def _composed(model: Retriever, encoded: EncodedImages, queries: Sequence[Query]) -> Tensor:
    device = next(model.parameters()).device
    rows = []
    with evaluating(model):
        for start in range(0, len(queries), QUERY_BATCH):
            asked = queries[start : start + QUERY_BATCH]
            references = encoded.references_of(query.reference for query in asked).to(device)
            tokens = {name: ids.to(device) for name, ids in model.tokenize([query.text for query in asked]).items()}
            rows.append(model.compose(references, tokens).float().cpu())
    return torch.cat(rows)
