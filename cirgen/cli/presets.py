"""`cirgen presets`: what `cirgen bench` can be told by name."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(help="The shipped presets of cirgen bench.", no_args_is_help=True)


@app.command("ls")
def list_all() -> None:
    """List the shipped presets.

    Example: cirgen presets ls
    """
    from rich.console import Console
    from rich.table import Table

    from cirgen_benchmark.verdict.bench import PRESETS

    table = Table("preset", "what it asks", box=None, pad_edge=False)
    table.columns[0].no_wrap = True
    for name in PRESETS.names():
        lines = PRESETS.find(name).read_text(encoding="utf8").splitlines()
        table.add_row(name, lines[1].removeprefix("# "))
    Console().print(table)


@app.command()
def show(name: Annotated[str, typer.Argument(help="Preset, e.g. demo.")]) -> None:
    """Print a preset.

    Example: cirgen presets show demo
    """
    from cirgen_benchmark.verdict.bench import PRESETS

    typer.echo(PRESETS.find(name).read_text(encoding="utf8").rstrip())
