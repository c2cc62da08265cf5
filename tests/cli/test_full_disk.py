"""A run that can write no more says so in one sentence, and goes on once it can."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_disks import contents, kilobytes_of, on_a_small_disk, sizes

from commands import cirgen, said

pytestmark = pytest.mark.integration

NEAREST = "pair.signals=[{kind: neighbours, per_image: 2}]"
"""Of so few figures the third nearest differs in more than a text may tell."""
RUN = ("run", "demo", "--limit", "24", "--set", NEAREST, "--output", "run")


def test_a_file_that_may_not_grow_is_told_and_the_run_goes_on_later(tmp_path: Path) -> None:
    for kilobytes in (4, 24):  # the first table does not fit; the first shards do
        stopped = cirgen(tmp_path, *RUN, before=f"ulimit -f {kilobytes}")
        assert "raise that limit and give the same command again" in said(stopped)
        assert not (tmp_path / "run" / "dataset").exists()
    done = cirgen(tmp_path, *RUN)
    assert done.returncode == 0, done.stderr
    assert "Ingest images: 24 of 24" in done.stderr
    assert not [path for path in (tmp_path / "run").rglob("*.tmp*") if path.exists()]


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    assert "The folder /proc/run cannot be made" in said(cirgen(tmp_path, *RUN[:-1], "/proc/run"))


DATA = "run/dataset/**/*.parquet"


def _fills_and_goes_on(tmp_path: Path, count: int) -> None:
    """Run on disks of several sizes; each run must end, and go on from there to what an undisturbed one makes."""
    undisturbed = tmp_path / "undisturbed"
    undisturbed.mkdir()
    assert cirgen(undisturbed, *RUN).returncode == 0
    expected = contents(undisturbed, DATA)
    assert expected
    full = 0
    for kilobytes in sizes(24, kilobytes_of(undisturbed) - 8, count):
        folder = tmp_path / f"disk-{kilobytes}"
        folder.mkdir()
        stopped = on_a_small_disk(folder, kilobytes, *RUN)
        full += stopped.returncode != 0
        if stopped.returncode:
            assert "give the same command again" in said(stopped), stopped.stderr
        done = cirgen(folder, *RUN)
        assert done.returncode == 0, done.stderr
        assert contents(folder, DATA) == expected
    assert full > count / 2, "disks so large try nothing"


@pytest.mark.long
def test_a_disk_that_is_full_is_told_and_the_run_goes_on_later(tmp_path: Path) -> None:
    _fills_and_goes_on(tmp_path, 2)


@pytest.mark.long
def test_a_disk_that_is_full_at_any_point_loses_nothing(tmp_path: Path) -> None:
    _fills_and_goes_on(tmp_path, 24)
