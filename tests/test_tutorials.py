"""Every tutorial does what it says: its files are saved and its commands run in their order, in an empty folder.

A block with a title is a file; blocks of `sh` and `python` are run, in one shell, which ends at the first failure.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest

import cirgen
from serving import free_port

ROOT = Path(cirgen.__file__).parent.parent
PAGES = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
BLOCK = re.compile(
    r"^```(?P<language>\w+)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)
NEEDS = {"folder": "resvg_py", "server": "openai"}
"""Page to the library of an extra that it asks for."""
END = "trap 'kill $(jobs -p) 2> /dev/null || true' EXIT"

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not PAGES, reason="docs/ is not in this installation"),
    pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed"),
]


class Block(NamedTuple):
    """A block of code of a page."""

    language: str
    title: str | None
    code: str


def blocks(page: Path) -> list[Block]:
    return [
        Block(*found.group("language", "title", "code")) for found in BLOCK.finditer(page.read_text(encoding="utf8"))
    ]


def script(page: Path) -> str:
    """Return a page as a shell script."""
    lines = ["set -euo pipefail", END]
    for number, block in enumerate(blocks(page)):
        file = block.title or f"block-{number}.py"
        if block.title or block.language == "python":
            lines.append(f"cat > {file} <<'END-OF-BLOCK'\n{block.code}END-OF-BLOCK")
        if not block.title:
            lines.append(block.code if block.language == "sh" else f"python {file}")
    return "\n".join(lines)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return an environment that knows `cirgen` and `python` as this test does."""
    commands = tmp_path / "commands"
    commands.mkdir()
    for name, told in (("cirgen", "-m cirgen"), ("python", ""), ("transformers", "-m transformers.cli.transformers")):
        (commands / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" -W ignore {told} "$@"\n')
        (commands / name).chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "benchmark"))),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "PORT": str(free_port()),
    }


LONG = ("corpus", "filter", "prompt", "server")
"""Pages that take longest: one trains a model many times, two run the demo, and one runs a server."""


@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=pytest.mark.long if page.stem in LONG else [], id=page.stem) for page in PAGES]
)
def test_a_tutorial_runs_as_it_is_written(page: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    if not find_spec(NEEDS.get(page.stem, "cirgen")):
        pytest.skip(f"needs {NEEDS[page.stem]}")
    folder = tmp_path / "empty"
    folder.mkdir()
    done = subprocess.run(
        ["bash", "-c", script(page)], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_of_a_tutorial_is_a_file_or_is_run(page: Path) -> None:
    found = blocks(page)
    assert len(found) == page.read_text(encoding="utf8").count("\n```") // 2
    assert found
    assert all(block.title or block.language in ("sh", "python") for block in found)
