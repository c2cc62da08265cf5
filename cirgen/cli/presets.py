"""`cirgen presets`: what `cirgen bench` can be told by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from cirgen.cli.options import ListJsonOption

app = typer.Typer(help="The shipped presets of cirgen bench.", no_args_is_help=True)


@app.command("ls")
def list_all(as_json: ListJsonOption = False) -> None:
    """List the shipped presets.

    Example: cirgen presets ls
    """
    from rich.table import Table

    from cirgen.cli.printing import printer
    from cirgen_benchmark.verdict.preset_file import PRESETS

    rows = [(name, _headline(PRESETS.find(name))) for name in PRESETS.names()]
    if as_json:
        typer.echo(json.dumps([{"preset": name, "about": about} for name, about in rows], indent=2))
        return
    table = Table("preset", "what it asks", box=None, pad_edge=False)
    table.columns[0].no_wrap = True
    for row in rows:
        table.add_row(*row)
    printer().print(table)


def _headline(path: Path) -> str:
    """Return the second comment line: the first gives the command, the second says what is asked."""
    return path.read_text(encoding="utf8").splitlines()[1].removeprefix("# ")


@app.command()
def show(name: Annotated[str, typer.Argument(help="Preset, e.g. demo.")]) -> None:
    """Print a preset.

    Example: cirgen presets show demo
    """
    from cirgen_benchmark.verdict.preset_file import PRESETS

    typer.echo(PRESETS.find(name).read_text(encoding="utf8").rstrip())
