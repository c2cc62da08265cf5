"""The command line: help, exit codes, one-sentence errors, and commands that run no model."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cirgen import __version__
from cirgen.changes import save_recipe
from cirgen.prompts import Prompt, list_prompts, load_prompt
from cirgen.recipe_checks import check_recipe
from cirgen.recipe_file import load_recipe, recipe_names
from commands import in_this_process

COMMANDS = [
    ["run"],
    ["preview"],
    ["validate"],
    ["status"],
    ["retry"],
    ["report"],
    ["fingerprint"],
    ["review"],
    ["push"],
    ["export"],
    ["card"],
    *(["prompts", name] for name in ("ls", "show", "copy", "diff", "lock")),
    *(["recipes", name] for name in ("ls", "show", "copy")),
]


@pytest.fixture
def cirgen(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("COLUMNS", "80")

    return in_this_process(capsys)


def test_importing_the_command_line_loads_no_heavy_library() -> None:
    heavy = "torch", "transformers", "datasets", "duckdb", "pyarrow", "matplotlib"
    code = f"import sys, cirgen.cli.app; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_version(cirgen: Any) -> None:
    assert cirgen("--version") == (0, f"cirgen {__version__}\n", "")


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "cirgen", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"cirgen {__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example_that_fits_80_columns(cirgen: Any, command: list[str]) -> None:
    code, out, _ = cirgen(*command, "--help")
    assert code == 0
    assert f"Example: cirgen {' '.join(command)}" in out
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize("arguments", [["run"], ["run", "demo", "--limit", "none"], ["nothing"], ["retry", "--x"]])
def test_wrong_usage_leaves_with_2(cirgen: Any, arguments: list[str]) -> None:
    assert cirgen(*arguments)[0] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "dmo"], "No recipe is called 'dmo' (did you mean 'demo'?); see `cirgen recipes ls`."),
        (["validate", "demo", "--set", "seed=x"], "--set: seed: must be a whole number, not 'x'"),
        (["status", "nowhere"], "nowhere holds no run; name a folder that `cirgen run` filled."),
        (["retry", "nowhere", "--status", "bad"], "No failed row has the status 'bad'"),
        (["report", "nowhere"], "nowhere holds no run"),
        (["prompts", "show", "x"], "No prompt is called 'x'"),
        (["recipes", "show", "x"], "No recipe is called 'x'"),
        (["run", "demo", "--set", "images.path=/none"], "There is no folder at /none"),
    ],
)
def test_an_error_of_the_users_is_one_sentence_without_a_traceback(
    cirgen: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = cirgen(*arguments)
    assert (code, out) == (1, "")
    assert err.startswith("Error: ")
    assert message in err
    assert err.count("\n") == 1
    assert "Traceback" not in err


def test_a_full_disk_is_said_in_one_sentence(cirgen: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cirgen.recipe_file.find_recipe", lambda _: Path("/dev/full"))

    def full(*_: object, **__: object) -> str:
        with Path("/dev/full").open("w") as file:
            file.write("x")
        return ""

    monkeypatch.setattr(Path, "read_text", full)
    code, _, err = cirgen("validate", "demo")
    assert code == 1
    assert (
        err
        == "Error: The disk is full; free some space and give the same command again: what was committed is kept.\n"
    )


def test_validate_tells_every_mistake_and_leaves_with_1(cirgen: Any, tmp_path: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("name: mine\nimages: {kind: folder}\nencoder: {model: cirgen:filter-encoder}\ncapton: 1\n")
    code, _, err = cirgen("validate", str(recipe))
    assert code == 1
    assert "mine.yaml:2: images.path: is missing; add it" in err
    assert "mine.yaml:4: capton: unknown key (did you mean 'caption'?)" in err


def test_validate_accepts_what_ships(cirgen: Any) -> None:
    assert cirgen("validate", "demo")[0] == 0
    assert cirgen("validate", "spn4cir/fashioniq-clip")[0] == 1
    assert cirgen("validate", "spn4cir/fashioniq-clip", "--no-files")[0] == 0


def test_validate_says_which_models_and_images_it_looked_at(cirgen: Any) -> None:
    out = cirgen("validate", "demo", "--set", "mllm.model=nobody/no-such-model")[1]
    assert "looked at: images cirgen:images, encoder cirgen:filter-encoder\n" in out
    assert "not looked up on the Hub, where a run will fetch it: mllm nobody/no-such-model\n" in out
    assert out.endswith("cirgen preview demo --set mllm.model=nobody/no-such-model\n")
    assert "not looked up" not in cirgen("validate", "demo")[1]
    assert "\nlooked at" not in cirgen("validate", "demo", "--no-files")[1]


def test_recipes_are_listed_shown_and_copied_but_never_over_a_file(
    cirgen: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    listed = cirgen("recipes", "ls")[1]
    assert all(name in listed for name in recipe_names())
    monkeypatch.setenv("TTY_COMPATIBLE", "1")  # as if it were a terminal
    shown = cirgen("recipes", "ls")[1]
    assert all(name.removesuffix("-filtered") in shown for name in recipe_names())
    assert shown.count("-filtered") == 1 and "spn4cir/NAME-filtered" in shown  # twins are one line
    monkeypatch.delenv("TTY_COMPATIBLE")
    assert [row["recipe"] for row in json.loads(cirgen("recipes", "ls", "--json")[1])] == list(recipe_names())
    shown = cirgen("recipes", "show", "demo")[1].splitlines()
    assert cirgen("recipes", "copy", "demo")[0] == 0
    assert (tmp_path / "demo.yaml").read_text().splitlines()[1:] == shown[1:]
    code, _, err = cirgen("recipes", "copy", "demo")
    assert code == 1
    assert err == "Error: demo.yaml exists already; name another file: cirgen recipes copy demo demo-2.yaml\n"
    assert cirgen("recipes", "copy", "demo", "demo-2.yaml")[0] == 0
    assert cirgen("recipes", "copy", "demo", "deep/mine.yaml")[0] == 0


def test_a_list_of_recipes_says_which_pictures_each_needs(cirgen: Any) -> None:
    needs = {line.split("  ")[0]: line for line in cirgen("recipes", "ls")[1].splitlines()}
    assert "nothing" in needs["demo"]
    assert "FashionIQ" in needs["spn4cir/fashioniq-blip"]
    assert "CIRR" in needs["spn4cir/cirr-blip"]
    assert "tar shards" in needs["spn4cir/cirr-cc3m"]


@pytest.mark.parametrize("name", recipe_names())
def test_a_copied_recipe_opens_with_a_command_that_runs_it_once_the_told_line_is_edited(
    cirgen: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    told = cirgen("recipes", "copy", name, "my.yaml")[1].splitlines()
    lines = (tmp_path / "my.yaml").read_text().splitlines()
    assert lines[0] == "# To run: cirgen run my.yaml"
    assert told[-1] == "my.yaml. To run: cirgen run my.yaml"
    assert (len(told) == 1) == name.startswith(("demo", "voxel-figures", "furniture"))
    for line in told[:-1]:
        place, _, what = line.partition(": edit ")
        number, field = int(place.removeprefix("my.yaml:")), what.split()[0]
        assert f"{field.split('.')[-1]}:" in lines[number - 1]
    check_recipe(load_recipe("my.yaml"), files=False)


def test_prompts_are_listed_shown_and_compared(cirgen: Any) -> None:
    names = [record["name"] for record in json.loads(cirgen("prompts", "ls", "--json")[1])]
    assert "change-images" in names
    assert all(name in cirgen("prompts", "ls")[1] for name in names)
    assert "Which change turns the first image into the second?" in cirgen("prompts", "show", "change-images")[1]
    assert len(json.loads(cirgen("prompts", "show", "spn-target", "--json")[1])["hash"]) == 64
    compared = cirgen("prompts", "diff", "spn-instead", "spn-unlike")[1]
    assert "-{{ target_caption }} instead of {{ reference_caption }}" in compared
    assert "send the same words" in cirgen("prompts", "diff", "spn-target", "spn-target")[1]
    assert "only version" in cirgen("prompts", "diff", "spn-target")[2]


def test_a_prompt_of_ones_own_begins_with_a_copy_under_its_own_name(
    cirgen: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, _ = cirgen("prompts", "copy", "change-images", "mine.md")
    assert code == 0
    assert "--set 'modify.prompts=[mine.md]'" in out
    shown = cirgen("prompts", "show", "mine.md", "--json")
    assert json.loads(shown[1])["name"] == "mine"
    assert cirgen("validate", "demo", "--set", "modify.prompts=[mine.md]")[0] == 0
    code, _, err = cirgen("prompts", "copy", "change-images", "mine.md")
    assert (code, err.endswith("cirgen prompts copy change-images mine-2.md\n")) == (1, True)
    assert cirgen("prompts", "copy", "mine.md", "mine-2.md")[0] == 0


@pytest.mark.parametrize("prompt", list_prompts(), ids=lambda prompt: prompt.reference)
def test_every_shipped_prompt_can_be_copied(cirgen: Any, tmp_path: Path, prompt: Prompt) -> None:
    assert cirgen("prompts", "copy", prompt.reference, str(tmp_path / "own.md"))[0] == 0
    assert load_prompt(str(tmp_path / "own.md")).body == prompt.body


def test_a_pool_that_is_empty_is_not_shown(cirgen: Any) -> None:
    assert "examples" not in cirgen("prompts", "show", "spn-target")[1]
    assert "1: make it red" in cirgen("prompts", "show", "change-images")[1]


PROMPT = "---\nname: p\nversion: {}\ntask: caption\nimages: 1\nslots: []\nnote: n\nauthor: a\n---\n{}\n"


def test_lock_adds_new_prompts_and_refuses_changed_ones(cirgen: Any, tmp_path: Path) -> None:
    from cirgen.prompts import list_prompts

    (tmp_path / "p.v1.md").write_text(PROMPT.format(1, "one"))
    assert "1 of them new" in cirgen("prompts", "lock", str(tmp_path))[1]
    list_prompts.cache_clear()
    (tmp_path / "p.v2.md").write_text(PROMPT.format(2, "two"))
    assert "1 of them new" in cirgen("prompts", "lock", str(tmp_path))[1]
    list_prompts.cache_clear()
    (tmp_path / "p.v1.md").write_text(PROMPT.format(1, "other"))
    assert "changed under an unchanged version" in cirgen("prompts", "lock", str(tmp_path))[2]
    list_prompts.cache_clear()


def test_status_of_a_run_that_has_only_begun(cirgen: Any, tmp_path: Path) -> None:
    save_recipe(tmp_path, load_recipe("demo").recipe)
    assert cirgen("status", str(tmp_path))[0] == 0
    figures = json.loads(cirgen("status", str(tmp_path), "--json")[1])
    assert (figures["images"], figures["accepted"]) == (0, 0)


def test_a_run_of_another_version_of_the_recipe_is_told(cirgen: Any, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("name: old\nforgotten: 1\n")
    code, _, err = cirgen("status", str(tmp_path))
    assert code == 1
    assert "written by another version of cirgen" in err


def test_a_wrong_run_folder_names_the_runs_nearby(
    cirgen: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    save_recipe(tmp_path / "runs" / "mine", load_recipe("demo").recipe)
    assert "(runs: runs/mine)" in cirgen("status", "runs")[2]
