"""Baseline rankings of the queries of validation and test, so that anyone can compare without running them.

An encoder that had no part in making the corpus embeds every picture and every text. Three searches, nothing trained:

- `composed`: the sum of the reference's embedding and the text's, each of length 1;
- `text_only`: the text's alone;
- `image_only`: the reference's alone.

Every query is asked of all images but its reference; images of other splits are wrong answers too. Ranks and lists are
those of the plain protocol of `cirgen_benchmark` (`protocols.retrieval`): ties count against a search.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cirgen.backends.base import ImageReader
from cirgen.world.shares import Share, share

if TYPE_CHECKING:
    from cirgen_benchmark.protocols.base import Scores
    from cirgen_benchmark.protocols.parts import Asked
    from cirgen_benchmark.protocols.retrieval import Retrieval

METHODS = ("composed", "text_only", "image_only")
RECALLS = (1, 5, 10, 50)
ALL, GOOD = "all", "good"
"""Slices of every part: all queries; mined rows that the truth calls good."""
EVALUATED = ("validation", "test")

BASELINES = pa.schema(
    [
        pa.field("query_id", pa.string()),  # or triplet_id
        pa.field("config", pa.string()),  # text_first or triplets
        pa.field("wording", pa.string()),  # text or reworded
        pa.field("method", pa.string()),
        pa.field("rank", pa.int32()),  # of the first right image, 1 is best
        pa.field("top_ids", pa.list_(pa.string())),
    ]
)

Vectors = NDArray[np.float32]


class Query(NamedTuple):
    """One query as a search sees it, and the slices that it counts in."""

    query_id: str
    reference: str
    text: str
    targets: tuple[str, ...]
    slices: tuple[str, ...]


class Part(NamedTuple):
    """Queries of one config, split and wording."""

    config: str
    split: str
    wording: str
    queries: Sequence[Query]


class Ranked(NamedTuple):
    """What one search found for the queries of a part, in their order."""

    part: Part
    method: str
    ranks: list[int]
    tops: list[tuple[str, ...]]
    precision: float
    """mAP@10 over all right images, in per cent."""


class Recall(NamedTuple):
    """Recall of one search on one slice of a part, as shares with intervals by reference."""

    config: str
    split: str
    wording: str
    method: str
    slice: str
    queries: int
    recalls: Mapping[int, Share]

    def record(self) -> dict[str, Any]:
        """Return plain values."""
        shares = {f"recall@{k}": value._asdict() for k, value in self.recalls.items()}
        return {**{name: getattr(self, name) for name in self._fields[:-1]}, **shares}


class Embedder:
    """Embeds pictures once, and texts as they come.

    Args:
        image_ids: the gallery.
        images: opens them.
        model: of the encoder.
    """

    def __init__(self, image_ids: Sequence[str], images: ImageReader, model: str) -> None:
        from cirgen.encoders.transformers import TransformersEncoder
        from cirgen.model_settings import Encoder

        self._encoder = TransformersEncoder(Encoder(model=model))
        self.content = self._encoder.files.content
        self.image_ids = tuple(sorted(image_ids))
        self._rows = {name: row for row, name in enumerate(self.image_ids)}
        found = dict(self._encoder.embed_images(self.image_ids, images))
        self.gallery: Vectors = np.stack([found[name] for name in self.image_ids])

    def queries(self, asked: Sequence[Query]) -> dict[str, Vectors]:
        """Return each method's query vectors [Q, d]."""
        texts = sorted({one.text for one in asked})
        found = dict(self._encoder.embed_texts(texts))
        text: Vectors = np.stack([found[one.text] for one in asked])
        image = self.gallery[[self._rows[one.reference] for one in asked]]
        return {"composed": image + text, "text_only": text, "image_only": image}


def ranked(embedder: Embedder, parts: Sequence[Part], depth: int) -> list[Ranked]:
    """Return what every search finds for every part that has queries, `depth` images each."""
    return [one for part in parts if part.queries for one in _searched(embedder, part, depth)]


def _searched(embedder: Embedder, part: Part, depth: int) -> Iterator[Ranked]:
    from cirgen_benchmark.protocols.parts import Asked
    from cirgen_benchmark.protocols.retrieval import Retrieval

    asked = [Asked(one.query_id, one.reference, one.text, one.targets) for one in part.queries]
    protocol = Retrieval(part.config, embedder.image_ids, asked, depths=RECALLS)
    for method, queries in embedder.queries(part.queries).items():
        features = {"gallery": embedder.gallery, "queries": queries}
        scores = protocol.score(features)
        ranks = [int(rank) for rank in scores.queries.column("rank").to_pylist()]
        yield Ranked(part, method, ranks, _tops(protocol, features, asked, depth), _precision(scores, part.config))


def _precision(scores: Scores, name: str) -> float:
    return float(scores.metrics[f"{name}.map@10"])


def _tops(
    protocol: Retrieval, features: Mapping[str, Vectors], asked: Sequence[Asked], depth: int
) -> list[tuple[str, ...]]:
    from cirgen_benchmark.protocols.ranks import alphabetical, first

    (opened,), _, _ = protocol.opened(features, True)
    gallery = opened.part.gallery
    order = alphabetical(gallery)
    found = [rows for block in opened.search.blocks() for rows in first(block, depth, order)]
    if len(found) != len(asked):
        raise ValueError(f"{len(found)} lists for {len(asked)} queries")
    return [tuple(gallery[row] for row in rows) for rows in found]


def baseline_rows(found: Sequence[Ranked], split: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of `baselines` of a split, by query, then part and method."""
    rows = [
        {
            "query_id": query.query_id,
            "config": one.part.config,
            "wording": one.part.wording,
            "method": one.method,
            "rank": rank,
            "top_ids": list(top),
        }
        for one in found
        if one.part.split == split
        for query, rank, top in zip(one.part.queries, one.ranks, one.tops, strict=True)
    ]
    yield from sorted(rows, key=lambda row: (row["query_id"], row["wording"] != "text", METHODS.index(row["method"])))


def recalls(found: Sequence[Ranked], seed: int = 0) -> list[Recall]:
    """Return the recall of every search on every slice that has queries."""
    return [recall for one in found for recall in _by_slice(one, seed)]


def _by_slice(one: Ranked, seed: int) -> Iterator[Recall]:
    from cirgen_benchmark.protocols.figures import recall_at

    part = one.part
    names = dict.fromkeys((ALL, *(name for query in part.queries for name in query.slices)))
    for name in names:
        rows = [row for row, query in enumerate(part.queries) if name == ALL or name in query.slices]
        ranks = np.array([one.ranks[row] for row in rows], dtype=np.int32)
        references = [part.queries[row].reference for row in rows]
        shares = {k: share((recall_at(ranks, k) > 0).tolist(), references, seed) for k in RECALLS}
        known = {k: value for k, value in shares.items() if value is not None}
        yield Recall(part.config, part.split, part.wording, one.method, name, len(rows), known)
