"""How many pictures come before the target: for the text alone, for the reference alone, and for both together.

A gallery is ranked by exact cosine (`cirgen.cosine`) with the embedding of the text, with that of the reference, and
with their sum, which orders pictures as the normalised sum does. The reference is no candidate, near duplicates of the
target count for nobody, and a picture as near as the target counts as before it.

Time: every triplet meets every picture, 2 x N x d multiplications each. Memory: `QUERIES` x `PICTURES` cosines of each
of the three kinds (50 MiB), one chunk of the gallery, and no more however large the run is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cirgen.cosine import Exact, on_grid, paired_cosines
from cirgen.cosine import cosines as products
from cirgen.filters.tools import Embeddings, Gallery

QUERIES = 256
PICTURES = 8_192

Counts = NDArray[np.int64]
Bools = NDArray[np.bool_]


class Ahead(NamedTuple):
    """Candidates that score at least as high as the target, which is not among them."""

    text: Counts
    """[E, n] by the text alone, for each encoder."""
    image: Counts
    """[E, n] by the reference alone."""
    both: Counts
    """[E, n] by their sum."""
    agreed: Counts
    """[n] by their sum and for every encoder."""
    candidates: Counts
    """[n] pictures ranked, the target included."""


def ahead_of_target(triplets: pa.RecordBatch, encoders: Sequence[Embeddings], gallery: Gallery) -> Ahead:
    """Count what comes before the target of each triplet.

    Args:
        triplets: with `reference_id`, `text` and `target_id`; n rows.
        encoders: E of them, which expect the texts.
        gallery: holds every reference and target.
    """
    starts = range(0, triplets.num_rows, QUERIES)
    blocks = [_Block(triplets.slice(start, QUERIES), encoders, gallery) for start in starts]
    for rows, vectors in _chunks(encoders, gallery):
        for block in blocks:
            block.compare(rows, vectors)
    return Ahead(*(np.concatenate(parts, axis=-1) for parts in zip(*(block.found for block in blocks), strict=True)))


def _chunks(
    encoders: Sequence[Embeddings], gallery: Gallery
) -> Iterator[tuple[NDArray[np.int64], list[NDArray[np.float32]]]]:
    """Yield rows of the gallery with their embeddings by every encoder."""
    for start in range(0, len(gallery.image_ids), PICTURES):
        ids = [image_id.decode() for image_id in gallery.image_ids[start : start + PICTURES]]
        yield np.arange(start, start + len(ids)), [encoder.images(ids) for encoder in encoders]


class _Query(NamedTuple):
    """A block of queries as one encoder sees them."""

    texts: Exact
    """[q, d]"""
    references: Exact
    text: Exact
    """[q, 1] cosines of text and target."""
    reference: Exact
    """[q, 1] cosines of reference and target."""


class _Block:
    """Some triplets, and what came before their targets so far."""

    def __init__(self, triplets: pa.RecordBatch, encoders: Sequence[Embeddings], gallery: Gallery) -> None:
        references, texts, targets = (triplets.column(c).to_pylist() for c in ("reference_id", "text", "target_id"))
        self._groups = gallery.group_numbers
        self._reference = gallery.rows(references)
        self._target = gallery.rows(targets)
        self._queries = [_query(encoder, references, texts, targets) for encoder in encoders]
        text, image, both = np.zeros((3, len(encoders), triplets.num_rows), dtype=np.int64)
        agreed, rivals = np.zeros((2, triplets.num_rows), dtype=np.int64)
        self.found = Ahead(text, image, both, agreed, rivals + 1)

    def compare(self, rows: NDArray[np.int64], vectors: Sequence[NDArray[np.float32]]) -> None:
        """Count those of some pictures [m] that come before the target, given their embeddings by every encoder."""
        rivals = self._groups[rows] != self._groups[self._target][:, None]
        rivals &= rows != self._reference[:, None]
        self.found.candidates[:] += rivals.sum(axis=1)
        agreed = rivals.copy()
        everything = np.arange(len(rows))
        for number, (query, chunk) in enumerate(zip(self._queries, vectors, strict=True)):
            by_text, by_image = (products(one, chunk, everything) for one in (query.texts, query.references))
            self.found.text[number] += _count((by_text >= query.text) & rivals)
            self.found.image[number] += _count((by_image >= query.reference) & rivals)
            by_text += by_image  # a sum of exact cosines is exact
            both: Bools = by_text >= query.text + query.reference
            self.found.both[number] += _count(both & rivals)
            agreed &= both
        self.found.agreed[:] += _count(agreed)


def _query(encoder: Embeddings, references: Sequence[str], texts: Sequence[str], targets: Sequence[str]) -> _Query:
    said, shown, sought = encoder.texts(texts), encoder.images(references), encoder.images(targets)
    text, reference = (paired_cosines(one, sought)[:, None] for one in (said, shown))
    return _Query(on_grid(said), on_grid(shown), text, reference)


def _count(found: Bools) -> Counts:
    return np.asarray(found.sum(axis=1))
