"""The static bank of stage two: one row for each distinct picture that may be an answer (arXiv 2404.11317).

Rows are in the order in which triplets first name a picture, reference before target, triplet by triplet; then come
the extra images, in the order given. A query's own reference is a row, and so a negative, as in the paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from cirgen.shards import atomic_path
from cirgen_benchmark.images import ImageCollection
from cirgen_benchmark.training.bank_loss import BankRows, Pairs
from cirgen_benchmark.training.batches import NEGATIVES, Part
from cirgen_benchmark.training.disk import mapped_array
from cirgen_benchmark.training.features import EncodedImages
from cirgen_benchmark.training.indexed import IndexedTriplets, Numbers
from cirgen_benchmark.training.settings import BankSettings

COPIED_ROWS = 16_384
"""Rows that are copied at once."""


class Compared(NamedTuple):
    """What the queries of a part are compared with."""

    positives: Tensor
    """The row of each query's target, [B]."""
    ignored: Pairs | None
    sampled: Pairs | None


class Bank:
    """Target embeddings of M distinct pictures, and which of them are whose negatives.

    Args:
        rows: [M, d] or [M, T, d].
        triplets: whose references and targets are the first rows.
        places: the row of each picture of the triplets, -1 where it is none.
        settings: of the bank.
        groups: the group of near duplicates of each row, [M], where such are masked.
        seed: of sampled negatives.
    """

    def __init__(
        self,
        rows: BankRows,
        triplets: IndexedTriplets,
        places: Numbers,
        settings: BankSettings,
        groups: Sequence[str] | None = None,
        seed: int = 0,
    ) -> None:
        self.rows = rows
        self._triplets = triplets
        self._places = places
        self._settings = settings
        self._seed = seed
        self._group_of = groups
        self._members = None if groups is None else _members(groups)

    def __len__(self) -> int:
        return len(self.rows)

    def compared(self, part: Part) -> Compared:
        """Return what this process's share of a part is compared with."""
        mine = part.triplets[part.own]
        positives = torch.from_numpy(self._triplets.targets[mine])
        masked = self._settings.mask_positives or self._settings.mask_groups
        ignored = [self._ignored(triplet) for triplet in mine] if masked or self._settings.negatives else []
        pairs = Pairs.of([torch.from_numpy(rows) for rows in ignored]) if masked else None
        if self._settings.negatives is None:
            return Compared(positives, pairs, None)
        drawn = [self._drawn(int(t), part.step, rows) for t, rows in zip(mine, ignored, strict=True)]
        return Compared(positives, None, Pairs.of([torch.from_numpy(rows) for rows in drawn]))

    def _ignored(self, triplet: int) -> Numbers:
        """Return the rows that are no negatives of a triplet, its target apart."""
        found: list[Numbers] = [np.empty(0, dtype=np.int64)]
        target = int(self._triplets.targets[triplet])
        if self._settings.mask_positives:
            positives = self._places[self._triplets.positives[triplet]]
            found.append(positives[positives >= 0])
        if self._group_of is not None and self._members is not None:
            found.append(self._members[self._group_of[target]])
        rows = np.unique(np.concatenate(found))
        others: Numbers = rows[rows != target]
        return others

    def _drawn(self, triplet: int, step: int, ignored: Numbers) -> Numbers:
        """Draw a triplet's negatives of a step from all rows that may be one, none twice."""
        out = np.append(ignored, self._triplets.targets[triplet])
        count = min(self._settings.negatives or 0, len(self) - len(out))
        random = np.random.default_rng([self._seed, NEGATIVES, step, triplet])
        drawn = random.choice(len(self), min(count + len(out), len(self)), replace=False)
        return drawn[~np.isin(drawn, out)][:count]


def build_bank(
    triplets: IndexedTriplets,
    encoded: EncodedImages,
    images: ImageCollection,
    settings: BankSettings,
    *,
    extra: Sequence[str] = (),
    extra_encoded: EncodedImages | None = None,
    file: Path | None = None,
    write: bool = True,
    seed: int = 0,
) -> Bank:
    """Gather the bank of some triplets.

    Args:
        triplets: whose references and targets are rows.
        encoded: holds them all.
        images: tells near duplicates, where such are masked.
        settings: of the bank; `on_disk` needs `file`.
        extra: images that no triplet names; those whose picture is a row already add none.
        extra_encoded: holds them; without it `encoded` does.
        file: where a bank on disk is written, anew.
        write: False reads the file that another process has just written.
        seed: of sampled negatives.
    """
    contents = triplets.pictures.contents[: triplets.named]
    ids = triplets.pictures.ids[: triplets.named]
    further = _distinct(extra, images, contents)
    sources = [(encoded.targets, encoded.rows_of(ids))]
    if further:
        held = extra_encoded or encoded
        sources.append((held.targets, held.rows_of(further)))
    rows = _gathered(sources, settings, file, write)
    groups = [images.group(name) for name in (*ids, *further)] if settings.mask_groups else None
    row_of = {content: row for row, content in enumerate((*contents, *map(images.content, further)))}
    places = np.array([row_of.get(content, -1) for content in triplets.pictures.contents], dtype=np.int64)
    return Bank(rows, triplets, places, settings, groups, seed)


def _distinct(names: Sequence[str], images: ImageCollection, known: Sequence[str]) -> list[str]:
    """Return one image of each picture that is not known yet."""
    seen = set(known)
    found = []
    for name in names:
        content = images.content(name)
        if content not in seen:
            seen.add(content)
            found.append(name)
    return found


def _gathered(
    sources: Sequence[tuple[Tensor, Numbers]], settings: BankSettings, file: Path | None, write: bool
) -> BankRows:
    """Copy the rows of all sources into one array, some at a time."""
    shape = (sum(len(rows) for _, rows in sources), *sources[0][0].shape[1:])
    if not settings.on_disk:
        memory = np.empty(shape, settings.dtype)
        _copy(sources, memory)
        return torch.from_numpy(memory)
    if file is None:
        raise ValueError("a bank on disk needs a file")
    if write:
        with atomic_path(file) as temporary:
            mapped = mapped_array(temporary, shape, settings.dtype)
            _copy(sources, mapped)
            mapped.flush()
    found: BankRows = np.load(file, mmap_mode="r")
    return found


def _copy(sources: Sequence[tuple[Tensor, Numbers]], into: np.ndarray) -> None:
    done = 0
    for tensor, rows in sources:
        for start in range(0, len(rows), COPIED_ROWS):
            taken = torch.from_numpy(rows[start : start + COPIED_ROWS])
            into[done : done + len(taken)] = tensor[taken].numpy()
            done += len(taken)


def _members(groups: Sequence[str]) -> dict[str, Numbers]:
    """Return the rows of each group."""
    found: dict[str, list[int]] = {}
    for row, group in enumerate(groups):
        found.setdefault(group, []).append(row)
    return {group: np.array(rows, dtype=np.int64) for group, rows in found.items()}
