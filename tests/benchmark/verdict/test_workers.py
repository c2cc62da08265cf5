"""Seeds side by side: in order, with errors told, and nobody left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import side_jobs

from cirgen.errors import UserError
from cirgen_benchmark.verdict.workers import side_by_side

PATHS = os.pathsep.join(path for path in sys.path if path)


@pytest.fixture(autouse=True)
def spawned_processes_find_the_helpers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", PATHS)


def eventually(holds: Callable[[], bool], seconds: float = 90.0) -> bool:
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.1)
    return holds()


def test_results_come_in_the_order_of_what_was_given() -> None:
    assert list(side_by_side(side_jobs.squared, [0, 1, 2, 3], 2)) == [0, 1, 4, 9]


def test_an_error_of_a_job_is_told_as_it_is() -> None:
    with pytest.raises(ValueError, match="one is refused"):
        list(side_by_side(side_jobs.refused, [0, 1, 2], 2))


def test_a_process_that_is_killed_is_an_error_that_names_the_fix() -> None:
    with pytest.raises(UserError, match="fewer --jobs"):
        list(side_by_side(side_jobs.killed, [0], 1))


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_the_process_that_began_them(number: signal.Signals, tmp_path: Path) -> None:
    command = [sys.executable, side_jobs.__file__, str(tmp_path)]
    parent = subprocess.Popen(command, stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": PATHS})
    assert eventually(lambda: len(list(tmp_path.iterdir())) == 2)
    parent.send_signal(number)
    parent.wait(timeout=60)
    workers = [int(path.name) for path in tmp_path.iterdir()]
    assert eventually(lambda: not any(psutil.pid_exists(worker) for worker in workers))
