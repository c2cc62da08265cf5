"""Files of a run that were cut off, emptied, or replaced by something else: told in one sentence, with the way out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cirgen.errors import UserError

DERIVED = "derived"
"""Folder of the tables that every run makes anew."""
_TABLE = re.compile(r"""['"]([^'"]+\.parquet)['"]""")


def check_shard(path: Path, schema: pa.Schema) -> None:
    """Look at the footer of a shard.

    Raises:
        UserError: it is damaged, or no shard of that schema.
        FileNotFoundError: it is gone.
    """
    if not _footer(path).equals(schema):
        raise UserError(
            f"{path} is not what the folder {path.parent} is for: move it away and give the same command again."
        )


def check_derived(folder: Path) -> None:
    """Look at every derived table and matrix, without reading its rows.

    Raises:
        UserError: one of them is damaged.
    """
    for path in sorted((*folder.glob("*.parquet"), *folder.glob("*.npy"))):
        try:
            _ = _footer(path) if path.suffix == ".parquet" else np.load(path, mmap_mode="r")
        except FileNotFoundError:  # replaced by a run that is going on
            continue
        except (ValueError, EOFError, OSError) as error:
            raise _damaged(path) from error


@contextmanager
def damage_told() -> Iterator[None]:
    """Turn an error of DuckDB about a table that cannot be read to its end into one that names the way out."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        for name in _TABLE.findall(str(error)):
            _check_whole(Path(name))
        raise


def _footer(path: Path) -> pa.Schema:
    try:
        return pq.read_schema(path)
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path) from error


def _check_whole(path: Path) -> None:
    try:
        for _ in pq.ParquetFile(path).iter_batches():
            pass
    except FileNotFoundError:
        return
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> UserError:
    if path.parent.name == DERIVED:
        return UserError(f"{path} is damaged: give your `cirgen run` command again, which makes it anew.")
    return UserError(
        f"{path} is damaged or cannot be read: move it away and give the same command again; its rows are made again."
    )
