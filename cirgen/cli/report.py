"""`cirgen report`: the HTML report of a run, written anew."""

from __future__ import annotations

import typer

from cirgen.cli.options import RunArgument
from cirgen.cli.session import known_run


def report(folder: RunArgument) -> None:
    """Write the report of a run again from what is stored: one self-contained HTML file.

    Example: cirgen report runs/demo
    """
    from cirgen.report.write import write_report

    run = known_run(folder)
    write_report(run)
    typer.echo(f"{run.report}")
