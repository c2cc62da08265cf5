"""How alike images of a run are: any two, those that were paired, and those that were accepted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cirgen.errors import UserError
from cirgen.filters.similarity import Similarity, SimilaritySettings
from cirgen.parquet_sql import rows_of
from cirgen.report.fits import seen
from cirgen.report.plots import Window
from cirgen.run_folder import Run

if TYPE_CHECKING:
    import duckdb

DRAWN = 20_000
"""Values per curve: enough for a histogram of 50 bins."""

Cosines = NDArray[np.float32]


def any_two(run: Run) -> Cosines | None:
    """Return cosines of image pairs drawn by the seed, or None where the run has no embeddings."""
    if not run.image_vectors.is_file():
        return None
    vectors = np.load(run.image_vectors, mmap_mode="r")
    generator = np.random.default_rng(run.recipe.seed)
    one, other = generator.integers(0, len(vectors), (2, DRAWN))
    different = one != other
    cosines: Cosines = np.einsum("nd,nd->n", vectors[one[different]], vectors[other[different]])
    return cosines


def mined(run: Run, connection: duckdb.DuckDBPyConnection) -> Cosines:
    """Return cosines of mined pairs."""
    return _drawn(connection, f"SELECT pair_id AS id, similarity FROM {rows_of(run.pairs)}")


def accepted(run: Run, connection: duckdb.DuckDBPyConnection) -> Cosines:
    """Return cosines of accepted triplets."""
    triplets, verdicts = (rows_of(path) for path in (run.triplets, run.verdicts))
    judged = f"{triplets} AS t JOIN {verdicts} AS v USING (triplet_id)"
    return _drawn(connection, f"SELECT triplet_id AS id, similarity FROM {judged} WHERE reason = ''")


def _drawn(connection: duckdb.DuckDBPyConnection, query: str) -> Cosines:
    found = connection.execute(f"SELECT similarity FROM ({query}) ORDER BY id LIMIT {DRAWN}").fetchall()
    return np.asarray([value for (value,) in found], dtype=np.float32)


def filter_window(run: Run, connection: duckdb.DuckDBPyConnection) -> Window | None:
    """Return what the similarity filter let through: its bounds as cosines, percentiles and fits worked out."""
    settings = next((one for one in run.recipe.filter if isinstance(one, SimilaritySettings)), None)
    if settings is None:
        return None
    part = Similarity(settings)
    try:
        cutoffs = part.cutoffs(seen(run, connection, settings.name, part))
    except UserError:  # the labels of a fit are gone or changed, which its own plot says
        return None
    return Window("similarity filter", cutoffs["lower"], cutoffs["upper"])


def windows(run: Run, random: Cosines | None) -> list[Window]:
    """Return the ranges of image similarity that the recipe's signals ask for; ranks have none."""
    found = []
    for signal in run.recipe.pair.signals:
        if signal.by == "image" and signal.kind == "neighbours" and (signal.lower, signal.upper) != (None, None):
            found.append(Window("window: neighbours", signal.lower, signal.upper))
        if signal.by == "image" and signal.kind == "percentile" and random is not None and len(random):
            lower, upper = np.percentile(
                random, [signal.lower or 0.0, 100.0 if signal.upper is None else signal.upper]
            )
            found.append(
                Window(f"window: percentile {signal.lower:g} to {signal.upper:g}", float(lower), float(upper))
            )
    return found
