"""Triplets exported per second, and peak memory, from the derived tables of a made-up run.

Run: python benchmark/perf/export_speed.py [--triplets 100000 1000000] [--images-per-triplet 0.1]

The tables are written by SQL: one picture in ten triplets, groups of two pictures, two texts a pair, a tenth of the
texts rejected, two scores, five hard negatives. Each size is exported in a process of its own, without picture bytes:
those are read and written one at a time, so that they change seconds alone. Memory is flat where it stays below the
limit of the database (`store.MEMORY_LIMIT`) and what Python itself takes, however many triplets there are. Ten million
over a million images take: --triplets 10000000 (some 25 GB of disk while it runs).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

from cirgen.parquet_sql import quoted
from cirgen.publish.parquet import write_split
from cirgen.publish.tables import SPLITS, Tables
from cirgen.recipe import Recipe
from cirgen.run_folder import Run
from cirgen.schemas import CATALOG, TRIPLET, VERDICT
from cirgen.store import Store

GROUP_SIZE = 2  # pictures
TEXTS_PER_PAIR = 2
HARD_NEGATIVES = 5

_CATALOG = """
SELECT image_id, image_id AS pixel_hash, 640 AS width, 480 AS height, 'a/' || image_id || '.jpg' AS path,
    '' AS blob, 0 AS "offset", 100000 AS length, '' AS caption, '' AS category,
    [{{source: 'folder', source_id: image_id || '.jpg', category: '', license: 'CC0-1.0', author: '', url: ''}}]
        AS aliases,
    sha256('group' || (n // {group})) AS "group", 'train' AS split
FROM (SELECT n, sha256('image' || n) AS image_id FROM range({images}) AS r(n)) ORDER BY image_id
"""
_TRIPLETS = """
SELECT sha256('triplet' || n) AS triplet_id, sha256('image' || reference) AS reference_id,
    'the shirt is ' || target || ' and the sleeves are longer, number ' || n AS text,
    sha256('image' || target) AS target_id, 'train' AS split, sha256('pair' || pair) AS pair_id,
    'neighbours' AS signal, 0.7 AS similarity, 3 AS rank, 'any' AS change_type, 'forward' AS direction,
    0 AS regenerated, 'ok' AS status, '' AS rewrite, 'a long caption of picture ' || reference AS reference_caption,
    'a long caption of picture ' || target AS target_caption,
    sha256('group' || (reference // {group})) AS reference_group,
    sha256('group' || (target // {group})) AS target_group,
    'change-images@1' AS prompt, repeat('p', 64) AS prompt_hash,
    'example/model' AS model, repeat('r', 40) AS revision, 'transformers' AS backend,
    [{{image_id: sha256('image' || ((target + 7 * i) % {images})), kind: 'mined'}} for i in range(1, {negatives} + 1)]
        AS hard_negatives
FROM (SELECT n, pair, pair % {images} AS reference, (pair * 31 + 11) % {images} AS target
    FROM (SELECT n, n // {texts} AS pair FROM range({triplets}) AS r(n))) ORDER BY triplet_id
"""
_VERDICTS = """
SELECT sha256('triplet' || n) AS triplet_id, CASE WHEN n % 10 = 0 THEN 'lint: too long' ELSE '' END AS reason,
    MAP {{'lint.words': 9.0, 'round_trip.picked': (n % 4) / 3.0}} AS scores
FROM range({triplets}) AS r(n) ORDER BY triplet_id
"""


def main() -> None:
    """Print rows per second and peak memory for each size."""
    options = _options()
    if options.measure:
        print(json.dumps(exported(Path(options.measure))))
        return
    for triplets in options.triplets:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            write_tables(Path(folder), triplets, max(100, int(triplets * options.images_per_triplet)))
            command = [sys.executable, __file__, "--measure", folder]
            found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        rows, seconds = found["triplets"] + found["images"], found["seconds"]
        print(
            f"{triplets:>12,} triplets: {found['triplets']:,} and {found['images']:,} images written, "
            f"{rows / found['cpu']:,.0f} rows per CPU second ({seconds:.0f} s), {found['peak_mb']:,.0f} MB at most"
        )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--triplets", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--images-per-triplet", type=float, default=0.1)
    parser.add_argument("--folder", help="where the run is made; a temporary folder by default")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    return parser.parse_args()


def _run(folder: Path) -> Run:
    recipe = Recipe.model_validate(
        {
            "name": "export",
            "images": {"kind": "folder", "path": ".", "license": "CC0-1.0"},
            "encoder": {"model": "none"},
            "caption": {"prompts": []},
            "filter": [{"name": "lint"}],
        }
    )
    return Run(folder, recipe, Store(folder / "store"))


def write_tables(folder: Path, triplets: int, images: int) -> None:
    """Write catalog, triplets and verdicts as a run would have."""
    run = _run(folder)
    run.derived.mkdir(parents=True)
    sizes = {"triplets": triplets, "images": images, "group": GROUP_SIZE, "texts": TEXTS_PER_PAIR}
    tables = {run.catalog: (_CATALOG, CATALOG), run.triplets: (_TRIPLETS, TRIPLET), run.verdicts: (_VERDICTS, VERDICT)}
    with duckdb.connect(config={"memory_limit": "2GB", "temp_directory": str(folder / "made")}) as connection:
        for path, (query, schema) in tables.items():
            rows = query.format(**sizes, negatives=HARD_NEGATIVES)
            names = ", ".join(f'"{name}"' for name in schema.names)
            connection.execute(f"COPY (SELECT {names} FROM ({rows})) TO {quoted(str(path))} (COMPRESSION zstd)")


def exported(folder: Path) -> dict[str, float]:
    """Write the published tables of a run, and return what it took."""
    run = _run(folder)
    start, cpu = time.monotonic(), time.process_time()
    with run.store.connect() as connection:
        tables = Tables(run, connection)
        written = [
            one
            for split in SPLITS
            for one in write_split(
                folder / "dataset", "triplets", split, tables.triplet_schema, tables.triplets(split, "r" * 64)
            )
        ]
        images = sum(1 for _ in tables.image_rows())
    return {
        "triplets": sum(one.rows for one in written),
        "images": images,
        "seconds": time.monotonic() - start,
        "cpu": time.process_time() - cpu,
        "peak_mb": peak_mb(),
    }


def peak_mb() -> float:
    """Return the largest resident size of this process (Linux)."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) / 1_000


if __name__ == "__main__":
    main()
