"""The end of a run: what came of it, what to do about failures, and a command that loads the dataset."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import pytest

from cirgen.cli.figures import figures
from cirgen.cli.loading import interpreter, loading
from cirgen.cli.summary import print_summary
from cirgen.cli.unreadable import named
from cirgen.errors import UserError
from cirgen.run_folder import Run
from cirgen.stages.export import export
from cirgen.stages.ingest import ingest
from ingest_runs import fill
from ingest_runs import make_run as new_run
from runs import make_run, with_recipe


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def summary(run: Run, capsys: pytest.CaptureFixture[str], before: Any = None) -> list[str]:
    print_summary(run, {"ingest": 1.0}, before=before)
    return capsys.readouterr().out.splitlines()


def call(line: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Do what a line `load it: python -c '...'` says, and return what it prints."""
    *_, flag, code = shlex.split(line)
    assert flag == "-c"
    exec(code, {})
    return capsys.readouterr().out


def test_the_last_line_loads_the_dataset_with_its_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path)
    export(run)
    last = summary(run, capsys)[-1]
    assert "images=" not in last
    assert "PIL.Image" in call(last, capsys)


@pytest.mark.parametrize(
    ("license_", "images", "reason"),
    [("", None, "name it under images.license"), ("CC0-1.0", "none", "export.images: none of the recipe")],
)
def test_pictures_that_are_not_in_the_dataset_are_loaded_from_their_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], license_: str, images: str | None, reason: str
) -> None:
    run = make_run(tmp_path, license_, export={"images": images})
    export(run)
    *_, why, last = summary(run, capsys)
    assert reason in why
    assert f'images="{tmp_path}/images"' in last
    assert "PIL.Image" in call(last, capsys)


def test_a_source_that_is_no_folder_gives_its_texts_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path, "")
    export(run)
    run = with_recipe(run, images={"kind": "dataset", "path": "somebody/pictures"})
    why, last = loading(run)
    assert "images.license" in why
    assert "load its texts" in last
    assert "num_rows" in call(last, capsys)


def test_the_interpreter_that_runs_is_named_as_short_as_it_can_be_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / ".venv" / "bin" / "python"
    own.parent.mkdir(parents=True)
    own.symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(own))
    assert interpreter() == ".venv/bin/python"
    assert subprocess.run([interpreter(), "-c", "pass"], check=True).returncode == 0
    monkeypatch.setenv("PATH", str(own.parent))
    assert interpreter() == "python"
    monkeypatch.chdir(own.parent.parent)
    monkeypatch.setenv("PATH", "")
    assert interpreter() == "bin/python"


def test_files_and_images_add_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = fill(tmp_path / "pictures", 3)
    run = new_run(tmp_path / "run", {"kind": "folder", "path": str(folder)})
    shutil.copy(folder / "0000.png", folder / "copy.png")
    for number in range(4):
        (folder / f"broken-{number}.png").write_bytes(b"")
    ingest(run)
    shown = "\n".join(summary(run, capsys))
    assert "of 8 files: 1 identical to another, 4 could not be read" in " ".join(shown.split())
    assert "could not be read: broken-0.png (the file is empty)" in shown
    assert "broken-3.png" not in shown
    assert "1 more; all of them: cirgen status" in shown


def failed_captions(tmp_path: Path, **sampling: Any) -> Run:
    """Return a run with one truncated caption."""
    return make_run(tmp_path, caption={"sampling": sampling})


def test_a_retry_that_cannot_help_is_not_suggested_but_the_field_that_must_change_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = "\n".join(summary(failed_captions(tmp_path, max_new_tokens=48), capsys))
    assert "greedy decoding writes the same again" in shown
    assert "raise caption.sampling.max_new_tokens (now 48) or give caption.sampling.ladder a temperature" in shown
    assert "cirgen retry" not in shown


def test_a_retry_is_suggested_where_it_draws_another_answer_until_it_has_achieved_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = failed_captions(tmp_path, ladder=[0.5])
    suggestion = f"cirgen retry {run.folder} --status truncated"
    assert suggestion in "\n".join(summary(run, capsys))
    run.retry = ("truncated",)
    shown = "\n".join(summary(run, capsys, before=figures(run)))
    assert suggestion not in shown
    assert "cut off still; raise caption.sampling.max_new_tokens" in shown


def test_nothing_is_named_before_a_run_has_looked_at_its_files(tmp_path: Path) -> None:
    assert named(new_run(tmp_path, {"kind": "folder", "path": "pictures"}), 0) == []


@pytest.mark.parametrize("name", ["o[bold]ut [", "o[/bold]ut", "with space"])
def test_a_folder_of_any_name_is_printed_as_it_is_called(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / name).mkdir(parents=True)
    run = make_run(tmp_path / name)
    export(run)
    run.report.write_text("a report", encoding="utf8")
    lines = summary(run, capsys)
    assert f"report: {run.report}" in lines
    if "[bold]" in name:
        with pytest.raises(UserError, match="for a pattern; rename it"):
            call(lines[-1], capsys)
    else:
        assert "PIL.Image" in call(lines[-1], capsys)
