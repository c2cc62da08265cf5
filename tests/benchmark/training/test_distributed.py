"""Two processes with the same global batch end like one, up to rounding, for both losses."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import toy_stage
from safetensors.torch import load_file
from toy_stage import STAGES, run

ROOT = Path(toy_stage.__file__).parents[2]
HELPERS = Path(toy_stage.__file__).parent


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train every stage in two processes under accelerate's launcher, on CPUs that talk by gloo."""
    folder = tmp_path_factory.mktemp("two-processes")
    options = "--cpu --num_processes 2 --num_machines 1 --mixed_precision no --dynamo_backend no --main_process_port 0"
    stages = [argument for stage in STAGES for argument in ("--stage", stage)]
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "benchmark"), str(HELPERS)]),
    }
    launcher = [sys.executable, "-m", "accelerate.commands.launch", *options.split()]
    command = [*launcher, str(HELPERS / "toy_stage.py"), str(folder), *stages]
    subprocess.run(command, env=environment, cwd=folder, check=True)
    return folder


@pytest.mark.integration
@pytest.mark.long
@pytest.mark.parametrize("stage", STAGES)
def test_two_processes_end_like_one(stage: str, shared: Path, tmp_path: Path) -> None:
    together = run(shared / stage, stage)
    alone = run(tmp_path / stage, stage)
    assert together.steps == alone.steps
    assert [step for step, _ in together.history] == [step for step, _ in alone.history]
    torch.testing.assert_close(torch.tensor(together.losses), torch.tensor(alone.losses), rtol=1e-4, atol=1e-5)
    ours, theirs = load_file(together.last), load_file(alone.last)
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, rtol=1e-4, atol=1e-5)
