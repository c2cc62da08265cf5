"""The short table at the end of a run: what came of it, where to look, what to type next."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

import typer

from cirgen.cli.figures import PENDING, Figures, figures
from cirgen.publish.origins import is_foreign_to_its_models

if TYPE_CHECKING:
    from rich.table import Table

    from cirgen.run_folder import Run

SHOWN_REASONS = 8
FOREIGN = (
    "Mind: the models that ship with cirgen know toy figures alone, so texts about other pictures are nonsense; "
    "name a real model under 'mllm.model'."
)


def print_summary(run: Run, seconds: Mapping[str, float], as_json: bool = False) -> None:
    """Print what a run came to.

    Args:
        run: after its last stage.
        seconds: wall time of this call per stage.
        as_json: print figures alone, as JSON.
    """
    from rich.console import Console

    found = figures(run)
    if as_json:
        typer.echo(json.dumps({**found.record(), **places(run), "seconds_now": dict(seconds)}, indent=2))
        return
    console = Console()
    console.print(_table(found, seconds))
    for name, place in places(run).items():
        console.print(f"{name}: {place}", highlight=False, soft_wrap=True)
    for line in _next(run, found):
        console.print(line, highlight=False, soft_wrap=True)


def places(run: Run) -> dict[str, str]:
    """Return where to look: what exists of the report and the dataset."""
    there = {"report": run.report, "dataset": run.dataset}
    return {name: str(path) for name, path in there.items() if path.exists()}


def _table(found: Figures, seconds: Mapping[str, float]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column()
    for name, count, note in _lines(found):
        table.add_row(name, f"{count:,}", note)
    table.add_row("seconds", f"{sum(seconds.values()):,.1f}", _joined(f"{k} {v:.1f}" for k, v in seconds.items()))
    return table


def _lines(found: Figures) -> list[tuple[str, int, str]]:
    unreadable = found.stages["ingest"].get("image_error", 0)
    reasons = list(found.rejected.items())
    more = f"{len(reasons) - SHOWN_REASONS} more reasons" if len(reasons) > SHOWN_REASONS else ""
    return [
        ("images", found.images, f"{unreadable:,} files could not be read" if unreadable else ""),
        ("captions", found.stages["caption"].get("ok", 0), _failures(found.stages["caption"])),
        ("pairs", found.pairs, ""),
        ("texts", found.stages["modify"].get("ok", 0), _failures(found.stages["modify"])),
        ("accepted", found.accepted, _share(found)),
        (
            "rejected",
            sum(found.rejected.values()),
            _joined([*(f"{why} {count:,}" for why, count in reasons[:SHOWN_REASONS]), more]),
        ),
    ]


def _joined(parts: object) -> str:
    return ", ".join(part for part in parts if part)  # type: ignore[attr-defined]


def _failures(statuses: Mapping[str, int]) -> str:
    return _joined(f"{status} {count:,}" for status, count in statuses.items() if status != "ok")


def _share(found: Figures) -> str:
    return f"{found.accepted / found.triplets:.0%} of the triplets" if found.triplets else ""


def _next(run: Run, found: Figures) -> list[str]:
    """Return what to know and what to type next."""
    failed = sorted(
        {s for statuses in found.stages.values() for s in statuses if s not in ("ok", PENDING, "image_error")}
    )
    lines = [FOREIGN] if is_foreign_to_its_models(run) else []
    if failed:
        lines.append(f"try failed rows again: cirgen retry {run.folder} --status {','.join(failed)}")
    if run.dataset.exists():
        lines.append(f"load it: python -c 'import datasets; print(datasets.load_dataset(\"{run.dataset}\"))'")
    elif found.triplets and not found.accepted:
        lines.append("nothing was accepted: the report says why; loosen a filter of the recipe and run again")
    return lines
