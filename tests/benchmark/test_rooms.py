"""Who may import whom: what measures the embedded world keeps to itself, and cirgen works without its benchmark."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import cirgen
import cirgen_benchmark

PACKAGE, BENCHMARK = (Path(module.__file__ or "").parent for module in (cirgen, cirgen_benchmark))
CORPUS = ("world/corpus/build.py", "world/corpus/rankings.py")  # what `cirgen world corpus` runs
COMMANDS = ("cli/audit_world.py", "cli/bench.py", "cli/card.py", "cli/presets.py", "cli/score.py", *CORPUS)


def sources(root: Path) -> list[Path]:
    return sorted(root.rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Return every module that a source names in an import, wherever that stands."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@pytest.mark.parametrize("path", sources(BENCHMARK), ids=lambda path: path.relative_to(BENCHMARK).as_posix())
def test_the_truth_of_the_world_is_read_in_one_place(path: Path) -> None:
    if path.name.startswith("world") and path.parent.name == "verdict":
        return
    assert not {name for name in imported(path) if name == "cirgen.world" or name.startswith("cirgen.world.")}


@pytest.mark.parametrize("path", sources(PACKAGE), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_cirgen_names_its_benchmark_in_its_commands_alone(path: Path) -> None:
    if path.relative_to(PACKAGE).as_posix() in COMMANDS:
        return
    assert not {name for name in imported(path) if name.split(".")[0] == "cirgen_benchmark"}


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_load_the_benchmark_when_they_run(name: str) -> None:
    """So that `cirgen --help` takes no second longer."""
    tree = ast.parse((PACKAGE / name).read_text(encoding="utf8"))
    at_once = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert not [node for node in at_once if "cirgen_benchmark" in ast.unparse(node)]
