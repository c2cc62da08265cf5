"""How alike reference and target are, and any two images beside them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cirgen.audit.embeddings import Embedded, Vectors
from cirgen.audit.figures import Figure, Histogram, Section, missing, number
from cirgen.audit.ranking import Ranks
from cirgen.audit.shortcuts import label_of
from cirgen.cosine import paired_cosines

PERCENTILES = (5, 50, 95)
DRAWN = 20_000
"""Pairs of any two images: enough for a histogram."""
BINS = 40
ABOUT = "Cosine of the two images' embeddings, for the pairs of the rows and for pairs drawn at random."


def similarity_section(ranks: Ranks, encoders: Sequence[Embedded]) -> Section:
    """Return the cosines of reference and target under every encoder."""
    figures: list[Figure] = []
    histograms = []
    for place, encoder in enumerate(encoders):
        suffix = f"_{place + 1}" if len(encoders) > 1 else ""
        label = label_of(encoder.encoder, ranks)
        found = ranks.cosines[place]
        others = _any_two(encoder.images)
        for level, value in zip(PERCENTILES, np.percentile(found, PERCENTILES), strict=True):
            figures.append(number(f"p{level}{suffix}", f"cosine of a pair, {level}th percentile{label}", value))
        if len(others):
            figures.append(number(f"any{suffix}", f"cosine of any two images, median{label}", np.median(others)))
        edges = np.linspace(min(found.min(), others.min(initial=1.0)), 1.0, BINS + 1)
        counts = {
            name: tuple(float(n) for n in np.histogram(values, edges)[0])
            for name, values in (("any two images", others), ("pairs", found))
            if len(values)
        }
        histograms.append(Histogram(f"cosine of reference and target{label}", tuple(map(float, edges)), counts))
    return Section("similarity", "Similarity", tuple(figures), ABOUT, (), tuple(histograms))


def _any_two(images: Vectors) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    rng = np.random.default_rng(0)
    one, other = rng.integers(len(images), size=(2, DRAWN))
    different = one != other
    return np.minimum(paired_cosines(images[one[different]], images[other[different]]), 1.0)


def no_similarity(reason: str) -> Section:
    """Return the section of a corpus without embeddings."""
    return Section(
        "similarity", "Similarity", missing(reason, (("p50", "cosine of a pair, median"),), "number"), ABOUT
    )
