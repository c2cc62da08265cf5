"""`cirgen retry`: another attempt at rows that failed."""

from __future__ import annotations

from typing import Annotated

import typer

from cirgen.cli.options import JsonOption, RunArgument
from cirgen.cli.session import known_run, work
from cirgen.errors import UserError


def retry(
    folder: RunArgument,
    status: Annotated[
        str, typer.Option(help="Statuses to try again, comma-separated: truncated, parse_error, image_error ...")
    ] = "truncated,parse_error,image_error,oom,engine_error",
    as_json: JsonOption = False,
) -> None:
    """Try failed rows of a run again; each gets one more attempt, and what it makes possible is made.

    Example: cirgen retry runs/demo --status truncated,parse_error
    """
    from cirgen.cli.advice import unchanging
    from cirgen.cli.figures import figures
    from cirgen.cli.summary import print_summary

    run = known_run(folder, tuple(_statuses(status)))
    before = figures(run)
    for line in unchanging(run, before):
        typer.echo(line, err=True)
    print_summary(run, work(run).seconds, as_json, before)


def _statuses(text: str) -> list[str]:
    from cirgen.schemas import STATUSES

    failures = [status for status in STATUSES if status != "ok"]
    wanted = [part.strip() for part in text.split(",") if part.strip()]
    for status in wanted:
        if status not in failures:
            raise UserError(f"No failed row has the status '{status}'; choose from {', '.join(failures)}.")
    return wanted
