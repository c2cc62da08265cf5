"""What each arm trains on: human triplets, rows of corpora, and the images of both."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from cirgen.errors import UserError
from cirgen.resources import local_path
from cirgen_benchmark.data.corpus import Corpus
from cirgen_benchmark.data.human import HumanTriplets, cirr_triplets, fashioniq_triplets
from cirgen_benchmark.data.union import UnionImages
from cirgen_benchmark.images import ImageCollection
from cirgen_benchmark.triplets import Triplet
from cirgen_benchmark.verdict.holdout import Holdout
from cirgen_benchmark.verdict.preset import MOST_DRAWN, DataSettings, FilesHuman, HoldoutQueries, Preset, WorldHuman
from cirgen_benchmark.verdict.selection import Selector, by_pair
from cirgen_benchmark.verdict.world import (
    Truth,
    WorldCollection,
    furniture_collection,
    human_like,
    shipped_collection,
)

JUDGED = ""
"""Name of the corpus that the verdict is about, among the preset's other corpora."""


class Mixture:
    """The training data of a preset.

    Args:
        preset: what to mix.
        corpus: the one that is judged.
    """

    def __init__(self, preset: Preset, corpus: Corpus) -> None:
        self._preset = preset
        self._corpora = {JUDGED: corpus} | {
            name: Corpus(where, preset.splits) for name, where in preset.corpora.items() if _used(preset, name)
        }

    def read(self) -> None:
        """Read every corpus, before anything is drawn or encoded.

        Raises:
            UserError: one is not there, or without its images.
        """
        for corpus in self._corpora.values():
            _ = corpus.fingerprint

    def triplets(self, name: str, seed: int) -> list[Triplet]:
        """Return the triplets of one entry of `data`, human ones first.

        Raises:
            UserError: a part of it is not there, or is too small.
        """
        return self.mixed(self._preset.data[name], seed)

    def mixed(self, data: DataSettings, seed: int) -> list[Triplet]:
        """Return the triplets of a mix; every draw depends on the seed alone."""
        human = self._human(data, seed)
        if data.corpus is None:
            return human
        rows = self._selectors[data.of or JUDGED].triplets(data.corpus, seed, data.weighted)
        rows = by_pair(rows) if data.pairs else rows
        wanted = data.count if data.ratio is None else max(1, round(data.ratio * len(human)))
        if wanted is None:
            return human + rows
        if wanted > len(rows):
            what = f"{'pairs' if data.pairs else 'rows'} ({data.corpus})"
            raise UserError(
                f"{wanted:,} {what} of the corpus '{self._corpora[data.of or JUDGED].name}' are asked "
                f"for, and it has {len(rows):,}; lower count, ratio or the number of human triplets."
            )
        return human + random.Random(f"rows {seed}").sample(rows, wanted)

    @cached_property
    def images(self) -> ImageCollection:
        """Every image that a triplet may name."""
        human = [] if self._people is None else [self._people.images]
        return UnionImages(*human, *(corpus.images for corpus in self._corpora.values()))

    @property
    def judged(self) -> Corpus:
        """The corpus that the verdict is about."""
        return self._corpora[JUDGED]

    @property
    def fingerprints(self) -> dict[str, str]:
        """Hashes of the corpora by name."""
        return {name or "judged": corpus.fingerprint for name, corpus in self._corpora.items()}

    @property
    def remarks(self) -> list[str]:
        """Say what is left out of training because the copy of the benchmark lacks images."""
        left_out = self._people.left_out if self._people else 0
        return [f"{left_out:,} human training triplets lack an image and are left out."] if left_out else []

    @cached_property
    def holdout(self) -> Holdout:
        """Human triplets that are kept for development.

        Raises:
            UserError: the preset keeps none.
        """
        settings = self._preset.development
        if not isinstance(settings, HoldoutQueries) or self._people is None:
            raise UserError("The preset keeps no human triplets for development; set development to kind: holdout.")
        return Holdout.of(self._people, settings.share)

    def _human(self, data: DataSettings, seed: int) -> list[Triplet]:
        settings = self._preset.human
        if not data.human or settings is None:
            return []
        number = settings.triplets if data.human is True else int(data.human)
        if isinstance(settings, WorldHuman):
            wanted = number or settings.triplets
            if wanted > MOST_DRAWN:
                raise UserError(
                    f"At most {MOST_DRAWN:,} human-like triplets can be drawn, not {wanted:,}; ask for fewer."
                )
            return list(human_like(self._shipped, wanted, seed).triplets)
        found = list(self._training_people)
        if number is None:
            return found
        if number > len(found):
            raise UserError(f"There are {len(found):,} human triplets, and {number:,} are asked for; ask for fewer.")
        return random.Random(f"human {seed}").sample(found, number)

    @property
    def _training_people(self) -> Sequence[Triplet]:
        if isinstance(self._preset.development, HoldoutQueries):
            return self.holdout.training
        return () if self._people is None else self._people.triplets

    @cached_property
    def _people(self) -> HumanTriplets | None:
        settings = self._preset.human
        if settings is None:
            return None
        if isinstance(settings, WorldHuman):
            return HumanTriplets((), self._shipped.images)
        return _read_human(settings, self._preset)

    @cached_property
    def _selectors(self) -> Mapping[str, Selector]:
        return {name: Selector(corpus, _truth(corpus)) for name, corpus in self._corpora.items()}

    @cached_property
    def _shipped(self) -> WorldCollection:
        settings = self._preset.human
        if isinstance(settings, WorldHuman) and settings.world == "furniture":
            return furniture_collection("corpus")
        return shipped_collection()


def _used(preset: Preset, name: str) -> bool:
    on = {step.on for arm in preset.arms.values() for step in arm.steps}
    return any(data.of == name for entry, data in preset.data.items() if entry in on)


def _read_human(settings: FilesHuman, preset: Preset) -> HumanTriplets:
    folder = benchmark_root(settings.root or preset.root, settings.kind)
    read = {"fashioniq": fashioniq_triplets, "cirr": cirr_triplets}[settings.kind]
    return read(folder, preset.allow_missing)


def benchmark_root(root: str | None, kind: str) -> Path:
    """Return the folder of a benchmark's copy.

    Raises:
        UserError: the preset names none.
    """
    if root is None:
        raise UserError(f"The preset reads a copy of {kind}; say where it is with --root FOLDER.")
    return local_path(root)


def _truth(corpus: Corpus) -> Truth | None:
    try:
        return Truth(corpus.images.ids)
    except UserError:
        return None
