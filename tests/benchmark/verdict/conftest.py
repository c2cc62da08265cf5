"""A verdict that several tests look at."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench_runs import Judged, tiny_preset

from cirgen_benchmark.verdict.bench import bench


@pytest.fixture(scope="session")
def judged(corpus_folder: Path, scratch: Path) -> Judged:
    return Judged(bench(corpus_folder, tiny_preset(), scratch / "judged"), scratch / "judged")
