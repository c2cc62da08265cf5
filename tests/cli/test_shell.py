"""The command line in a shell: help that flows, completion, and output that other programs can read."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer

from cirgen.cli.app import app
from cirgen.cli.paragraphs import flowing
from cirgen.filters.registry import FILTERS
from cirgen.recipe_file import recipe_names
from cirgen_benchmark.verdict.preset_file import PRESETS
from commands import cirgen, in_this_process

WIDTH = 78
"""Of a paragraph in a terminal of 80 columns: a column is left free at either side."""


def commands(group: typer.Typer = app, *before: str) -> Iterator[list[str]]:
    """Yield every command of the command line."""
    for command in group.registered_commands:
        name = command.name or getattr(command.callback, "__name__", "").replace("_", "-")
        yield [*before, name]
    for under in group.registered_groups:
        assert under.typer_instance is not None
        yield from commands(under.typer_instance, *before, str(under.name))


@pytest.mark.parametrize("command", [*commands()], ids=" ".join)
def test_no_line_of_help_ends_before_the_next_word_would_not_fit(
    command: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = in_this_process(capsys)(*command, "--help")
    prose = [line.strip() for line in out.partition("╭")[0].splitlines()]
    assert any(line.startswith("Example: cirgen ") for line in prose)
    for line, following in pairwise(prose):
        assert not line or not following or len(f"{line} {following.split()[0]}") > WIDTH


def test_paragraphs_stay_apart() -> None:
    assert flowing("One\ntwo.\n\nThree\n  four.") == "One two.\n\nThree four."


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """Return an environment whose HOME is empty and whose PATH knows the `cirgen` of this Python."""
    return {
        **os.environ,
        "HOME": str(tmp_path),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
@pytest.mark.skipif(
    not (Path(sys.executable).parent / "cirgen").exists(), reason="cirgen is not installed as a script"
)
def test_completion_installs_itself_and_completes(home: dict[str, str]) -> None:
    def bash(script: str) -> str:
        told = subprocess.run(["bash", "--norc", "-c", script], env=home, capture_output=True, text=True, check=True)
        return told.stdout

    assert "bash completion installed" in bash("cirgen --install-completion; true")
    completed = bash(
        '. "$HOME/.bashrc"; COMP_WORDS=(cirgen au); COMP_CWORD=1; _cirgen_completion cirgen; echo "${COMPREPLY[@]}"'
    )
    assert completed.split() == ["audit"]


@pytest.mark.parametrize(
    ("command", "names"),
    [("recipes", recipe_names()), ("presets", PRESETS.names()), ("filters", list(FILTERS.names))],
)
def test_a_piped_list_has_one_line_a_row_and_no_colours(tmp_path: Path, command: str, names: list[str]) -> None:
    environment = {"COLUMNS": "", "TERM": "xterm-256color"}
    done = cirgen(tmp_path, command, "ls", env=environment)
    _, *rows = done.stdout.splitlines()
    assert "\x1b" not in done.stdout
    assert [row.split()[0] for row in rows] == names


@pytest.mark.parametrize(
    ("command", "field", "names"),
    [
        ("recipes", "recipe", recipe_names()),
        ("presets", "preset", PRESETS.names()),
        ("filters", "filter", [*FILTERS.names]),
    ],
)
def test_a_list_is_to_be_had_as_json(
    capsys: pytest.CaptureFixture[str], command: str, field: str, names: list[str]
) -> None:
    code, out, _ = in_this_process(capsys)(command, "ls", "--json")
    listed: list[dict[str, Any]] = json.loads(out)
    assert code == 0
    assert [one[field] for one in listed] == names
    assert all(one["about"] for one in listed)


@pytest.mark.long
@pytest.mark.integration
def test_a_piped_run_draws_no_bars_and_prints_json_alone(tmp_path: Path) -> None:
    done = cirgen(tmp_path, "run", "demo", "--limit", "30", "--json", env={"TERM": "xterm-256color"})
    assert done.returncode in (0, 1)  # so few images may give nothing
    assert "\x1b" not in done.stdout + done.stderr
    assert "\r" not in done.stdout + done.stderr
    assert json.loads(done.stdout)["stages"]


@pytest.mark.long
def test_drawing_figures_tells_where_they_are_as_json(tmp_path: Path) -> None:
    pytest.importorskip("resvg_py")
    done = cirgen(tmp_path, "world", "render", "--out", "toys", "--images", "3", "--json")
    told = json.loads(done.stdout)
    assert told["images"] == 3
    assert (tmp_path / told["truth"]).is_file()
