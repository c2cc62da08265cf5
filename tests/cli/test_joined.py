"""Processes that join one run folder end in the dataset of one process."""

from __future__ import annotations

from pathlib import Path

import pytest

from commands import cirgen, start

pytestmark = pytest.mark.integration

NEAREST = "pair.signals=[{kind: neighbours, per_image: 2}]"
"""Of so few figures the third nearest differs in more than a text may tell."""
RUN = ("run", "demo", "--limit", "24", "--set", NEAREST, "--output")


def dataset_bytes(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.long
def test_three_processes_in_one_folder_make_the_dataset_of_one(tmp_path: Path) -> None:
    together = [start(tmp_path, *RUN, "together", *join) for join in ([], ["--join"], ["--join"])]
    late = start(tmp_path, *RUN, "together", "--join")  # comes in while the others may be anywhere
    for process in (*together, late):
        _, told = process.communicate(timeout=300)
        if process is together[0] and process.returncode:  # one of those that join was there first
            assert "is in use by process" in told
            continue
        assert process.returncode == 0, told
    alone = cirgen(tmp_path, *RUN, "alone")
    assert alone.returncode == 0, alone.stderr
    assert dataset_bytes(tmp_path / "together" / "dataset") == dataset_bytes(tmp_path / "alone" / "dataset")
    left = {path.name for path in (*(tmp_path / "together").iterdir(), *(tmp_path / "together/derived").iterdir())}
    assert left == {path.name for path in (*(tmp_path / "alone").iterdir(), *(tmp_path / "alone/derived").iterdir())}
