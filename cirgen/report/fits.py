"""The bounds of a run that were fitted to labels, each with the curve that it was chosen from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from cirgen.errors import UserError
from cirgen.filters.fit import Curve
from cirgen.filters.registry import FILTERS
from cirgen.filters.threshold import FIT_SUFFIX, BoundedFilter
from cirgen.parquet_sql import rows_of
from cirgen.publish.places import public_name
from cirgen.run_folder import Run

if TYPE_CHECKING:
    import duckdb

LABELS = "labels"
"""Fact of a run: the sha256 of the labels file of every fitted bound."""
_CHANGED = "The labels changed since the filters decided: give the `cirgen run` command again."


@dataclass(frozen=True)
class FittedBound:
    """One bound, the labels it was fitted to, and what they say."""

    name: str
    """`filter.bound_fit`, as a recipe has it."""
    score: str
    curve: Curve | None
    """None where it cannot be drawn."""
    problem: str = ""
    """Why."""

    @property
    def labels_name(self) -> str:
        """Return the labels file without the way to it."""
        return public_name(self.curve.labels.name) if self.curve else ""

    @property
    def passes(self) -> str:
        """Return what passes, in words."""
        if self.curve is None:
            return ""
        return f"{self.score} of {'at least' if self.curve.least else 'at most'} {self.curve.threshold:.4g}"


def fitted_bounds(run: Run, connection: duckdb.DuckDBPyConnection) -> list[FittedBound]:
    """Fit every bound of the recipe again that is fitted to labels; the verdicts of the run say what was scored."""
    found = []
    for settings in run.recipe.filter:
        part = FILTERS.build(settings)
        if isinstance(part, BoundedFilter) and part.settings.fits():
            name = str(getattr(settings, FILTERS.tag))
            found += _bounds(part, name, seen(run, connection, name, part), run.read_facts().get(LABELS, {}))
    return found


def _bounds(part: BoundedFilter, name: str, triplets: pa.Table, used: dict[str, str]) -> list[FittedBound]:
    scores = {f"{name}.{bound.option}{FIT_SUFFIX}": bound.score for bound in part.bounds}
    try:
        curves = {f"{name}.{option}{FIT_SUFFIX}": curve for option, curve in part.curves(triplets).items()}
    except UserError as error:
        return [FittedBound(f"{name}.{option}{FIT_SUFFIX}", "", None, str(error)) for option in part.settings.fits()]
    return [
        FittedBound(place, scores[place], curve)
        if used.get(place, curve.labels.content) == curve.labels.content
        else FittedBound(place, scores[place], None, _CHANGED)
        for place, curve in curves.items()
    ]


def seen(run: Run, connection: duckdb.DuckDBPyConnection, name: str, part: BoundedFilter) -> pa.Table:
    """Return what a filter decided on: the triplets that it scored, with their scores."""
    triplets, verdicts = (rows_of(path) for path in (run.triplets, run.verdicts))
    columns = [f't."{column}"' for column in dict.fromkeys(("triplet_id", *part.decides_on))]
    scores = [f"v.scores['{name}.{score}'] AS \"{score}\"" for score in part.score_notes]
    first = next(iter(part.score_notes))
    return connection.sql(
        f"SELECT {', '.join([*columns, *scores])} FROM {triplets} AS t JOIN {verdicts} AS v USING (triplet_id) "
        f"WHERE map_contains(v.scores, '{name}.{first}') ORDER BY triplet_id"
    ).to_arrow_table()
