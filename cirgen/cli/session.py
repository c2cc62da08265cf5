"""Work in a run folder: hold it, check whose it is, say what changed, and stop without loss."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cirgen.cli.interrupts import insistent, stopping_in_time
from cirgen.corpus_folder import RUNS
from cirgen.errors import LimitReachedError, UserError
from cirgen.executors.opening import Where, opened

if TYPE_CHECKING:
    from cirgen.changes import Change
    from cirgen.pipeline import Outcome
    from cirgen.recipe import Recipe
    from cirgen.run_folder import Run
    from cirgen.store import Store

INTERRUPTED = 130
CAPPED = 3
"""Exit code of a run that stopped at its cap on cost or time."""


def store_of(folder: Path, **flush: float) -> Store:
    """Return the store of a run folder."""
    from cirgen.store import Store

    return Store(folder / "store", **flush)  # type: ignore[arg-type]


def known_run(folder: Path, retry: tuple[str, ...] = ()) -> Run:
    """Return a run that began before, under the recipe and the limit that its folder remembers.

    Raises:
        UserError: the folder holds no run, its recipe no longer fits the schema, or a file of it is damaged.
    """
    from pydantic import ValidationError

    from cirgen.changes import RECIPE_NAME, read_recipe
    from cirgen.damage import DERIVED, check_derived
    from cirgen.progress import to_stderr
    from cirgen.recipe import Recipe
    from cirgen.run_folder import Run

    fields = read_recipe(folder)
    if fields is None:
        raise UserError(f"{folder} holds no run{_nearby(folder)}; name a folder that `cirgen run` filled.")
    try:
        recipe = Recipe.model_validate(fields)
    except ValidationError as error:
        if any(details["type"] == "union_tag_invalid" and details["loc"][0] == "filter" for details in error.errors()):
            raise UserError(
                f"{folder / RECIPE_NAME} names a filter that does not ship; give the file that defines it before the "
                "command: cirgen --plugin FILE.py ..."
            ) from error
        raise UserError(
            f"{folder / RECIPE_NAME} was written by another version of cirgen; run your recipe again with "
            f"--output {folder}, nothing stored is lost."
        ) from error
    check_derived(folder / DERIVED)
    run = Run(folder, recipe, store_of(folder), to_stderr(), retry=retry)
    run.limit = run.read_facts().get("limit")
    return run


def _nearby(folder: Path) -> str:
    runs = sorted(str(path.parent) for path in (*folder.glob("*/recipe.yaml"), *RUNS.glob("*/recipe.yaml")))
    return f" (runs: {', '.join(dict.fromkeys(runs))})" if runs else ""


def new_run(folder: Path, recipe: Recipe, limit: int | None = None, **flush: float) -> Run:
    """Return a run of a recipe in a folder, begun before or not."""
    from cirgen.progress import to_stderr
    from cirgen.run_folder import Run

    return Run(folder, recipe, store_of(folder, **flush), to_stderr(), limit=limit)


def work(run: Run, join: bool = False, where: Where = Where.LOCAL) -> Outcome:
    """Run or resume every stage, holding the folder.

    Raises:
        UserError: anything the user can mend.
        typer.Exit: Ctrl-C, or a cap on cost or time; what was done is committed, and the command that goes on is on
            standard error.
    """
    from cirgen.changes import enter
    from cirgen.cli.quiet import quieten_transformers
    from cirgen.lock import hold
    from cirgen.pipeline import run_pipeline

    with stopping_cleanly(run), stopping_in_time(run.spending), hold(run.folder, join):
        quieten_transformers()
        announce(enter(run))
        with opened(where, run) as executor:
            return run_pipeline(run, executor)


@contextmanager
def stopping_cleanly(run: Run) -> Iterator[None]:
    """On Ctrl-C, or at a cap, say what is saved and how to go on, and leave with 130 or 3."""
    with told_how_to_go_on(lambda: any(run.store.shards(stage) for stage in run.store.stages())):
        yield


@contextmanager
def told_how_to_go_on(begun: Callable[[], bool]) -> Iterator[None]:
    """On Ctrl-C, or at a cap, say whether something is saved, and the command that goes on; leave with 130 or 3."""
    try:
        with insistent():
            yield
    except KeyboardInterrupt as error:
        typer.echo(f"\nStopped; {_how_to_go_on(begun())}", err=True)
        raise typer.Exit(INTERRUPTED) from error
    except LimitReachedError as error:
        typer.echo(f"\nStopped: {error}; {_how_to_go_on(begun())}", err=True)
        raise typer.Exit(CAPPED) from error


def _how_to_go_on(begun: bool) -> str:
    done = "everything done so far is saved. To go on" if begun else "nothing was done yet. To begin again"
    return f"{done}: {this_command()}"


def this_command() -> str:
    """Return the command line that this process was started with, ready to be typed."""
    return shlex.join(["cirgen", *sys.argv[1:]])


def announce(changed: list[Change]) -> None:
    """Say which fields of the recipe differ from the last time, and what runs again because of them."""
    if not changed:
        return
    typer.echo("The recipe changed since this folder was last used:", err=True)
    for change in changed:
        typer.echo(f"  {change}\n    runs again: {change.consequence}", err=True)
