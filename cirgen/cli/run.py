"""`cirgen run`: from images to a dataset."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cirgen.cli.options import (
    OUTPUT,
    FlushRowsOption,
    FlushSecondsOption,
    JsonOption,
    MaxCostOption,
    MaxHoursOption,
    RecipeArgument,
    SetOption,
)
from cirgen.cli.session import new_run, told_how_to_go_on, work
from cirgen.corpus_folder import RUNS
from cirgen.errors import NothingAcceptedError, UserError
from cirgen.executors.opening import Where

if TYPE_CHECKING:
    from cirgen.run_folder import Run


def run(
    recipe: RecipeArgument,
    output: Annotated[Path | None, typer.Option(*OUTPUT, help="Run folder; runs/NAME by default.")] = None,
    settings: SetOption = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Take the first N images of the source.")] = None,
    executor: Annotated[
        Where, typer.Option(help="Where the work runs: here, or on the cluster of the recipe's section ray.")
    ] = Where.LOCAL,
    push: Annotated[
        str | None,
        typer.Option(
            metavar="ORG/NAME", help="Push the dataset to the Hub, or to s3://BUCKET/FOLDER, when it is done."
        ),
    ] = None,
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
    folder = _folder(output) or RUNS / loaded.recipe.name
    if push is not None:
        _check_push(push)
    current = new_run(folder, loaded.recipe, limit, flush_rows=flush_rows, flush_seconds=flush_seconds)
    _cap(current, max_cost, max_hours)
    try:
        seconds = work(current, join, executor).seconds
    except NothingAcceptedError as error:
        print_summary(current, error.seconds, as_json)
        raise
    print_summary(current, seconds, as_json)
    if push is not None:
        _push(current, push, as_json)


def _cap(run: Run, max_cost: float | None, max_hours: float | None) -> None:
    """Set where this call stops.

    Raises:
        UserError: a cap on cost where nothing has a price, which would hold nothing.
    """
    from cirgen.models import generative

    if max_cost is not None:
        models = [model for _, model in generative(run)]
        unpriced = dict.fromkeys(model.model for model in models if model.price is None)
        if all(model.price is None for model in models):
            raise UserError(
                "--max-cost counts by prices, and no model of the recipe has one; give them, per million tokens, as "
                "in --set 'mllm.price={prompt: 0.15, output: 0.60}', or use --max-hours."
            )
        if unpriced:
            typer.echo(f"--max-cost does not count what has no price: {', '.join(unpriced)}.", err=True)
    run.spending.cap(max_cost, max_hours)


def _folder(output: Path | None) -> Path | None:
    """Return the run folder that was asked for, unless it is a url, of which a path keeps one slash."""
    if output is not None and re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(output)):
        raise UserError(
            "A run folder is local; leave --output out and give the url to --push: the dataset goes there in the end."
        )
    return output


def _check_push(repo: str) -> None:
    """Find out before a long run that nothing could be pushed after it."""
    from cirgen.object_storage import ObjectFolder, is_url

    if is_url(repo):
        ObjectFolder(repo).sizes()
        return
    from cirgen.progress import to_stderr
    from cirgen.publish.hub.push import check_access

    check_access(repo, to_stderr())


def _push(run: Run, repo: str, as_json: bool) -> None:
    from cirgen.cli.push import push_folder, send_folder
    from cirgen.lock import hold
    from cirgen.object_storage import is_url
    from cirgen.publish.hub.push import Wanted

    publish = run.recipe.publish
    with told_how_to_go_on(lambda: True), hold(run.folder, joinable=False):
        if is_url(repo):
            send_folder(run.dataset, repo, err=as_json)
            return
        push_folder(run.dataset, Wanted(repo, publish.private, tag=publish.tag or ""), err=as_json)
