"""Where the dataset lies that somebody names by its folder, or by the folder of its run."""

from __future__ import annotations

from pathlib import Path

from cirgen.errors import UserError

RUNS = Path("runs")
"""Where runs go unless --output says otherwise."""


def run_of(path: Path) -> Path | None:
    """Return the run folder that a path is, None where it is none."""
    return path if (path / "store").is_dir() and (path / "recipe.yaml").is_file() else None


def corpus_folder(path: Path) -> Path:
    """Return the dataset of a run, and any other path as it is.

    Raises:
        UserError: a run that has no dataset yet.
    """
    run = run_of(path)
    if run is None:
        return path
    if not (run / "dataset").is_dir():
        raise UserError(f"The run in {run} has no dataset yet; go on with `cirgen run`.")
    return run / "dataset"
