"""`cirgen filters`: what a recipe can filter by."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Annotated

import typer

from cirgen.cli.options import ListJsonOption

if TYPE_CHECKING:
    from cirgen.filters.base import Filter

app = typer.Typer(help="Filters: list, and show what their settings and scores mean.", no_args_is_help=True)


@app.command("ls")
def list_all(as_json: ListJsonOption = False) -> None:
    """List the filters that a recipe can name, cheap ones first.

    Example: cirgen filters ls
    """
    from rich.table import Table

    from cirgen.cli.printing import printer
    from cirgen.filters.registry import FILTERS

    rows = [(name, _about(FILTERS.find(name)).partition("\n\n")[0]) for name in FILTERS.names]
    if as_json:
        typer.echo(json.dumps([{"filter": name, "about": about} for name, about in rows], indent=2))
        return
    table = Table("filter", "what it looks at", box=None, pad_edge=False)
    table.columns[0].no_wrap = True
    for row in rows:
        table.add_row(*row)
    printer().print(table)


@app.command()
def show(name: Annotated[str, typer.Argument(help="Filter, as in `cirgen filters ls`.")]) -> None:
    """Show what a filter is for, its settings with their defaults, and what its scores say.

    Example: cirgen filters show likelihood
    """
    from cirgen.cli.printing import printer
    from cirgen.errors import UserError
    from cirgen.filters.registry import FILTERS

    if name not in FILTERS.names:
        raise UserError(f"There is no filter '{name}'; see `cirgen filters ls`.")
    part = FILTERS.find(name)
    console = printer()
    console.print(_about(part), highlight=False, markup=False)
    console.print(_settings(part))
    if part.score_notes:
        console.print(_scores(part))


def _about(part: type[Filter]) -> str:
    """Return what the filter's file says of it, a line for each paragraph."""
    paragraphs = (inspect.getdoc(inspect.getmodule(part)) or inspect.getdoc(part) or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _settings(part: type[Filter]) -> object:
    from rich.table import Table

    from cirgen.described import described
    from cirgen.filters.threshold import FIT_SUFFIX, SUFFIX, BoundedSettings

    table = Table("setting", "default", "meaning", box=None, pad_edge=False, title="\nsettings", title_justify="left")
    table.columns[0].no_wrap = True
    bounds = part.Settings.options() if issubclass(part.Settings, BoundedSettings) else []
    ways = {f"{bound}{ending}" for bound in bounds for ending in (SUFFIX, FIT_SUFFIX)}
    for one in described(part.Settings):
        if one.name != "name" and one.name not in ways:
            table.add_row(one.name, one.default, one.meaning)
    if bounds:
        table.caption = f"{', '.join(bounds)}: also as NAME{SUFFIX} or NAME{FIT_SUFFIX}"
        table.caption_justify = "left"
    return table


def _scores(part: type[Filter]) -> object:
    from rich.table import Table

    table = Table("score", "what it says", "rejects", box=None, pad_edge=False, title="\nscores", title_justify="left")
    table.columns[0].no_wrap = True
    for name, note in part.score_notes.items():
        table.add_row(name, f"{note.meaning} ({note.values})", note.rejects.replace("`", ""))
    return table
