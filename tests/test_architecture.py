"""Who may import whom."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import cirgen

PACKAGE = Path(cirgen.__file__).parent
OUTSIDE = sorted(path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] not in ("world", "cli"))


def imported(source: str, package: str) -> set[str]:
    """Every module that a source names: imports of any form and place, and strings that look like a module's name."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {module} | {f"{module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("cirgen."):
            found.add(node.value)
    return found


def package_of(path: Path) -> str:
    return ".".join(("cirgen", *path.relative_to(PACKAGE).parent.parts))


def imports_of(path: Path) -> set[str]:
    return imported(path.read_text(encoding="utf8"), package_of(path))


def within(modules: set[str], package: str) -> set[str]:
    return {module for module in modules if module == package or module.startswith(f"{package}.")}


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_generation_and_filtering_never_see_the_world_that_measures_them(path: Path) -> None:
    assert not within(imports_of(path), "cirgen.world")


@pytest.mark.parametrize(
    "source",
    [
        "import cirgen.world.truth",
        "from cirgen.world import truth",
        "from cirgen import world",
        "def f():\n    from cirgen.world.truth import judge",
        "from ..world.truth import judge",
        "from .. import world",
        "importlib.import_module('cirgen.world.truth')",
    ],
)
def test_every_way_to_import_the_world_is_seen(source: str) -> None:
    assert within(imported(source, "cirgen.filters"), "cirgen.world")


def test_the_files_that_are_checked_are_there() -> None:
    assert {"filters/lint.py", "stages/filter.py", "keys.py"} <= {p.relative_to(PACKAGE).as_posix() for p in OUTSIDE}


@pytest.mark.parametrize("path", sorted((PACKAGE / "filters").glob("*.py")), ids=lambda path: path.name)
def test_a_filter_knows_no_stage(path: Path) -> None:
    assert not within(imports_of(path), "cirgen.stages")


def test_parquet_is_read_by_sql_in_one_way_alone() -> None:
    """A bare `read_parquet` takes folders called `model=small` for columns, and `*` in a name for a pattern."""
    readers = {path.name for path in PACKAGE.rglob("*.py") if "read_parquet(" in path.read_text(encoding="utf8")}
    assert readers == {"parquet_sql.py"}
