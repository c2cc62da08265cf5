"""`cirgen run`: from images to a dataset."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cirgen.cli.options import (
    FlushRowsOption,
    FlushSecondsOption,
    JsonOption,
    MaxCostOption,
    MaxHoursOption,
    RecipeArgument,
    SetOption,
)
from cirgen.cli.session import RUNS, new_run, work
from cirgen.errors import NothingAcceptedError


class Executor(StrEnum):
    """Where the work runs."""

    LOCAL = "local"


def run(
    recipe: RecipeArgument,
    output: Annotated[Path | None, typer.Option(help="Run folder; runs/NAME by default.")] = None,
    settings: SetOption = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Take the first N images of the source.")] = None,
    executor: Annotated[Executor, typer.Option(help="Where the work runs.")] = Executor.LOCAL,  # noqa: ARG001
    join: Annotated[bool, typer.Option("--join", help="Work beside a process that is already in the folder.")] = False,
    max_cost: MaxCostOption = None,
    max_hours: MaxHoursOption = None,
    flush_rows: FlushRowsOption = 1_000,
    flush_seconds: FlushSecondsOption = 30.0,
    as_json: JsonOption = False,
) -> None:
    """Run a recipe, or go on where it stopped.

    Rows that are there already are not made again; give the same command after a crash, or after changing the recipe.
    Where a cap is reached it leaves with 3, everything saved, and each further call may spend as much again.

    Example: cirgen run demo --set caption.words=6 --limit 300
    """
    from cirgen.cli.summary import print_summary
    from cirgen.recipe_checks import check_recipe
    from cirgen.recipe_file import load_recipe

    loaded = load_recipe(recipe, settings or ())
    check_recipe(loaded)
    folder = output or RUNS / loaded.recipe.name
    current = new_run(folder, loaded.recipe, limit, flush_rows=flush_rows, flush_seconds=flush_seconds)
    current.spending.cap(max_cost, max_hours)
    try:
        seconds = work(current, join).seconds
    except NothingAcceptedError:
        print_summary(current, {}, as_json)
        raise
    print_summary(current, seconds, as_json)
