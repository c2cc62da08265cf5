"""A run folder is held by one process, or by several that say so."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cirgen.errors import UserError
from cirgen.lock import hold

HOLDER = """
import sys, time
from pathlib import Path
from cirgen.lock import hold
with hold(Path(sys.argv[1]), join=sys.argv[2] == "join") as alone:
    print("alone" if alone else "joined", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_process(folder: Path, join: bool = False) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Hold the folder in another process; yields it, and whether it was alone there."""
    command = [sys.executable, "-c", HOLDER, str(folder), "join" if join else "alone"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def test_a_second_process_is_refused_and_told_who_holds_the_folder(tmp_path: Path) -> None:
    with another_process(tmp_path) as (process, found):
        assert found == "alone"
        with pytest.raises(UserError, match=rf"in use by process {process.pid}; .*--join"), hold(tmp_path):
            pass


def test_a_second_process_may_join(tmp_path: Path) -> None:
    with another_process(tmp_path), hold(tmp_path, join=True) as alone:
        assert not alone


def test_a_folder_that_only_a_joined_process_is_left_in_is_still_held(tmp_path: Path) -> None:
    with another_process(tmp_path) as (first, _), another_process(tmp_path, join=True) as (second, found):
        assert found == "joined"
        first.kill()
        first.wait()
        with pytest.raises(UserError, match=f"process {second.pid};"), hold(tmp_path):
            pass


def test_who_asks_to_join_an_empty_folder_is_alone(tmp_path: Path) -> None:
    with hold(tmp_path / "new", join=True) as alone:
        assert alone


def test_a_killed_process_leaves_no_lock_behind(tmp_path: Path) -> None:
    with another_process(tmp_path) as (process, _):
        process.send_signal(signal.SIGKILL)
        process.wait()
        with hold(tmp_path) as alone:
            assert alone


def test_a_folder_is_free_again_after_use_and_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), hold(tmp_path):
        raise RuntimeError
    with hold(tmp_path) as alone:
        assert alone
