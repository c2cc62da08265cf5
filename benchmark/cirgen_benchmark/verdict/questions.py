"""The sets that retrieval models are examined on: a preset's words for them, turned into protocols with images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from cirgen.errors import UserError
from cirgen.progress import Progress
from cirgen.sources.base import Source
from cirgen.sources.cirr import CIRR, CIRRSettings
from cirgen.sources.fashioniq import FashionIQ, FashionIQSettings
from cirgen_benchmark.data.corpus import Corpus
from cirgen_benchmark.data.files import SourceImages
from cirgen_benchmark.images import ImageCollection
from cirgen_benchmark.protocols.parts import Asked, GalleryProtocol
from cirgen_benchmark.protocols.registry import open_benchmark
from cirgen_benchmark.protocols.retrieval import Retrieval
from cirgen_benchmark.triplets import Triplet
from cirgen_benchmark.verdict.mixture import Mixture, benchmark_root
from cirgen_benchmark.verdict.preset import (
    CorpusQueries,
    HoldoutQueries,
    Preset,
    Queries,
    SubmissionSettings,
    WorldQueries,
)
from cirgen_benchmark.verdict.world import drawn_collection, furniture_collection, world_queries

Questions = tuple[GalleryProtocol, ImageCollection]
BenchmarkKind = Literal["fashioniq", "cirr"]
Split = Literal["val", "test1"]
WORLD_QUERY_SEED = 1
"""Of the queries of development and evaluation: the same in every run, so that figures can be compared."""


def questions(settings: Queries, mixture: Mixture, preset: Preset, progress: Progress) -> Questions:
    """Return the protocol of one of a preset's sets, and the images that it is about.

    Raises:
        UserError: a copy, an image or a split is missing.
    """
    if isinstance(settings, WorldQueries):
        return _world(settings, progress)
    if isinstance(settings, HoldoutQueries):
        return _holdout(mixture)
    if isinstance(settings, CorpusQueries):
        return _split(mixture.judged, settings.split, preset.allow_missing)
    options = settings.model_dump(exclude={"kind", "root"})
    return _benchmark(settings.kind, "val", settings.root, preset, options)


def withheld(settings: SubmissionSettings, preset: Preset) -> Questions:
    """Return the protocol of a split that its server alone can score, and its images.

    Raises:
        UserError: as `questions`.
    """
    return _benchmark(settings.kind, "test1", settings.root, preset, {})


def _world(settings: WorldQueries, progress: Progress) -> Questions:
    if settings.world == "furniture":
        world = furniture_collection(settings.purpose)
    else:
        place = (settings.purpose, settings.level, settings.collection, settings.images)
        world = drawn_collection(*place, progress=progress)
    queries = [
        Asked(str(number), asked.reference, asked.text, (asked.target, *asked.positives))
        for number, asked in enumerate(world_queries(world, settings.each, WORLD_QUERY_SEED))
    ]
    return Retrieval(f"world.{settings.purpose}", world.ids, queries), world.images


def _holdout(mixture: Mixture) -> Questions:
    kept = mixture.holdout
    if not kept.development:
        raise UserError("The holdout keeps no triplet; raise development.share.")
    named = {name for triplet in (*kept.training, *kept.development) for name in (triplet.reference, triplet.target)}
    asked = _asked((str(number), triplet) for number, triplet in enumerate(kept.development))
    return Retrieval("holdout", sorted(named), asked), mixture.images


def _split(corpus: Corpus, split: str, allow_missing: bool) -> Questions:
    held = corpus.of_split(split)
    asked = _asked((row.triplet_id, row.triplet) for row in held.accepted)
    return Retrieval(f"corpus.{split}", held.images.ids, asked, allow_missing=allow_missing), held.images


def _asked(triplets: Iterable[tuple[str, Triplet]]) -> list[Asked]:
    """Return the queries of triplets; one whose target is its reference asks for nothing, and is left out."""
    return [
        Asked(name, one.reference, one.texts[0], tuple(x for x in (one.target, *one.positives) if x != one.reference))
        for name, one in triplets
        if one.target != one.reference
    ]


def _benchmark(
    kind: BenchmarkKind, split: Split, root: str | None, preset: Preset, options: Mapping[str, Any]
) -> Questions:
    folder, allowed = benchmark_root(root or preset.root, kind), preset.allow_missing
    protocol = open_benchmark(kind, split, folder, allow_missing=allowed, **options)
    assert isinstance(protocol, GalleryProtocol)
    return protocol, SourceImages.of(_source(kind, split, str(folder)), f"{kind} {split}", allowed)


def _source(kind: BenchmarkKind, split: Split, root: str) -> Source:
    if kind == "cirr":
        return CIRR(CIRRSettings(root=root, split=split, allow_missing=True))
    return FashionIQ(FashionIQSettings.model_validate({"root": root, "split": split, "allow_missing": True}))
