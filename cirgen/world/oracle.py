"""What one modality alone could find: exact oracles on attributes, measured before any model is trained.

Gallery: all images but the reference, ranked for every query (reference, target) of one family.
- The *text-only* oracle knows what an exhaustive modification text states, the target's values of every changed
  attribute, and ranks images by how many of them they show. It does not see the reference.
- The *image-only* oracle ranks images by the number of attributes in which they differ from the reference.
- Ties: images that score the same are in random order, so a query counts as solved with the probability that the
  target (any image with the target's attributes) comes among the first `TOP`.
- The number of *changes* of a pair is the number of facts its text must state: attributes that differ and can be seen
  in the target. Taking something off is one, putting on a red cap two (the cap, and its colour).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from cirgen.errors import UserError
from cirgen.world.gallery import Gallery
from cirgen.world.worlds import FIGURES, World

Ints = NDArray[np.int32]
Floats = NDArray[np.float64]

TOP = 10
"""Rank up to which a query counts as solved."""
MOST_CHANGES = 3
MOST_PAIRS = 10_000
"""Pairs scored per row of the table; of more, a sample (standard error at most half a point)."""
_BATCH = 512
"""Queries scored at once: one matrix of scores for 1,500 images takes 3 MB."""


@dataclass(frozen=True)
class Solved:
    """Shares (0 to 1) of the pairs of one kind that the oracles solve within the top ten.

    `both_needed` is the mean probability that neither oracle alone solves the query; `composed` is the share of pairs
    that neither is sure to solve: more than ten images fit the text, and more than ten are as near to the reference.
    """

    pairs_of: str
    pairs: int
    text_only: float
    image_only: float
    either: float
    both_needed: float
    composed: float


class _Coded(NamedTuple):
    """Codes of the attribute values [images, attributes] (a colour has one code in all; 0 is hidden), and families."""

    codes: Ints
    families: Ints
    palette: list[int]
    """Columns of the attributes that share one palette."""


class _PairSample(NamedTuple):
    """Draws at most `most` of the pairs [pairs, 2] it is called with."""

    rng: np.random.Generator
    most: int

    def __call__(self, pairs: Ints) -> Ints:
        if len(pairs) <= self.most:
            return pairs
        return pairs[self.rng.choice(len(pairs), self.most, replace=False)]


def _top_share(scores: Ints, positives: NDArray[np.bool_], candidates: NDArray[np.bool_]) -> Floats:
    """Return the probability [queries] that one of the positives, tied in `scores`, comes among the first `TOP`.

    With b images ahead, n tied and p of them positive, it is 1 - C(n - p, k) / C(n, k), where k = TOP - b places are
    left for the tied ones (hypergeometric: the chance that none of k random ones is positive, subtracted from one).
    """
    best = np.where(positives, scores, -1).max(1, keepdims=True)
    ahead = ((scores > best) & candidates).sum(1)
    tied = ((scores == best) & candidates).sum(1)
    right = positives.sum(1)
    places = np.clip(TOP - ahead, 0, None)
    missed = np.ones(len(scores))
    for place in range(TOP):
        left = np.maximum(tied - place, 1)
        missed *= np.where(place < places, np.clip((tied - right - place) / left, 0, 1), 1.0)
    return 1.0 - missed


def _equal(gallery: _Coded, wanted: Ints, stated: NDArray[np.bool_]) -> Ints:
    """Count, for every query and image, the `stated` attributes of `wanted` [queries, attributes] that it shows."""
    counts = np.zeros((len(wanted), len(gallery.codes)), np.int32)
    for column in range(wanted.shape[1]):
        counts += (gallery.codes[None, :, column] == wanted[:, None, column]) & stated[: len(wanted), None, column]
    return counts


def _sources(palette: list[int], reference: Ints, target: Ints) -> Ints:
    """Return, for every query and palette colour, the part that keeps the changed colour's new value, or -1."""
    colors, kept = target[:, palette], (reference == target)[:, palette]
    same = (colors[:, :, None] == colors[:, None]) & kept[:, None] & ~kept[:, :, None] & (colors != 0)[:, :, None]
    return np.where(same.any(2), same.argmax(2), -1).astype(np.int32)


def _text_scores(gallery: _Coded, reference: Ints, target: Ints, relative: bool) -> Ints:
    """Score every image by what the text states; a `relative` text says "in the hat's colour" where it can."""
    stated = (reference != target) & (target != 0)
    if not relative:
        return _equal(gallery, target, stated)
    sources = _sources(gallery.palette, reference, target)
    stated[:, gallery.palette] &= sources < 0
    scores = _equal(gallery, target, stated)
    colors = gallery.codes[:, gallery.palette]
    for part, source in np.ndindex(len(gallery.palette), len(gallery.palette)):
        match = (colors[:, part] == colors[:, source]) & (colors[:, part] != 0)
        scores += (sources[:, part] == source)[:, None] & match[None]
    return scores


def _solved(gallery: _Coded, pairs: Ints, relative: bool) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Return for every pair the two oracles' probabilities, and whether neither is sure of it (composed)."""
    chunks = []
    everything = np.ones((_BATCH, gallery.codes.shape[1]), bool)
    for start in range(0, len(pairs), _BATCH):
        references, targets = pairs[start : start + _BATCH].T
        reference, target = gallery.codes[references], gallery.codes[targets]
        candidates = np.arange(len(gallery.codes))[None] != references[:, None]
        positives = (_equal(gallery, target, everything) == target.shape[1]) & candidates
        text = _text_scores(gallery, reference, target, relative)
        image = _equal(gallery, reference, everything)
        rows = np.arange(len(targets))
        as_good = [((s >= s[rows, targets][:, None]) & candidates).sum(1) > TOP for s in (text, image)]
        shares = [_top_share(s, positives, candidates) for s in (text, image)]
        chunks.append((*shares, as_good[0] & as_good[1]))
    text_shares, image_shares, composed = (np.concatenate(column) for column in zip(*chunks, strict=True))
    return text_shares, image_shares, composed


def _pairs_by_changes(gallery: _Coded) -> tuple[Ints, Ints]:
    """Return all ordered within-family pairs [pairs, 2] of different figures, and their numbers of changes [pairs]."""
    same_family = gallery.families[:, None] == gallery.families[None]
    references, targets = np.nonzero(same_family)
    changed = (gallery.codes[references] != gallery.codes[targets]) & (gallery.codes[targets] != 0)
    changes = changed.sum(1, dtype=np.int32)
    keep = changes > 0
    return np.stack([references, targets], 1)[keep].astype(np.int32), changes[keep]


def _row(name: str, gallery: _Coded, pairs: Ints, sample: _PairSample, relative: bool = False) -> Solved:
    if not len(pairs):
        raise UserError(f"no pair of {name} within a family: make a larger collection, or one with families")
    scored = sample(pairs)
    text, image, composed = _solved(gallery, scored, relative)
    neither = (1 - text) * (1 - image)
    means = (float(column.mean()) for column in (text, image, 1 - neither, neither, composed))
    return Solved(name, len(scored), *means)


def oracles(
    figures: Sequence[Any],
    families: Sequence[int],
    seed: int = 0,
    most_pairs: int = MOST_PAIRS,
    world: World = FIGURES,
) -> list[Solved]:
    """Measure both oracles on a gallery, by number of changes, on at most `most_pairs` random pairs of each.

    The last row takes the pairs of one and two changes in which a part takes the colour of another that keeps it, and
    a text that does not name it ("the shirt in the hat's colour"): the text-only oracle knows that the two agree.
    """
    codes = Gallery([str(number) for number in range(len(figures))], figures, world).codes
    palette = [world.names.index(name) for name in world.palette]
    gallery = _Coded(codes.astype(np.int32), np.asarray(families, np.int32), palette)
    pairs, changes = _pairs_by_changes(gallery)
    sample = _PairSample(np.random.default_rng(seed), most_pairs)
    rows = [_row(_name(count), gallery, pairs[changes == count], sample) for count in range(1, MOST_CHANGES + 1)]
    few = pairs[changes <= 2]
    related = few[(_sources(palette, gallery.codes[few[:, 0]], gallery.codes[few[:, 1]]) >= 0).any(1)]
    return [*rows, _row("1 or 2, relative", gallery, related, sample, relative=True)] if len(related) else rows


def _name(changes: int) -> str:
    return f"{changes} change" + ("s" if changes > 1 else "")


def oracle_table(rows: Sequence[Solved], title: str) -> Table:
    """Return the measurements as a table for the terminal, shares in per cent."""
    table = Table(title=title, caption=f"solved@{TOP}, reference removed, ties in random order")
    for heading in ("pairs of", "pairs", "text alone", "image alone", "either", "both needed", "composed"):
        table.add_column(heading, justify="left" if heading == "pairs of" else "right")
    for row in rows:
        name, pairs, *shares = astuple(row)
        table.add_row(name, f"{pairs:,}", *(f"{100 * share:.1f}" for share in shares))
    return table


def as_records(rows: Sequence[Solved]) -> list[dict[str, object]]:
    """Return the measurements as plain records."""
    return [asdict(row) for row in rows]
