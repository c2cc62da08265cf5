"""Stopping: what Ctrl-C says."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from cirgen.cli.session import stopping_cleanly
from cirgen.run_folder import Run
from cirgen.stages.ingest import ingest
from ingest_runs import fill, make_run


def interrupted(run: Run, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(typer.Exit) as caught, stopping_cleanly(run):
        raise KeyboardInterrupt
    assert caught.value.exit_code == 130
    return capsys.readouterr().err


def test_ctrl_c_does_not_promise_that_something_is_saved_before_anything_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(tmp_path / "run", {"kind": "folder", "path": str(fill(tmp_path / "pictures", 2))})
    assert "nothing was done yet. To begin again: cirgen" in interrupted(run, capsys)
    ingest(run)
    assert "everything done so far is saved. To go on: cirgen" in interrupted(run, capsys)
