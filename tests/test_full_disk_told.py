"""What DuckDB cannot write for want of room is told as a full disk, wherever it happens."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

WRITES = "COPY (SELECT i, md5(i::VARCHAR) AS h FROM range(1000000) t(i)) TO 'rows.parquet' (FORMAT parquet)"
SORTS = "SELECT count(*) FROM (SELECT md5(i::VARCHAR) AS h, i FROM range(30000000) t(i) ORDER BY h, i) WHERE h < 'f'"
SCRIPT = """
import errno, sys
from pathlib import Path
import cirgen.store
cirgen.store.MEMORY_LIMIT = "100MB"
try:
    with cirgen.store.Store(Path("store")).connect() as connection:
        connection.execute(sys.argv[1]).fetchall()
except OSError as error:
    print(errno.errorcode[error.errno])
"""


@pytest.mark.parametrize("query", [WRITES, SORTS], ids=["written", "spilled"])
def test_a_file_that_duckdb_may_not_write_is_told_as_any_other(tmp_path: Path, query: str) -> None:
    limited = ["bash", "-c", 'ulimit -f 500; exec "$@"', "limited", sys.executable, "-c", SCRIPT, query]
    done = subprocess.run(limited, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "EFBIG\n", done.stderr
