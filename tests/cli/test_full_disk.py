"""A run that can write no more says so in one sentence, and goes on once it can."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_disks import fills_and_goes_on

from commands import cirgen, said

pytestmark = pytest.mark.integration

NEAREST = "pair.signals=[{kind: neighbours, per_image: 2}]"
"""Of so few figures the third nearest differs in more than a text may tell."""
RUN = ("run", "demo", "--limit", "24", "--set", NEAREST, "--output", "run")


@pytest.mark.long
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


DATA = ("run/dataset/**/*.parquet",)


@pytest.mark.long
def test_a_disk_that_is_full_is_told_and_the_run_goes_on_later(tmp_path: Path) -> None:
    fills_and_goes_on(tmp_path, RUN, DATA, 2)


@pytest.mark.long
def test_a_disk_that_is_full_at_any_point_loses_nothing(tmp_path: Path) -> None:
    fills_and_goes_on(tmp_path, RUN, DATA, 24)
