"""The command line as a process of its own, as a user meets it.

Where nothing asks for a shell, a plugin or another environment, `cirgen` forks it from a process that has imported the
libraries once: a command that only refuses would else spend its time on imports. `start` starts Python anew.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from cirgen import __file__ as package
from cirgen.cli.app import main

CIRGEN = [sys.executable, "-W", "ignore", "-c", "from cirgen.cli.app import main; main()"]
PRELOADED = [
    "cirgen.pipeline",
    "cirgen.recipe_checks",
    "transformers.models.auto.processing_auto",
    "transformers.models.clip.modeling_clip",
    "transformers.models.llava.modeling_llava",
]
SECONDS = 300


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
    plain = not before and not env and _read_at_import() == _AT_START
    if plain and "--plugin" not in arguments:  # which is loaded before cirgen's own modules
        return _forked(folder, arguments)
    with start(folder, *arguments, before=before, env=env) as process:
        try:
            printed, told = process.communicate(timeout=SECONDS)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, printed, told)


def _read_at_import() -> dict[str, str]:
    """Return the part of the environment that libraries read when they are imported."""
    return {name: value for name, value in os.environ.items() if name.startswith(("HF_", "OMP_"))}


_AT_START = _read_at_import()


def _forked(folder: Path, arguments: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["commands", *PRELOADED])
    environment = {**os.environ, "COLUMNS": "80"}
    with tempfile.TemporaryDirectory() as told:
        outputs = Path(told, "stdout"), Path(told, "stderr")
        process = context.Process(target=_command, args=(folder, arguments, environment, *outputs))
        process.start()
        try:
            process.join(SECONDS)
            assert process.exitcode is not None, f"cirgen {arguments} has not ended after {SECONDS} s"
        finally:
            process.kill()
        printed, errors = (path.read_text(encoding="utf8") for path in outputs)
    return subprocess.CompletedProcess(["cirgen", *arguments], process.exitcode, printed, errors)


def _command(folder: Path, arguments: tuple[str, ...], environment: dict[str, str], out: Path, err: Path) -> None:
    """Be `cirgen`, in a forked process."""
    for path, stream in ((out, 1), (err, 2)):
        with path.open("wb") as file:
            os.dup2(file.fileno(), stream)
    sys.stdout, sys.stderr = (open(stream, "w", encoding="utf8", closefd=False) for stream in (1, 2))  # noqa: SIM115
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    warnings.simplefilter("ignore")
    sys.argv = ["cirgen", *arguments]
    try:
        main(arguments)
    finally:
        atexit._run_exitfuncs()


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
