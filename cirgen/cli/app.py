"""`cirgen`: images in, filtered (reference, modification text, target) triplets out."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from cirgen import __version__
from cirgen.cli import (
    audit,
    bench,
    card,
    export,
    filters,
    fingerprint,
    paragraphs,
    presets,
    preview,
    prompts,
    push,
    recipes,
    report,
    retry,
    review,
    run,
    score,
    status,
    validate,
)
from cirgen.errors import UserError
from cirgen.plugins import load_plugin
from cirgen.world.cli import app as world

FAILED = 1
_AGAIN = "give the same command again: what was committed is kept."
_DENIED = "{place} cannot be read or written: change its permissions, or give another --output."
FIXES = {
    errno.ENOSPC: f"The disk is full; free some space and {_AGAIN}",
    errno.EDQUOT: f"Your quota of the disk is used up; free some space and {_AGAIN}",
    errno.EFBIG: f"A file would be larger than this process may write (ulimit -f); raise that limit and {_AGAIN}",
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
    errno.EROFS: "{place} lies on a disk that is read-only: give another --output.",
}
"""What to do about an error of the system, by its number."""

app = typer.Typer(
    help="Turn images into filtered (reference, modification text, target) triplets. Begin with: cirgen run demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for command in (
    run.run,
    preview.preview,
    validate.validate,
    status.status,
    retry.retry,
    report.report,
    review.review,
    audit.audit,
    fingerprint.fingerprint,
    score.score,
    bench.bench,
    push.push,
    export.export,
    card.card,
):
    app.command()(command)
app.add_typer(prompts.app, name="prompts")
app.add_typer(recipes.app, name="recipes")
app.add_typer(filters.app, name="filters")
app.add_typer(presets.app, name="presets")
app.add_typer(world, name="world")
paragraphs.flow(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"cirgen {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[  # noqa: ARG001 - its callback acts
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
    plugins: Annotated[
        list[str] | None,
        typer.Option("--plugin", metavar="FILE.py|MODULE", help="Run this code, and let recipes name its filters."),
    ] = None,
) -> None:
    """Hold what every command shares."""
    for plugin in plugins or ():
        load_plugin(plugin)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; leaves with 0, 1 where it failed, 2 on wrong usage, 130 on Ctrl-C."""
    # torch's OpenMP threads spin while they wait, which on a small machine starves whatever else runs there
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        app(arguments, prog_name="cirgen")
    except UserError as error:
        _fail(str(error))
    except OSError as error:
        if error.errno not in FIXES:
            raise
        _fail(FIXES[error.errno].format(place=error.filename or "A file of the run"))


def _fail(message: str) -> None:
    print(f"Error: {message}", file=sys.stderr)
    sys.exit(FAILED)
