"""Whatever is in an image file, it becomes a row: never a crash, never a hang, never a file that nobody misses."""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hard_use.mutations import mutated
from hard_use.pictures import every_kind, suffix_for

from ingest_runs import make_run, stored

FILES = int(os.environ.get("CIRGEN_FUZZED_FILES", "600"))
ALL_FILES = 10_000
SECONDS_EACH = 0.2
"""Far more than the slowest file takes; so many times the number of files is a hang."""
MOST_BYTES = 4 << 30
"""Of memory: two threads may each meet a header that asks for the largest picture that is decoded at all."""

SCRIPT = """
import sys
from pathlib import Path
from cirgen.errors import UserError
from cirgen.stages.ingest import ingest
from ingest_runs import make_run
run = make_run(Path(sys.argv[1]), {"kind": "folder", "path": sys.argv[2]})
try:
    ingest(run)
except UserError as error:
    print(error)
"""


def _taken_in(folder: Path, images: Path, files: int) -> list[dict[str, object]]:
    """Ingest a folder in a process of its own, which must end well, soon, and without much memory."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, str(folder), str(images)],
        check=True,
        env=environment,
        timeout=60 + SECONDS_EACH * files,
        capture_output=True,
    )
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 < MOST_BYTES
    return stored(make_run(folder, {"kind": "folder", "path": str(images)}))


def _fuzz(tmp_path: Path, files: int, seed: int) -> Counter[str]:
    kinds = every_kind()
    dice, names, others = random.Random(seed), sorted(kinds), list(kinds.values())
    suffix_of = {name: suffix_for(name.split("-")[0]) for name in names}
    images = tmp_path / "images"
    images.mkdir()
    for number in range(files):
        kind = names[number % len(names)]
        (images / f"{number:05d}-{kind}{suffix_of[kind]}").write_bytes(mutated(kinds[kind], dice, others))
    rows = _taken_in(tmp_path / "run", images, files)
    taken = {str(row["path"]) for row in rows}
    there = {path for path in images.iterdir() if str(path) in taken}
    left = sorted(path.suffix for path in images.iterdir() if path not in there)
    assert not left, f"no row for files that end in {Counter(left)}"
    for row in rows:
        assert row["status"] in ("ok", "image_error"), row
        assert bool(row["error"]) == (row["status"] != "ok")
        assert "\n" not in str(row["error"]) and " object at 0x" not in str(row["error"])
    return Counter(str(row["status"]) for row in rows)


def test_every_kind_of_picture_that_is_read_takes_part() -> None:
    kinds = {name.split("-")[0] for name in every_kind()}
    assert {"PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "ICO", "TGA", "JPEG2000"} <= kinds


def test_damaged_files_of_every_kind_become_rows(tmp_path: Path) -> None:
    counts = _fuzz(tmp_path, FILES, seed=0)
    assert counts.total() == FILES
    assert min(counts["ok"], counts["image_error"]) > FILES / 20, f"accidents too mild or too hard: {counts}"


@pytest.mark.long
def test_ten_thousand_damaged_files_become_rows(tmp_path: Path) -> None:
    counts = _fuzz(tmp_path, ALL_FILES, seed=1)
    assert counts.total() == ALL_FILES
    print(f"{ALL_FILES:,} damaged files: {counts['ok']:,} decoded, {counts['image_error']:,} refused, 0 failed")
