"""The command line as a process of its own, as a user meets it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from cirgen import __file__ as package
from cirgen.cli.app import main

CIRGEN = [sys.executable, "-W", "ignore", "-c", "from cirgen.cli.app import main; main()"]


def start(
    folder: Path, *arguments: str, before: str = "", env: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start `cirgen` in a folder, in its own process; `before` is shell code, such as a limit that it runs under."""
    root = Path(package).parent.parent
    environment = {**os.environ, "COLUMNS": "80", "PYTHONPATH": os.pathsep.join(map(str, (root, root / "benchmark")))}
    environment |= env or {}
    command = ["bash", "-c", f'{before}; exec "$@"', "cirgen", *CIRGEN] if before else CIRGEN
    return subprocess.Popen(
        [*command, *arguments], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def cirgen(
    folder: Path, *arguments: str, before: str = "", env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `cirgen` in a folder to its end; `env` is added to the environment."""
    with start(folder, *arguments, before=before, env=env) as process:
        try:
            printed, told = process.communicate(timeout=300)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, printed, told)


def in_this_process(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Return what runs a command here: its exit code, what it printed, and what it said of the failure."""

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        shown = capsys.readouterr()
        return int(caught.value.code or 0), shown.out, shown.err

    return call


def said(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one sentence that a command failed with; it must be all that it said of the failure."""
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    *_, last = done.stderr.splitlines()
    assert last.startswith("Error: ")
    return last
