"""Which pictures of a corpus a benchmark has too: training on those is training on the test.

A benchmark is a folder of pictures, or a list of their fingerprints (`cirgen fingerprint`), which can be passed on
where the pictures cannot.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cirgen.audit.catalog import Catalog
from cirgen.audit.corpus import Corpus
from cirgen.audit.figures import Figure, Section, count, missing, percent
from cirgen.filters.tools import NEAR, SAME_PIXELS
from cirgen.fingerprints import Fingerprints

NAMES = (
    ("same", "pictures that the benchmark has, same pixels"),
    ("near", "pictures that the benchmark has, or nearly"),
    ("rows", "rows with a picture of the benchmark"),
)
ABOUT = (
    "Pictures are compared by their pixels, and by the hashes that find near duplicates: copies that were resized or "
    "compressed again are found, crops and other views of the same thing are not."
)


def overlap_section(
    corpus: Corpus, pictures: Catalog | None, benchmarks: Sequence[Fingerprints], no_benchmark: str
) -> Section:
    """Return how much of a corpus each benchmark has."""
    title = "Benchmark overlap"
    if not benchmarks:
        return Section("overlap", title, missing(no_benchmark, NAMES), ABOUT)
    if pictures is None or not pictures.ids:
        return Section("overlap", title, missing(corpus.no_pictures, NAMES), ABOUT)
    figures = [
        figure
        for place, one in enumerate(benchmarks)
        for figure in _figures(corpus, pictures, one, "" if len(benchmarks) == 1 else f"_{place + 1}")
    ]
    return Section("overlap", title, tuple(figures), ABOUT)


def _figures(corpus: Corpus, pictures: Catalog, benchmark: Fingerprints, suffix: str) -> Iterable[Figure]:
    same, near = overlapping(pictures, benchmark)
    rows = sum(row.reference in near or row.target in near for row in corpus.triplets)
    yield count(f"benchmark{suffix}", f"pictures of {benchmark.name}", len(benchmark))
    found = (len(same) / len(pictures.ids), len(near) / len(pictures.ids), rows / max(1, len(corpus.triplets)))
    for (name, label), value in zip(NAMES, found, strict=True):
        yield percent(f"{name}{suffix}", label.replace("the benchmark", benchmark.name), value)


def overlapping(pictures: Catalog, benchmark: Fingerprints) -> tuple[set[str], set[str]]:
    """Return the images whose pixels a benchmark has, and those that are near duplicates of one of its pictures."""
    levels = benchmark.find(pictures.fingerprints())
    same, near = (
        {i for i, level in zip(pictures.ids, levels.tolist(), strict=True) if level >= least}
        for least in (SAME_PIXELS, NEAR)
    )
    return same, near
