"""How SQL names Parquet files, so that nothing in their path is taken for more than a name."""

from __future__ import annotations

import re
from pathlib import Path

PATTERN = re.compile(r"[*?\[]")


def quoted(text: str) -> str:
    """Quote a string for SQL."""
    return "'" + text.replace("'", "''") + "'"


def rows_of(*files: Path | str, options: str = "") -> str:
    """Return the SQL of a relation with the rows of Parquet files.

    DuckDB would read a folder called `model=small` as a column in place of the files' own, and `*`, `?` and
    `[` as a pattern that finds files of other folders too.

    Args:
        files: at least one.
        options: further ones of `read_parquet`, as `file_row_number = true`.
    """
    named = ", ".join(quoted(PATTERN.sub(r"[\g<0>]", str(file))) for file in files)
    return f"read_parquet([{named}], hive_partitioning = false{f', {options}' if options else ''})"
