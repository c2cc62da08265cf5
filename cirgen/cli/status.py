"""`cirgen status`: how far a run is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer

from cirgen.cli.options import JsonOption, RunArgument
from cirgen.cli.session import known_run

if TYPE_CHECKING:
    from rich.table import Table

    from cirgen.cli.figures import Figures


def status(folder: RunArgument, as_json: JsonOption = False) -> None:
    """Show how far a run is: rows per stage by status, what was accepted, how fast models are, where to look.

    It reads alone, and may be asked while the run is going on.

    Example: cirgen status runs/demo
    """
    from rich.console import Console

    from cirgen.cli.figures import figures, usage_lines
    from cirgen.cli.summary import places
    from cirgen.cli.unreadable import unreadable

    run = known_run(folder)
    found = figures(run)
    if as_json:
        files = [file._asdict() for file in unreadable(run)]
        typer.echo(json.dumps({**found.record(), "limit": run.limit, "unreadable": files, **places(run)}, indent=2))
        return
    console = Console(markup=False)
    console.print(_table(found))
    if run.limit is not None:
        console.print(f"limited to the first {run.limit:,} images of the source, by --limit", highlight=False)
    for reason, count in found.rejected.items():
        console.print(f"  {count:,} rejected: {reason}", highlight=False)
    if found.speed:
        console.print(_speeds(found))
    for line in usage_lines(found.usage):
        console.print(line, highlight=False, soft_wrap=True)
    console.print(f"rows: {run.store.root}", highlight=False, soft_wrap=True)
    for name, place in places(run).items():
        console.print(f"{name}: {place}", highlight=False, soft_wrap=True)


def _table(found: Figures) -> Table:
    from rich.table import Table

    from cirgen.cli.figures import PENDING

    table = Table("stage", box=None, pad_edge=False)
    for title in ("planned", "ok", PENDING):
        table.add_column(title, justify="right")
    table.add_column("failed")
    for stage, statuses in found.stages.items():
        failed = ", ".join(f"{s} {n:,}" for s, n in statuses.items() if s not in ("ok", PENDING))
        counts = (sum(statuses.values()), statuses.get("ok", 0), statuses.get(PENDING, 0))
        table.add_row(stage, *(f"{count:,}" for count in counts), failed)
    for name, count in (("pairs", found.pairs), ("triplets", found.triplets), ("accepted", found.accepted)):
        table.add_row(name, f"{count:,}")
    return table


def _speeds(found: Figures) -> Table:
    """Return how fast the models of each stage were."""
    from rich.table import Table

    table = Table("model of", box=None, pad_edge=False)
    for title in ("images/s", "texts/s", "new tokens/s", "padding", "waited s", "GiB at peak"):
        table.add_column(title, justify="right")
    peak = any("model_flop_utilisation" in speed for speed in found.speed.values())
    if peak:
        table.add_column("of peak", justify="right")
    for stage, speed in found.speed.items():
        rates = (f"{speed[f'{name}_per_second']:,.3g}" for name in ("images", "rows", "output_tokens"))
        waited = f"{speed['waited_seconds']:,.1f} ({speed['waited_share']:.1%})"
        memory = f"{speed['peak_bytes'] / 2**30:,.1f}"
        used = [f"{speed.get('model_flop_utilisation', 0.0):.1%}"] if peak else []
        table.add_row(stage, *rates, f"{speed['padding_share']:.1%}", waited, memory, *used)
    return table
