"""`cirgen preview`: a few rows end to end, and what the whole will take."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cirgen.cli.options import JsonOption, RecipeArgument, SetOption, command_line
from cirgen.cli.session import new_run, work
from cirgen.corpus_folder import RUNS
from cirgen.errors import NothingAcceptedError, UserError

if TYPE_CHECKING:
    from rich.table import Table

    from cirgen.preview import StageEstimate
    from cirgen.run_folder import Run
    from cirgen.yields import Estimate

NAME_WIDTH = 18
"""Characters of a file name that are shown."""
UPPER_BOUND = (
    "Rows are an upper bound: files with the same picture count once, a pair that two signals choose is kept once, "
    "and an image that is no reference, or that no other image fits, makes no pair."
)


def preview(
    recipe: RecipeArgument,
    rows: Annotated[int, typer.Option("-n", "--rows", min=1, max=200, help="Triplets to show.")] = 8,
    settings: SetOption = None,
    price_per_million: Annotated[
        float | None,
        typer.Option(min=0.0, help="Price of a million tokens, in your currency, in place of the recipe's."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a few triplets end to end, show them, and estimate time, tokens and cost of the whole.

    Example: cirgen preview demo -n 8
    """
    from cirgen.preview import estimate, images_for, shown_rows, small
    from cirgen.recipe_checks import check_recipe
    from cirgen.recipe_file import load_recipe

    loaded = load_recipe(recipe, settings or ())
    check_recipe(loaded)
    folder = RUNS / f"{loaded.recipe.name}-preview"
    _empty(folder)
    run = new_run(folder, small(loaded.recipe, rows), images_for(rows))
    run.note_facts(preview=True)
    try:
        seconds = work(run).seconds
    except NothingAcceptedError:
        seconds = run.read_facts()["seconds"]
    images, stages = estimate(run, loaded.recipe, seconds)
    _show(run, shown_rows(run, rows), images, stages, price_per_million, as_json)
    typer.echo(f"To run the whole: {command_line('run', recipe, settings)}", err=True)


def _empty(folder: Path) -> None:
    """Remove an earlier preview, so that its rows do not make the estimate look fast."""
    from cirgen.run_folder import read_facts

    if not folder.exists():
        return
    if not read_facts(folder).get("preview"):
        raise UserError(f"{folder} holds something else than a preview; move it away, or rename the recipe.")
    shutil.rmtree(folder)


def _show(
    run: Run,
    rows: list[dict[str, Any]],
    images: int,
    stages: list[StageEstimate],
    price_per_million: float | None,
    as_json: bool,
) -> None:
    from rich.console import Console

    from cirgen.preview import devices

    tokens = sum(stage.prompt_tokens + stage.output_tokens for stage in stages)
    cost = _cost(tokens, stages, price_per_million)
    made = _yield(run, images, stages, cost)
    if as_json:
        whole = {"images": images, "stages": [asdict(stage) for stage in stages], "tokens": tokens, "cost": cost}
        whole["per_100k_accepted"] = None if made is None else asdict(made)
        whole["hours_of"] = devices(run.recipe)._asdict()
        typer.echo(json.dumps({"rows": rows, "whole": whole, "contact_sheet": str(run.report)}, indent=2))
        return
    console = Console()
    console.print(_rows_table(rows))
    console.print(_why_more(run, rows), markup=False, highlight=False)
    console.print(f"contact sheet: {run.report}\n", markup=False, highlight=False, soft_wrap=True)
    console.print(_estimate_table(images, stages))
    total = timedelta(seconds=round(sum(stage.seconds for stage in stages)))
    price = "" if cost is None else f", cost {cost:,.2f}"
    console.print(
        f"the whole: at most about {total} on this machine, {tokens:,} tokens{price}", markup=False, highlight=False
    )
    console.print(UPPER_BOUND, markup=False, highlight=False)
    console.print(_yield_told(run, made), markup=False, highlight=False)


def _cost(tokens: int, stages: list[StageEstimate], price_per_million: float | None) -> float | None:
    """Return the cost of the whole by the price given here, else by those of the recipe, None without any."""
    if price_per_million is not None:
        return tokens / 1e6 * price_per_million
    return sum(stage.cost for stage in stages) or None


def _yield(run: Run, images: int, stages: list[StageEstimate], cost: float | None) -> Estimate | None:
    """Return what 100,000 accepted triplets take, by the texts of this preview and what became of them."""
    from cirgen.cli.figures import figures
    from cirgen.yields import estimate_yield

    found = figures(run)
    return estimate_yield(images, stages, found.triplets, found.accepted, cost or 0.0)


def _yield_told(run: Run, made: Estimate | None) -> str:
    from cirgen.preview import devices
    from cirgen.yields import in_words

    if made is None:
        return "No triplet was accepted here, so what an accepted one takes is not known: preview more rows."
    busy = devices(run.recipe)
    return in_words(made, busy.unit, busy.number)


def _why_more(run: Run, rows: list[dict[str, Any]]) -> str:
    from cirgen.cli.figures import figures

    images = figures(run).images
    return f"{images} images were taken in, so that near ones could meet; {len(rows)} of their triplets are shown."


def _rows_table(rows: list[dict[str, Any]]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    from cirgen.visible import visible

    def shown(text: str) -> str:
        return escape(visible(text))

    table = Table("reference", "modification text", "target", "verdict", box=None, pad_edge=False)
    for row in rows:
        ends = {
            end: f"[bold]{shown(shortened(row[f'{end}_file']))}[/bold]\n{shown(row[f'{end}_caption'])}"
            for end in ("reference", "target")
        }
        table.add_row(ends["reference"], shown(row["text"]), ends["target"], shown(row["reason"] or "accepted"))
    return table


def shortened(name: str) -> str:
    """Return a file name that fits a narrow column: its beginning and its end, without folders."""
    name = name.rpartition("/")[2]
    return name if len(name) <= NAME_WIDTH else f"{name[:8]}…{name[9 - NAME_WIDTH :]}"


def _estimate_table(images: int, stages: list[StageEstimate]) -> Table:
    from rich.table import Table

    table = Table(f"{images:,} images", box=None, pad_edge=False)
    for title in ("rows", "seconds", "prompt tokens", "output tokens"):
        table.add_column(title, justify="right")
    for stage in stages:
        figures = (stage.rows, stage.seconds, stage.prompt_tokens, stage.output_tokens)
        table.add_row(stage.stage, *(f"{figure:,.0f}" for figure in figures))
    return table
