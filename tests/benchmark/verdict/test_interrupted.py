"""A verdict that is interrupted or killed goes on by the same command, and ends in the same bytes."""

from __future__ import annotations

import os
import shlex
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bench_runs import TINY_PRESET, write_preset

from cirgen.cli.app import main
from cirgen_benchmark.training.loop import Loop
from cirgen_benchmark.verdict.runner import Runner
from commands import cirgen, start

pytestmark = pytest.mark.integration

FILES = ("bench.json", "queries.parquet")
DEATHS: dict[str, tuple[type, str, Callable[[Any], bool], int]] = {
    "in stage one": (Loop, "_look", lambda loop: loop._settings.trains == "all", 1),
    "in stage two": (Loop, "_look", lambda loop: loop._settings.trains == "query", 1),
    "between arms": (Runner, "outcomes", lambda _: True, 2),
}
"""A method: once it was called so often under some condition, the process is killed."""


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Give every process the same threads, so that its sums are the same to the last bit."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "datasets"))


def small_preset(path: Path, **sections: Any) -> Path:
    """Write a preset of one seed and two arms."""
    arms = {name: TINY_PRESET["arms"][name] for name in ("human", "corpus")}
    contrasts = {"corpus": TINY_PRESET["contrasts"]["corpus"]}
    return write_preset(path, **{"seeds": [0], "arms": arms, "contrasts": contrasts, "curves": {}, **sections})


def killed(folder: Path, death: str, *arguments: str) -> None:
    """Run the command in a forked process until it kills itself."""
    child = os.fork()
    if not child:
        try:
            os.chdir(folder)
            make_mortal(*DEATHS[death])
            main(arguments)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL


def make_mortal(owner: Any, name: str, condition: Callable[[Any], bool], number: int) -> None:
    """Have a method kill its process at the end of some call."""
    method, calls = getattr(owner, name), 0

    def mortal(self: Any, *arguments: Any) -> Any:
        nonlocal calls
        result = method(self, *arguments)
        calls += condition(self)
        if calls == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, mortal)


@pytest.mark.long
def test_a_verdict_killed_in_every_stage_and_between_arms_ends_in_the_same_bytes(
    corpus_folder: Path, tmp_path: Path
) -> None:
    preset = small_preset(tmp_path / "tiny.yaml")
    command = ["bench", str(corpus_folder), "--preset", str(preset), "--output", "out"]
    for name in ("undisturbed", "killed"):
        (tmp_path / name).mkdir()
    done = cirgen(tmp_path / "undisturbed", *command)
    assert done.returncode == 0, done.stderr
    assert "train and examine arms: 2 of 2" in done.stderr
    assert "Generating" not in done.stderr  # what `datasets` would print
    for death in DEATHS:
        killed(tmp_path / "killed", death, *command)
        assert not (tmp_path / "killed" / "out" / "bench.json").exists()
    assert cirgen(tmp_path / "killed", *command).returncode == 0
    for name in FILES:
        one, other = ((tmp_path / folder / "out" / name).read_bytes() for folder in ("undisturbed", "killed"))
        assert one == other, name


@pytest.mark.long
def test_ctrl_c_leaves_with_130_and_the_command_that_goes_on(corpus_folder: Path, tmp_path: Path) -> None:
    long = {name: {**stage, "steps": 100_000} for name, stage in TINY_PRESET["stages"].items()}
    preset = small_preset(tmp_path / "tiny.yaml", stages=long)
    command = ["bench", str(corpus_folder), "--preset", str(preset), "--output", "my out"]
    with start(tmp_path, *command) as process:
        while not list(tmp_path.glob("my out/work/stages/*/step-*")) and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=120)
    assert process.returncode == 130, told
    assert "Traceback" not in told
    assert told.rstrip().endswith(f"everything done so far is saved. To go on: {shlex.join(['cirgen', *command])}")
