"""A verdict on a disk that fills says so in one sentence, and ends in the same bytes once there is room."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from bench_runs import TINY_PRESET, write_preset
from small_disks import contents, kilobytes_of, on_a_small_disk, sizes

from commands import cirgen, said

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Give every process the same threads, so that its sums are the same to the last bit."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "datasets"))


def _results(folder: Path) -> dict[str, str]:
    return contents(folder, "out/bench.json") | contents(folder, "out/queries.parquet")


def _fills_and_goes_on(corpus: Path, tmp_path: Path, count: int) -> None:
    arms = {name: TINY_PRESET["arms"][name] for name in ("human", "corpus")}
    some: dict[str, Any] = {"arms": arms, "contrasts": {"corpus": TINY_PRESET["contrasts"]["corpus"]}}
    preset = write_preset(tmp_path / "tiny.yaml", seeds=[0], curves={}, **some)
    command = ["bench", str(corpus), "--preset", str(preset), "--output", "out"]
    undisturbed = tmp_path / "undisturbed"
    undisturbed.mkdir()
    done = cirgen(undisturbed, *command)
    assert done.returncode == 0, done.stderr
    expected = _results(undisturbed)
    assert len(expected) == 2
    full = 0
    for kilobytes in sizes(24, kilobytes_of(undisturbed) - 8, count):
        folder = tmp_path / f"disk-{kilobytes}"
        folder.mkdir()
        stopped = on_a_small_disk(folder, kilobytes, *command)
        full += stopped.returncode != 0
        if stopped.returncode:
            assert "give the same command again" in said(stopped), stopped.stderr
        done = cirgen(folder, *command)
        assert done.returncode == 0, done.stderr
        assert _results(folder) == expected
        shutil.rmtree(folder)
    assert full > count / 2, "disks so large try nothing"


@pytest.mark.long
def test_a_disk_that_is_full_is_told_and_the_verdict_goes_on_later(corpus_folder: Path, tmp_path: Path) -> None:
    _fills_and_goes_on(corpus_folder, tmp_path, 2)


@pytest.mark.long
def test_a_disk_that_is_full_at_any_point_loses_nothing(corpus_folder: Path, tmp_path: Path) -> None:
    _fills_and_goes_on(corpus_folder, tmp_path, 16)
