"""Options that several commands share."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from cirgen.plugins import loaded

OUTPUT = ("--output", "--out", "-o")
"""How every command calls what it writes to."""
RecipeArgument = Annotated[str, typer.Argument(help="Recipe file, or the name of a shipped one (cirgen recipes ls).")]
RunArgument = Annotated[Path, typer.Argument(help="Run folder, e.g. runs/demo.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY.PATH=VALUE", help="Override a field of the recipe; may be given again."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print figures as JSON.")]
ListJsonOption = Annotated[bool, typer.Option("--json", help="Print the list as JSON.")]
MaxCostOption = Annotated[
    float | None,
    typer.Option(min=0.0, help="Stop before this call spends more, by the prices that the recipe gives its models."),
]
MaxHoursOption = Annotated[float | None, typer.Option(min=0.0, help="Stop when this call has run so long.")]
FlushRowsOption = Annotated[int, typer.Option(min=1, help="Commit when so many rows wait: a kill loses no more.")]
FlushSecondsOption = Annotated[float, typer.Option(min=0.0, help="Commit when a row has waited so many seconds.")]


def command_line(command: str, recipe: str, settings: Sequence[str] | None) -> str:
    """Return `cirgen COMMAND RECIPE --set ...`, ready to be typed."""
    plugins = [part for plugin in loaded for part in ("--plugin", plugin)]
    given = [part for setting in settings or () for part in ("--set", setting)]
    return shlex.join(["cirgen", *plugins, command, recipe, *given])
