"""What compaction is worth to a resumed run: the check for missing rows, and the lookup of one row, in a large stage.

Run: python benchmark/perf/store_speed.py [--rows 1000000] [--shard-rows 1000]

Every check runs `--repeats` times, each in a process of its own, and reports the least CPU time, all on the same rows:
`many shards`, as writers left them; `compacted`; and `compacted, index file`, where the check reads a separate file of
sorted keys and statuses instead of the shards, to see whether such an index would be worth having. A new plan of as
many rows as a shard has, half of them stored, stands for a changed prompt.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cirgen.compaction import compact
from cirgen.parquet_sql import quoted, rows_of
from cirgen.schemas import GENERATION
from cirgen.store import Store

STAGE = "caption"
PLAN = pa.schema([pa.field("key", pa.string()), pa.field("image_id", pa.string())])


def main() -> None:
    """Print CPU seconds, peak memory and ratios."""
    options = _options()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        many, few = Path(folder) / "many", Path(folder) / "few"
        write_shards(many, options.rows, options.shard_rows)
        write_plans(many, options.rows, options.shard_rows)
        shutil.copytree(many, few)
        merging = measure(few, "compact")
        print(f"compaction of {merging['found']:,} shards: {_cell(merging)}")
        write_index(few)
        places = {"many shards": many, "compacted": few}
        found = {name: _in_turns(places, name, options.repeats) for name in ("whole", "new", "one")}
        index = _in_turns({"compacted": few}, "index", options.repeats)["compacted"]
    report(found, index)


def _in_turns(places: dict[str, Path], name: str, repeats: int) -> dict[str, dict[str, float]]:
    """Measure a check in each place in turns, so that the load of the machine is shared; keep the fastest."""
    runs = [{place: measure(root, name) for place, root in places.items()} for _ in range(repeats)]
    return {place: min((run[place] for run in runs), key=lambda one: one["seconds"]) for place in places}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--shard-rows", type=int, default=1_000, help="fewer where a model is slow")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", help="where the store is made; a temporary folder by default")
    return parser.parse_args()


def key_of(number: int) -> str:
    """Return the key of a row, which says nothing of its place."""
    return hashlib.sha256(str(number).encode()).hexdigest()


def write_shards(root: Path, rows: int, shard_rows: int) -> None:
    """Write a stage of captions as its writers would have."""
    folder = root / "store" / STAGE
    folder.mkdir(parents=True)
    for start in range(0, rows, shard_rows):
        keys = [key_of(number) for number in range(start, min(start + shard_rows, rows))]
        pq.write_table(_captions(keys), folder / f"writer-{start:09d}.parquet", compression="zstd")


def _captions(keys: list[str]) -> pa.Table:
    texts = [f"a {key[:6]} shirt, {key[6:14]} buttons, {key[20:30]} sleeves, worn with {key[30:38]}" for key in keys]
    same = {"status": "ok", "error": "", "finish_reason": "stop", "sampling": '{"temperature": 0}', "backend": "none"}
    same |= {"attempt": 0, "prompt_tokens": 300, "output_tokens": 20}
    same |= {"prompt": "caption@1", "prompt_hash": "p" * 64, "model": "m", "revision": "r" * 40}
    columns: dict[str, list[object]] = {
        "key": [*keys],
        "row_hash": [key_of(int(key[:8], 16)) for key in keys],
        "text": [*texts],
        "raw": [*texts],
    }
    columns |= {name: [value] * len(keys) for name, value in same.items()}
    return pa.table({name: columns[name] for name in GENERATION.names}, schema=GENERATION)


def write_plans(root: Path, rows: int, new: int) -> None:
    """Write the plan of all rows, and one of new rows half of which are stored."""
    for name, numbers in (("whole", range(rows)), ("new", range(rows - new // 2, rows + new // 2))):
        keys = [key_of(number) for number in numbers]
        pq.write_table(pa.table({"key": keys, "image_id": keys}, schema=PLAN), root / f"{name}.parquet")


def write_index(root: Path) -> None:
    """Write a separate index: sorted keys and statuses, nothing else."""
    store = Store(root / "store")
    with store.connect() as connection:
        query = f"SELECT key, status FROM {store.rows(connection, STAGE)} ORDER BY key"
        connection.execute(f"COPY ({query}) TO {quoted(str(root / 'index.parquet'))} (COMPRESSION zstd)")


def checks(root: Path) -> dict[str, Callable[[], int]]:
    """Return what is measured, by name; each returns how many rows it found."""
    store = Store(root / "store")
    return {
        "whole": lambda: store.count_missing(root / "whole.parquet", STAGE),
        "new": lambda: store.count_missing(root / "new.parquet", STAGE),
        "one": lambda: _one(store),
        "index": lambda: _by_index(store, root),
        "compact": lambda: compact(store),
    }


def _one(store: Store) -> int:
    with store.connect() as connection:
        asked = f"(SELECT {quoted(key_of(7))} AS key)"
        return len(connection.sql(f"SELECT * FROM {store.current(connection, STAGE, among=asked)}").fetchall())


def _by_index(store: Store, root: Path) -> int:
    plan, index = (rows_of(root / name) for name in ("whole.parquet", "index.parquet"))
    with store.connect() as connection:
        query = (
            f"SELECT count(*) FROM (SELECT DISTINCT key FROM {plan}) ANTI JOIN "
            f"(SELECT key FROM {index} WHERE status = 'ok') USING (key)"
        )
        return int(connection.execute(query).fetchall()[0][0])


def measure(root: Path, name: str) -> dict[str, float]:
    """Run a check in a process of its own; return CPU `seconds`, `peak_mb` and what it `found`."""
    program = (
        "import sys, json; from pathlib import Path; sys.path.insert(0, sys.argv[1]); import store_speed; "
        "print(json.dumps(store_speed.measured(Path(sys.argv[2]), sys.argv[3])))"
    )
    command = [sys.executable, "-c", program, str(Path(__file__).parent), str(root), name]
    measured_there: dict[str, float] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return measured_there


def measured(root: Path, name: str) -> dict[str, float]:
    """Run a check in this process."""
    start = time.process_time()
    found = checks(root)[name]()
    seconds = time.process_time() - start
    return {"seconds": seconds, "peak_mb": peak_mb(), "found": found}


def peak_mb() -> float:
    """Return the largest resident size of this process (Linux; `ru_maxrss` would count the parent's as well)."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) / 1_000


def report(found: dict[str, dict[str, dict[str, float]]], index: dict[str, float]) -> None:
    """Print a table; the last column is how many times less the compacted store takes."""
    labels = {"whole": "nothing is missing", "new": "half of a small plan is missing", "one": "one row by its key"}
    print(f"{'':32}{'many shards':>22}{'compacted':>22}{'ratio':>8}")
    for name, label in labels.items():
        many, few = found[name]["many shards"], found[name]["compacted"]
        if many["found"] != few["found"]:
            raise SystemExit(f"'{label}' finds {many['found']} and {few['found']} rows")
        print(f"{label:32}{_cell(many):>22}{_cell(few):>22}{many['seconds'] / few['seconds']:>7.1f}x")
    ratio = found["whole"]["compacted"]["seconds"] / index["seconds"]
    print(f"{'nothing is missing, index file':32}{'':22}{_cell(index):>22}{ratio:>7.1f}x of compacted")


def _cell(check: dict[str, float]) -> str:
    return f"{check['seconds']:.2f} s, {check['peak_mb']:.0f} MB"


if __name__ == "__main__":
    main()
