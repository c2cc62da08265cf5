"""A verdict on a disk that fills says so in one sentence, and ends in the same bytes once there is room."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bench_runs import TINY_PRESET, write_preset
from small_disks import fills_and_goes_on

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Give every process the same threads, so that its sums are the same to the last bit."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "datasets"))


RESULTS = ("out/bench.json", "out/queries.parquet")


def _command(corpus: Path, folder: Path) -> list[str]:
    arms = {name: TINY_PRESET["arms"][name] for name in ("human", "corpus")}
    some: dict[str, Any] = {"arms": arms, "contrasts": {"corpus": TINY_PRESET["contrasts"]["corpus"]}}
    preset = write_preset(folder / "tiny.yaml", seeds=[0], curves={}, **some)
    return ["bench", str(corpus), "--preset", str(preset), "--output", "out"]


@pytest.mark.long
def test_a_disk_that_is_full_is_told_and_the_verdict_goes_on_later(corpus_folder: Path, tmp_path: Path) -> None:
    fills_and_goes_on(tmp_path, _command(corpus_folder, tmp_path), RESULTS, 2)


@pytest.mark.long
def test_a_disk_that_is_full_at_any_point_loses_nothing(corpus_folder: Path, tmp_path: Path) -> None:
    fills_and_goes_on(tmp_path, _command(corpus_folder, tmp_path), RESULTS, 16)
