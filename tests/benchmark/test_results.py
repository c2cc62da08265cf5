"""The tables of benchmark/README.md are those of the committed verdict."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import cirgen_benchmark

BENCHMARK = Path(cirgen_benchmark.__file__).parent.parent
README = BENCHMARK / "README.md"
SCRIPT = BENCHMARK / "results" / "tables.py"

pytestmark = pytest.mark.skipif(not SCRIPT.is_file(), reason="results/ is not in this installation")


def test_the_readme_shows_what_the_committed_verdict_says() -> None:
    told = subprocess.run([sys.executable, str(SCRIPT)], check=True, capture_output=True, text=True).stdout
    page = README.read_text(encoding="utf8")
    assert told.count("\n\n") == 4, "arms, contrasts and three curves"
    for table in told.strip().split("\n\n"):
        assert table in page


def test_a_table_tells_last_steps_with_signs_where_two_are_compared() -> None:
    tables = runpy.run_path(str(SCRIPT))["tables"]
    share = {"value": 26.25, "low": -1.0, "high": 30.04}
    arms = [{"arm": "a", "at": at, "primary": share, "human": 500.0, "synthetic": 1454.0} for at in ("last", "best")]
    contrast = {"question": "Is it?", "at": "last", "difference": share, "p": 0.0006, "significant": True}
    points = [{"curve": "rows", "arm": "a", "value": 2000.0, "at": at, "primary": share} for at in ("last", "best")]
    found = {"arms": arms, "contrasts": [{**contrast, "primary": False}], "curves": points}
    assert tables(found) == [
        [
            "| arm | last step | step chosen on development | human + synthetic |",
            "|---|---|---|---|",
            "| a | 26.2 [-1.0, 30.0] | 26.2 [-1.0, 30.0] | 500 + 1,454 |",
        ],
        [
            "| question | difference, points | p |  |",
            "|---|---|---|---|",
            "| Is it? | +26.2 [-1.0, 30.0] | 0.0006* | exploratory |",
        ],
        ["| rows | 2,000 |", "|---|---|", "| a | 26.2 [-1.0, 30.0] |"],
    ]
