"""How often each image is a reference, and a target: a few images that are everywhere teach a model little."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from cirgen.audit.corpus import Corpus
from cirgen.audit.figures import Figure, Histogram, Listed, Section, count, number, percent

BINS = (0, 1, 2, 3, 4, 5, 6, 8, 11, 21, 51, 101)
"""Degrees at which a bar begins; the last one is open."""
SHOWN = 10
ABOUT = (
    "The degree of an image is the number of rows that it is a reference, or a target, of. The Gini coefficient is 0 "
    "where all images of the galleries have one degree, near 1 where one image has all rows; unused ones count too."
)


def degrees_section(corpus: Corpus) -> Section:
    """Return the degrees of every image of the galleries that a triplet is asked of, and of the triplets."""
    rows = corpus.triplets
    asked = {row.gallery for row in rows}  # not those of a split whose targets are withheld
    ends = {
        "reference": Counter(row.reference for row in rows),
        "target": Counter(row.target for row in rows),
    }
    members = {image_id for name in asked for image_id in corpus.galleries[name]}
    images = sorted({*members, *ends["reference"], *ends["target"]})
    degrees = {end: np.array([found[i] for i in images], dtype=np.int64) for end, found in ends.items()}
    figures = [figure for end, values in degrees.items() for figure in _figures(end, values)]
    unused = int((degrees["reference"] + degrees["target"] == 0).sum())
    figures.append(percent("unused", "images that no row names", unused / len(images)))
    listed = tuple(Listed(f"Most frequent {end}s", tuple(_most(found)), len(rows)) for end, found in ends.items())
    return Section("degrees", "Use of images", tuple(figures), ABOUT, listed, (_histogram(degrees),))


def _most(found: Counter[str]) -> list[tuple[str, float]]:
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return [(image_id, float(rows)) for image_id, rows in ordered[:SHOWN]]


def _figures(end: str, degrees: NDArray[np.int64]) -> Iterator[Figure]:
    yield count(f"{end}s", f"images that are {end}s", int((degrees > 0).sum()))
    yield count(f"{end}_max", f"rows of the most frequent {end}", int(degrees.max()))
    yield percent(f"{end}_top", f"rows of the 1 % most frequent {end}s", top_share(degrees))
    yield number(f"{end}_gini", f"Gini coefficient of {end}s", gini(degrees))


def top_share(degrees: NDArray[np.int64], share: float = 0.01) -> float:
    """Return the share of rows that the most frequent images have, of those used at all; at least one image."""
    used = np.sort(degrees[degrees > 0])[::-1]
    return float(used[: max(1, round(share * len(used)))].sum() / used.sum())


def gini(degrees: Sequence[int] | NDArray[np.int64]) -> float:
    """Return the Gini coefficient: mean absolute difference of two images' degrees over twice the mean degree."""
    values = np.sort(np.asarray(degrees, dtype=np.float64))
    places = np.arange(1, len(values) + 1)
    return float(((2 * places - len(values) - 1) * values).sum() / (len(values) * values.sum()))


def _histogram(degrees: dict[str, NDArray[np.int64]]) -> Histogram:
    top = max(int(values.max()) for values in degrees.values()) + 1
    edges = [*(edge for edge in BINS if edge < top), top]
    counts = {f"{end}s": tuple(map(float, np.histogram(values, edges)[0])) for end, values in degrees.items()}
    return Histogram("rows that an image is in", tuple(map(float, edges)), counts)
