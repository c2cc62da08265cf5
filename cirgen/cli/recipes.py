"""`cirgen recipes`: the recipes that ship."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cirgen.errors import UserError

app = typer.Typer(help="Shipped recipes: list, show, copy.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help="Name of a recipe, as in `cirgen recipes ls`.")]


@app.command("ls")
def list_all() -> None:
    """List the shipped recipes.

    Example: cirgen recipes ls
    """
    from rich.console import Console
    from rich.table import Table

    from cirgen.recipe_file import find_recipe, recipe_names

    table = Table("recipe", "what it does", box=None, pad_edge=False)
    table.columns[0].no_wrap = True
    for name in recipe_names():
        table.add_row(name, _headline(find_recipe(name)))
    Console().print(table)


def _headline(path: Path) -> str:
    """Return the second comment line: the first gives the command, the second says what for."""
    lines = path.read_text(encoding="utf8").splitlines()
    return lines[1].removeprefix("# ")


@app.command()
def show(name: NameArgument) -> None:
    """Print a shipped recipe, comments included.

    Example: cirgen recipes show demo
    """
    from cirgen.recipe_file import find_recipe

    typer.echo(find_recipe(name).read_text(encoding="utf8"), nl=False)


@app.command()
def copy(
    name: NameArgument,
    destination: Annotated[
        Path | None, typer.Argument(help="File or folder; the folder you are in by default.")
    ] = None,
) -> None:
    """Copy a shipped recipe, to change it.

    Example: cirgen recipes copy folder my-images.yaml
    """
    from cirgen.recipe_file import find_recipe

    source = find_recipe(name)
    target = destination or Path()
    target = target / source.name if target.is_dir() else target
    if target.exists():
        raise UserError(f"{target} exists already; name another file, as in `cirgen recipes copy {name} my.yaml`.")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(source.read_text(encoding="utf8"), encoding="utf8")
    typer.echo(f"{target}. To run: cirgen run {target}")
