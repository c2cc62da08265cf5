"""The one caption of a picture that later stages read and that a run publishes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cirgen.parquet_sql import rows_of
from cirgen.run_folder import Run

if TYPE_CHECKING:
    import duckdb


def captions(run: Run, connection: duckdb.DuckDBPyConnection) -> str:
    """Return the SQL of (image_id, text): the model's caption of each picture, no row where it has none."""
    plan = run.caption_plan
    if not plan.is_file():
        return "(SELECT '' AS image_id, '' AS text WHERE false)"
    return (
        f"(SELECT p.image_id, c.text FROM {rows_of(plan)} AS p "
        f"JOIN {run.store.current(connection, 'caption')} AS c USING (key) "
        "WHERE p.prompt_index = 0 AND p.sample_index = 0 AND c.status = 'ok')"
    )
