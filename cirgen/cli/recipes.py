"""`cirgen recipes`: the recipes that ship."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cirgen.cli.copying import free_file
from cirgen.cli.options import ListJsonOption

if TYPE_CHECKING:
    from cirgen.recipe_file import LoadedRecipe

app = typer.Typer(help="Shipped recipes: list, show, copy.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help="Name of a recipe, as in `cirgen recipes ls`.")]


@app.command("ls")
def list_all(as_json: ListJsonOption = False) -> None:
    """List the shipped recipes.

    Example: cirgen recipes ls
    """
    from rich.table import Table

    from cirgen.cli.printing import printer
    from cirgen.recipe_file import load_recipe, recipe_names

    shipped = [(name, load_recipe(name)) for name in recipe_names()]
    rows = [(name, _needs(loaded), _headline(loaded.path)) for name, loaded in shipped]
    if as_json:
        typer.echo(json.dumps([dict(zip(("recipe", "needs", "about"), row, strict=True)) for row in rows], indent=2))
        return
    table = Table("recipe", "needs", "what it does", box=None, pad_edge=False)
    table.columns[0].no_wrap = True
    console = printer()
    names = {name for name, *_ in rows}
    for row in rows:
        if not (console.is_terminal and row[0].endswith(TWIN) and row[0].removesuffix(TWIN) in names):
            table.add_row(*row)
    console.print(table)
    if console.is_terminal:
        console.print(f"Each of spn4cir/ has a twin that filters its triplets: spn4cir/NAME{TWIN}", highlight=False)


TWIN = "-filtered"
"""How the name of a recipe ends that is another one with filters."""


NEEDS = {"fashioniq": "FashionIQ", "cirr": "CIRR", "webdataset": "tar shards", "folder": "your folder"}
"""Kind of a source to the pictures that have to be there."""


def _needs(loaded: LoadedRecipe) -> str:
    """Say which pictures a recipe needs that do not ship."""
    from cirgen.resources import SHIPPED_PREFIX

    images = loaded.recipe.images.model_dump()
    return "nothing" if str(images.get("path")).startswith(SHIPPED_PREFIX) else NEEDS[images["kind"]]


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
    from cirgen.recipe_file import load_recipe

    loaded = load_recipe(name)
    target = free_file(destination, loaded.path.name, f"cirgen recipes copy {name}")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(_own_command(loaded.text, target), encoding="utf8")
    for field in _placeholders(loaded.text):
        line = loaded.origins[tuple(field.split("."))].rpartition(":")[2]
        typer.echo(f"{target}:{line}: edit {field} first: it says where your pictures are.")
    typer.echo(f"{target}. To run: cirgen run {shlex.quote(str(target))}")


def _own_command(text: str, target: Path) -> str:
    """Let the first line, which gives the command, speak of the copy; what it sets is to be edited there."""
    first, rest = text.split("\n", 1)
    command = re.match(r"# To run: cirgen run \S+", first)
    return f"# To run: cirgen run {shlex.quote(str(target))}\n{rest}" if command else text


def _placeholders(text: str) -> list[str]:
    """Return the fields that the command of the first line sets, as `images.path`: the file has no value for them."""
    return re.findall(r"--set ([\w.]+)=", text.split("\n", 1)[0])
