"""How people call pictures: the file names that their source knows them by."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from cirgen.parquet_sql import rows_of
from cirgen.publish.places import public_name

if TYPE_CHECKING:
    import duckdb


def source_names(connection: duckdb.DuckDBPyConnection, catalog: Path, image_ids: Iterable[str]) -> dict[str, str]:
    """Return image id to the first `source_id` of some pictures of a catalog (`schemas.CATALOG`)."""
    query = f"SELECT image_id, aliases[1].source_id FROM {rows_of(catalog)} WHERE list_contains(?, image_id)"
    found = connection.execute(query, [sorted(set(image_ids))]).fetchall()
    return {str(image_id): public_name(str(name)) for image_id, name in found}
