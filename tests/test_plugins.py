"""Filters of one's own: named on the command line they work as shipped ones do; nothing else makes their code run."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cirgen.errors import UserError
from cirgen.plugins import load_plugin
from cirgen.recipe_errors import RecipeErrors
from cirgen.recipe_file import load_recipe
from commands import cirgen, said

SHORT = '''
"""Texts of few letters."""

from pathlib import Path
from typing import Literal

from cirgen.filters.base import Filter, FilterSettings, Score

Path("was-run").touch()


class ShortSettings(FilterSettings):
    """What is long enough."""

    name: Literal["short"] = "short"
    least: int = 20
    """Letters that a text must have."""


class Short(Filter):
    """Rejects short texts."""

    Settings = ShortSettings

    def __init__(self, settings):
        self._settings = settings

    def score(self, triplets, tools):
        return [Score({"letters": float(len(text))}) for text in triplets.column("text").to_pylist()]

    def decide(self, triplets):
        return ["short" if n < self._settings.least else "" for n in triplets.column("letters").to_pylist()]
'''


def plugin(folder: Path, text: str = SHORT, name: str = "short.py") -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "name", ["short", "short:Short", "short.Short", "./short.py", "os:system", "__import__('os')"]
)
def test_no_recipe_makes_code_run_by_naming_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    plugin(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    with pytest.raises(RecipeErrors, match=re.escape(f"there is no '{name}'")):
        load_recipe("demo", [f'filter=[{{name: "{name}"}}]'])
    assert not (tmp_path / "was-run").exists()
    assert not {module for module in set(sys.modules) - before if "short" in module}


def test_a_recipe_with_an_unknown_filter_is_told_how_one_of_ones_own_is_given(tmp_path: Path) -> None:
    plugin(tmp_path)
    told = said(cirgen(tmp_path, "validate", "demo", "--set", "filter=[{name: short}]"))
    assert told.endswith("; one of your own needs cirgen --plugin FILE.py")
    assert not (tmp_path / "was-run").exists()


def test_a_recipe_and_its_copy_name_the_filters_of_a_plugin(tmp_path: Path) -> None:
    plugin(tmp_path)
    stack = "filter=[{name: short, least: 5}]"
    done = cirgen(tmp_path, "--plugin", "short.py", "validate", "demo", "--set", stack)
    assert done.returncode == 0, done.stderr
    assert "cirgen --plugin short.py preview demo" in done.stdout
    assert "least: must be a whole number" in said(
        cirgen(tmp_path, "--plugin", "short.py", "validate", "demo", "--set", "filter=[{name: short, least: x}]")
    )


def test_a_plugin_may_be_a_module_that_python_finds(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    plugin(tmp_path / "mine", name="__init__.py")
    code = "import sys; sys.path.insert(0, '.'); from cirgen.cli.app import main; main()"
    arguments = ["--plugin", "mine", "validate", "demo", "--set", "filter=[{name: short}]"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_filters_of_a_plugin_are_listed_and_shown(tmp_path: Path) -> None:
    plugin(tmp_path)
    assert "\nshort " in cirgen(tmp_path, "--plugin", "short.py", "filters", "ls").stdout
    shown = cirgen(tmp_path, "--plugin", "short.py", "filters", "show", "short").stdout
    assert shown.startswith("Texts of few letters.")
    assert "Letters that a text must have." in shown


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import nothing_of_that_name", "short.py cannot be loaded: ModuleNotFoundError at"),
        ("def f(:", "short.py cannot be loaded: SyntaxError at"),
        ("raise ValueError('one\\ntwo')", "short.py:1: one two;"),
        ("x = 1", "defines no filter; derive a class from cirgen.filters.base.Filter in it."),
        ("from cirgen.filters.lint import Lint", "defines no filter"),
        (SHORT.replace('"short"', '"lint"'), "calls a filter 'lint', and there is one of that name; choose another."),
        (SHORT.replace('"short"', '"x; DROP TABLE verdicts"'), "give it no name; write `name: Literal"),
        (SHORT.replace('"short"', '"../../elsewhere"'), "give it no name"),
        (SHORT.replace('name: Literal["short"] = "short"', ""), "give it no name"),
        (SHORT.replace("    Settings = ShortSettings\n", ""), "Short of short.py has no Settings"),
    ],
)
def test_what_is_wrong_with_a_plugin_is_one_sentence(tmp_path: Path, text: str, told: str) -> None:
    plugin(tmp_path, text)
    assert told in said(cirgen(tmp_path, "--plugin", "short.py", "filters", "ls"))


@pytest.mark.parametrize("named", ["nowhere.py", ".", "no.such.module", "", "../short", "cirgen.filters"])
def test_a_plugin_that_is_not_there_is_one_sentence(tmp_path: Path, named: str) -> None:
    said(cirgen(tmp_path, "--plugin", named, "filters", "ls"))


def test_what_a_recipe_may_hold_is_settled_once_it_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"too late once cirgen\.recipe is imported"):
        load_plugin(str(plugin(tmp_path, SHORT.replace('"short"', '"late"'), "late.py")))


@pytest.mark.long
@pytest.mark.integration
def test_a_run_keeps_the_scores_of_a_plugin_until_its_file_changes(tmp_path: Path) -> None:
    """The threshold moves without measuring again; other code measures again; without the code nothing is guessed."""
    path = plugin(tmp_path)
    stack = ("filter=[{name: short, least: %s}]", "--set", "modify.regenerate.tries=0", "--limit", "40")

    def scored(least: int, *more: str) -> int:
        told = (stack[0] % least, *stack[1:])
        done = cirgen(tmp_path, *more, "run", "demo", "--output", "run", "--json", "--set", *told)
        assert done.returncode == 0, done.stderr
        facts = json.loads((tmp_path / "run" / "run.json").read_text())
        (step,) = facts["funnel"]["filters"]
        hashes.append(facts["recipe_hash"])
        return int(step["scored"])

    hashes: list[str] = []
    first = scored(5, "--plugin", "short.py")
    assert first > 0
    assert scored(6, "--plugin", "short.py") == 0
    path.write_text(SHORT.replace("float(len(text))", "float(2 * len(text))"))
    assert scored(6, "--plugin", "short.py") == first
    assert len(set(hashes)) == 3
    assert "names a filter that does not ship" in said(cirgen(tmp_path, "status", "run"))
    shutil.move(path, tmp_path / "elsewhere.py")
    assert cirgen(tmp_path, "--plugin", "elsewhere.py", "status", "run").returncode == 0
    assert scored(6, "--plugin", "elsewhere.py") == 0
