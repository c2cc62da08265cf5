"""What an audit worked out of pictures and texts, kept on this machine by content: nothing is worked out twice.

Shards are Parquet files with a column `key`; each appears as a whole, under a name of its own, so that audits that run
side by side do each other no harm.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cirgen.resources import cache_folder
from cirgen.shards import write_batches

KEY = "key"


class Cache:
    """Values by key, all made one way.

    Args:
        name: what they are made with: another way has another name.
        columns: the value's columns.
    """

    def __init__(self, name: str, columns: pa.Schema) -> None:
        self._folder = cache_folder("audit") / name
        self._schema = pa.schema([pa.field(KEY, pa.string()), *columns])

    def find(self, keys: Iterable[str]) -> pa.Table:
        """Return the rows of some keys, as far as they are there, each once."""
        wanted = pa.array(sorted(set(keys)), pa.string())
        parts = [self._schema.empty_table()]
        for shard in sorted(self._folder.glob("*.parquet")) if len(wanted) else ():
            found = self._in_shard(shard, wanted)
            if found is not None:
                parts.append(found)
                wanted = wanted.filter(pc.invert(pc.is_in(wanted, value_set=found.column(KEY))))
        return pa.concat_tables(parts)

    def _in_shard(self, shard: Path, wanted: pa.Array) -> pa.Table | None:
        """Return the wanted rows of a shard, None where it has none; a damaged one goes, to be made anew."""
        try:
            there = pq.read_table(shard, columns=[KEY]).column(KEY)
            mask = pc.is_in(there, value_set=wanted)
            return pq.read_table(shard).filter(mask).cast(self._schema) if pc.any(mask).as_py() else None
        except FileNotFoundError:
            return None
        except (pa.ArrowException, OSError, KeyError):
            shard.unlink(missing_ok=True)
            return None

    def add(self, keys: Sequence[str], values: Mapping[str, Any]) -> None:
        """Keep the values of keys that are not there yet."""
        batch = pa.RecordBatch.from_pydict({KEY: list(keys), **values}, schema=self._schema)
        write_batches(self._folder / f"{uuid.uuid4().hex}.parquet", [batch], self._schema)
