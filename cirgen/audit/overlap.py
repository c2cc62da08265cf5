"""Which pictures of a corpus a benchmark has too: training on those is training on the test.

A benchmark is a folder of pictures, or a list of their hashes (JSON lines or Parquet, one row a picture), which can be
passed on where the pictures cannot.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cirgen.audit.catalog import Catalog, Hashes, catalog, near_duplicates
from cirgen.audit.corpora.files import FolderPictures
from cirgen.audit.corpus import Corpus
from cirgen.audit.figures import Figure, Section, count, missing, percent
from cirgen.errors import UserError
from cirgen.pictures import suffixes
from cirgen.progress import Progress

COLUMNS = {
    "pixel": ("pixel_hash", "pixel"),
    "structure": ("perceptual_hash", "structure"),
    "color": ("color_hash", "color"),
}
"""Hash to what a list may call its column."""
NAMES = (
    ("same", "pictures that the benchmark has, same pixels"),
    ("near", "pictures that the benchmark has, or nearly"),
    ("rows", "rows with a picture of the benchmark"),
)
ABOUT = (
    "Pictures are compared by their pixels, and by the hashes that find near duplicates: copies that were resized or "
    "compressed again are found, crops and other views of the same thing are not."
)


class Benchmark(NamedTuple):
    """Pictures that must not be trained on."""

    name: str
    hashes: tuple[Hashes, ...]


def read_benchmark(path: Path, progress: Progress) -> Benchmark:
    """Hash a folder of pictures, or read a list of hashes.

    Raises:
        UserError: there is no such thing, it holds no picture, or a list lacks a column.
    """
    if path.is_dir():
        return Benchmark(path.resolve().name, _of_folder(path, progress))
    if path.is_file():
        return Benchmark(path.stem, tuple(_hashes(path, row) for row in _listed(path)))
    raise UserError(f"There is no benchmark at {path}; give a folder of its pictures, or a list of their hashes.")


def _of_folder(path: Path, progress: Progress) -> tuple[Hashes, ...]:
    names = sorted(p.relative_to(path).as_posix() for p in path.rglob("*") if p.suffix.lower() in suffixes())
    if not names:
        raise UserError(f"There is no picture under {path}; give the folder of the benchmark's pictures.")
    pictures = Corpus(path.name, "pictures", (), {"all": tuple(names)}, pictures=FolderPictures(path))
    return catalog(pictures, progress).hashes


def _listed(path: Path) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    try:
        if path.suffix == ".parquet":
            rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
            return rows
        return [json.loads(line) for line in path.read_text(encoding="utf8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is no list of hashes ({error}); give JSON lines or Parquet.") from error


def _hashes(path: Path, row: Mapping[str, Any]) -> Hashes:
    found = {name: next((row[c] for c in columns if row.get(c)), "") for name, columns in COLUMNS.items()}
    missed = [COLUMNS[name][0] for name, value in found.items() if not value]
    if missed:
        raise UserError(
            f"{path} lacks {', '.join(missed)} in a row; make the list again, of pictures that can be read."
        )
    return Hashes(**found)


def overlap_section(
    corpus: Corpus, pictures: Catalog | None, benchmarks: Sequence[Benchmark], no_benchmark: str
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


def _figures(corpus: Corpus, pictures: Catalog, benchmark: Benchmark, suffix: str) -> Iterable[Figure]:
    same, near = overlapping(pictures, benchmark)
    rows = sum(row.reference in near or row.target in near for row in corpus.triplets)
    yield count(f"benchmark{suffix}", f"pictures of {benchmark.name}", len(benchmark.hashes))
    found = (len(same) / len(pictures.ids), len(near) / len(pictures.ids), rows / max(1, len(corpus.triplets)))
    for (name, label), value in zip(NAMES, found, strict=True):
        yield percent(f"{name}{suffix}", label.replace("the benchmark", benchmark.name), value)


def overlapping(pictures: Catalog, benchmark: Benchmark) -> tuple[set[str], set[str]]:
    """Return the images whose pixels a benchmark has, and those that are near duplicates of one of its pictures."""
    pixels = {one.pixel for one in benchmark.hashes}
    same = {i for i, hashes in zip(pictures.ids, pictures.hashes, strict=True) if hashes.pixel in pixels}
    groups = near_duplicates((*pictures.hashes, *benchmark.hashes))
    theirs = set(groups[len(pictures.ids) :].tolist())
    near = {i for i, group in zip(pictures.ids, groups[: len(pictures.ids)].tolist(), strict=True) if group in theirs}
    return same, same | near
