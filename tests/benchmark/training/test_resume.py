"""A stage that is killed and goes on ends like an undisturbed one, byte by byte; a finished one is found."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import toy_stage
from toy_stage import STAGES, run

HELPERS = Path(toy_stage.__file__).parent


def files(folder: Path) -> dict[str, bytes]:
    """Return what a finished stage leaves."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def killed(folder: Path, stage: str, file: int, named: bool) -> None:
    """Train in a forked process, which dies just before, or just after, it gives one more file its name."""
    child = os.fork()
    if not child:
        replace, count = Path.replace, 0

        def dies(self: Path, target: Path) -> Path:
            nonlocal count
            count += 1
            if count < file or named:
                replace(self, target)
            if count == file:
                os.kill(os.getpid(), signal.SIGKILL)
            return target

        Path.replace = dies  # type: ignore[method-assign, assignment]
        run(folder, stage, "train")
        os._exit(1)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL


@pytest.mark.parametrize("stage", list(STAGES))
def test_a_stage_that_is_killed_again_and_again_ends_like_an_undisturbed_one(stage: str, tmp_path: Path) -> None:
    undisturbed = run(tmp_path / "undisturbed", stage, "train", seconds=1000)
    for file in (1, 2, 3, 4, 5):
        killed(tmp_path / "killed", stage, file, named=False)
        killed(tmp_path / "killed", stage, file, named=True)
    again = run(tmp_path / "killed", stage, "train")
    assert (again.losses, again.history) == (undisturbed.losses, undisturbed.history)
    assert files(tmp_path / "killed") == files(tmp_path / "undisturbed")


@pytest.mark.long
@pytest.mark.integration
@pytest.mark.parametrize("stage", ["one", "two"])
def test_a_real_process_that_is_killed_at_any_time_goes_on(stage: str, tmp_path: Path) -> None:
    command = [sys.executable, str(HELPERS / "toy_stage.py"), "--mode", "train", "--stage", stage]
    root = HELPERS.parents[1]
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(root), str(root / "benchmark"), str(HELPERS)]),
    }
    process = subprocess.Popen([*command, str(tmp_path / "killed"), "--slow", "0.1"], env=environment)
    checkpoint = tmp_path / "killed" / stage / "checkpoint.safetensors"
    while not checkpoint.exists() and process.poll() is None:
        time.sleep(0.02)
    time.sleep(random.Random(stage).random())
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert checkpoint.exists()
    for name in ("killed", "undisturbed"):
        run(tmp_path / name / stage, stage, "train")
    assert files(tmp_path / "killed" / stage) == files(tmp_path / "undisturbed" / stage)


def test_a_finished_stage_is_found_and_not_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run(tmp_path / "stage", "two")
    before = files(tmp_path / "stage")
    monkeypatch.setattr("cirgen_benchmark.training.trainer.Loop", None)
    assert run(tmp_path / "stage", "two") == first
    assert files(tmp_path / "stage") == before


def test_a_kill_between_the_result_and_the_cleaning_leaves_nothing_for_good(tmp_path: Path) -> None:
    run(tmp_path / "stage", "two")
    before = files(tmp_path / "stage")
    for name in ("checkpoint.safetensors", "bank.npy", "step-000007.safetensors"):
        (tmp_path / "stage" / name).write_bytes(b"left behind")
    run(tmp_path / "stage", "two")
    assert files(tmp_path / "stage") == before


def test_what_a_stage_leaves_says_where_it_comes_from(tmp_path: Path) -> None:
    run(tmp_path / "stage", "two")
    told = json.loads((tmp_path / "stage" / "result.json").read_text())["provenance"]
    assert {"base_weights", "triplets", "settings", "seed", "code", "libraries"} <= told.keys()
    assert told == json.loads((tmp_path / "stage" / "provenance.json").read_text())
