"""The bounds of a run that were fitted to labels, each with the curve that it was chosen from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from cirgen.filters.fit import Curve
from cirgen.filters.registry import FILTERS
from cirgen.filters.threshold import FIT_SUFFIX, BoundedFilter
from cirgen.publish.places import public_name
from cirgen.run_folder import Run
from cirgen.store import quoted

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class FittedBound:
    """One bound, the labels it was fitted to, and what they say."""

    filter: str
    option: str
    score: str
    curve: Curve

    @property
    def name(self) -> str:
        """Return the setting, as a recipe has it."""
        return f"{self.filter}.{self.option}{FIT_SUFFIX}"

    @property
    def labels_name(self) -> str:
        """Return the labels file without the way to it."""
        return public_name(self.curve.labels.name)

    @property
    def passes(self) -> str:
        """Return what passes, in words."""
        return f"{self.score} of {'at least' if self.curve.least else 'at most'} {self.curve.threshold:.4g}"


def fitted_bounds(run: Run, connection: duckdb.DuckDBPyConnection) -> list[FittedBound]:
    """Fit every bound of the recipe again that is fitted to labels; the verdicts of the run say what was scored.

    Raises:
        UserError: the labels are gone, or changed so that they no longer do.
    """
    found = []
    for settings in run.recipe.filter:
        part = FILTERS.build(settings)
        if not isinstance(part, BoundedFilter) or not part.settings.fits():
            continue
        name = str(getattr(settings, FILTERS.tag))
        curves = part.curves(seen(run, connection, name, part))
        scores = {bound.option: bound.score for bound in part.bounds}
        found += [FittedBound(name, option, scores[option], curve) for option, curve in curves.items()]
    return found


def seen(run: Run, connection: duckdb.DuckDBPyConnection, name: str, part: BoundedFilter) -> pa.Table:
    """Return what a filter decided on: the triplets that it scored, with their scores."""
    triplets, verdicts = (f"read_parquet({quoted(str(path))})" for path in (run.triplets, run.verdicts))
    columns = [f't."{column}"' for column in dict.fromkeys(("triplet_id", *part.decides_on))]
    scores = [f"v.scores['{name}.{score}'] AS \"{score}\"" for score in part.score_notes]
    first = next(iter(part.score_notes))
    return connection.sql(
        f"SELECT {', '.join([*columns, *scores])} FROM {triplets} AS t JOIN {verdicts} AS v USING (triplet_id) "
        f"WHERE map_contains(v.scores, '{name}.{first}') ORDER BY triplet_id"
    ).to_arrow_table()
