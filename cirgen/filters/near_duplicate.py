"""Texts that say the same all over the corpus: word for word too often, or nearly, where they are long.

Short texts repeat by nature ("make the hat red" of many pairs; "is darker" is 1.6 % of FashionIQ's training texts), so
that only many copies of one are too many. Long ones do not: where two of them share nearly all their words in order, a
model repeats itself. Of the released texts of Laion-CIR 82 % are unique, of FashionIQ's 70 %, of CIRR's 99 %.

Near copies are found by MinHash over runs of two words: texts that share a band of a signature are compared exactly,
each with the next `WINDOW` of its band alone (sorted by text), so that no step is quadratic. Two texts of Jaccard
similarity s meet with probability 1 - (1 - s^4)^16: 0.9998 at 0.8, 0.99 at 0.7. Memory: 128 bytes a text, beside it.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from cirgen.components import Components
from cirgen.filters.base import FilterSettings, Rule
from cirgen.filters.words import normalised
from cirgen.keys import digest

BANDS, ROWS = 16, 4
RUN = 2  # words
WINDOW = 64  # texts


class NearDuplicateSettings(FilterSettings):
    """How often the corpus may say one thing."""

    name: Literal["near_duplicate"] = "near_duplicate"
    same_text: int = Field(20, ge=1, le=1_000_000_000)
    """Triplets that may have one text, case and punctuation aside."""
    near: float = Field(0.8, ge=0.5, le=1)
    """Jaccard similarity of their runs of two words from which on two texts are near copies."""
    min_words: int = Field(8, ge=RUN, le=10_000)
    """Shorter texts are near copies of nothing."""
    copies: int = Field(3, ge=1, le=1_000_000_000)
    """Texts that may stay of a cluster of near copies."""


class NearDuplicate(Rule):
    """Thins out texts that repeat each other; who stays is drawn by a hash of the triplet's id."""

    Settings = NearDuplicateSettings
    decides_on = ("text",)

    def __init__(self, settings: NearDuplicateSettings) -> None:
        self.settings = settings

    def decide(self, triplets: pa.Table) -> list[str]:
        """Reject what is beyond its cap: first of one text, then of a cluster of near copies.

        Both are counted over all rows, rejected or not, so that a looser setting never rejects another row.
        """
        ids = triplets.column("triplet_id").to_pylist()
        said = [normalised(text) for text in triplets.column("text").to_pylist()]
        texts = sorted(set(said))
        clusters = dict(zip(texts, _clusters(texts, self.settings), strict=True))
        order = sorted(range(len(ids)), key=lambda row: digest("near-duplicate", ids[row]))
        reasons = [""] * len(ids)
        often: Counter[str] = Counter()
        kept: defaultdict[int, set[str]] = defaultdict(set)
        for row in order:
            text, cluster = said[row], kept[clusters[said[row]]]
            often[text] += 1
            if often[text] > self.settings.same_text:
                reasons[row] = "same text too often"
            elif len(cluster) >= self.settings.copies and text not in cluster:
                reasons[row] = "nearly the same text too often"
            else:
                cluster.add(text)
        return reasons


def _clusters(texts: Sequence[str], settings: NearDuplicateSettings) -> NDArray[np.int64]:
    """Return for each of some different, sorted texts the first of the cluster of near copies that it is in."""
    long = np.asarray([text.count(" ") + 1 >= settings.min_words for text in texts], dtype=np.bool_)
    clusters = Components(len(texts))
    for pairs in _neighbours(_bands(texts)):
        left, right = pairs[:, clusters.apart(*pairs) & long[pairs].all(axis=0)]
        near = [_jaccard(texts[one], texts[other]) >= settings.near for one, other in zip(left, right, strict=True)]
        clusters.join(left[near], right[near])
    return clusters.smallest()


def _bands(texts: Sequence[str]) -> NDArray[np.uint64]:
    """Return a hash of each band of each text's MinHash signature [n, BANDS]."""
    from datasketch import MinHash

    bands = np.empty((len(texts), BANDS), dtype=np.uint64)
    blank = MinHash(num_perm=BANDS * ROWS, seed=1)
    for row, text in enumerate(texts):
        signed = blank.copy()
        signed.update_batch([run.encode() for run in sorted(_runs(text))])
        values = np.ascontiguousarray(signed.hashvalues.reshape(BANDS, ROWS), dtype="<u8")
        bands[row] = [int.from_bytes(hashlib.blake2b(band.tobytes(), digest_size=8).digest()) for band in values]
    return bands


def _neighbours(bands: NDArray[np.uint64]) -> Iterator[NDArray[np.int64]]:
    """Yield pairs of texts [2, m] that share a band and are `WINDOW` apart in it at most, one distance at a time."""
    for band in bands.T:
        order = np.argsort(band, kind="stable")  # texts are sorted, so ties stay so
        starts = np.arange(len(order))
        for distance in range(1, WINDOW + 1):
            starts = starts[starts + distance < len(order)]
            starts = starts[band[order[starts]] == band[order[starts + distance]]]
            if not len(starts):
                break
            yield np.stack((order[starts], order[starts + distance]))


def _runs(text: str) -> set[str]:
    """Return the runs of two words of a normalised text; a single word is one."""
    words = text.split()
    return {" ".join(words[start : start + RUN]) for start in range(max(1, len(words) - RUN + 1))}


def _jaccard(one: str, other: str) -> float:
    mine, its = _runs(one), _runs(other)
    return len(mine & its) / len(mine | its)
