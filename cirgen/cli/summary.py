"""The short table at the end of a run: what came of it, where to look, what to type next."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

import typer

from cirgen.cli.advice import advice
from cirgen.cli.figures import PENDING, Figures, figures, usage_lines
from cirgen.cli.loading import loading
from cirgen.cli.unreadable import named
from cirgen.publish.origins import is_foreign_to_its_models
from cirgen.schemas import RERUN_STATUSES

if TYPE_CHECKING:
    from rich.table import Table

    from cirgen.run_folder import Run

SHOWN_REASONS = 8
FOREIGN = (
    "Mind: the models that ship with cirgen know toy figures alone, so texts about other pictures are nonsense; "
    "name a real model under 'mllm.model'."
)


def print_summary(
    run: Run, seconds: Mapping[str, float], as_json: bool = False, before: Figures | None = None
) -> None:
    """Print what a run came to.

    Args:
        run: after its last stage.
        seconds: wall time of this call per stage.
        as_json: print figures alone, as JSON.
        before: figures of the run before a retry.
    """
    from rich.console import Console

    found = figures(run)
    if as_json:
        typer.echo(json.dumps({**found.record(), **places(run), "seconds_now": dict(seconds)}, indent=2))
        return
    console = Console(markup=False)
    console.print(_table(found, seconds))
    for line in usage_lines(found.usage):
        console.print(line, highlight=False, soft_wrap=True)
    for line in named(run, _unreadable(found)):
        console.print(line, highlight=False, soft_wrap=True)
    for name, place in places(run).items():
        console.print(f"{name}: {place}", highlight=False, soft_wrap=True)
    for line in _next(run, found, before):
        console.print(line, highlight=False, soft_wrap=True)


def places(run: Run) -> dict[str, str]:
    """Return where to look: what exists of the report, the dataset and the layouts."""
    there = {"report": run.report, "dataset": run.dataset, "layouts": run.layouts}
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
    reasons = list(found.rejected.items())
    more = f"{len(reasons) - SHOWN_REASONS} more reasons" if len(reasons) > SHOWN_REASONS else ""
    return [
        ("images", found.images, _from_files(found)),
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


def _from_files(found: Figures) -> str:
    """Say what became of the files that are no image of their own."""
    files, unreadable = sum(found.stages["ingest"].values()), _unreadable(found)
    identical = found.stages["ingest"].get("ok", 0) - found.images
    lost = _joined(
        [
            f"{identical:,} identical to another" if identical else "",
            f"{unreadable:,} could not be read" if unreadable else "",
        ]
    )
    return f"of {files:,} {'file' if files == 1 else 'files'}: {lost}" if lost else ""


def _unreadable(found: Figures) -> int:
    return sum(count for status, count in found.stages["ingest"].items() if status not in ("ok", PENDING))


def _joined(parts: object) -> str:
    return ", ".join(part for part in parts if part)  # type: ignore[attr-defined]


def _failures(statuses: Mapping[str, int]) -> str:
    return _joined(f"{status} {count:,}" for status, count in statuses.items() if status != "ok")


def _share(found: Figures) -> str:
    return f"{found.accepted / found.triplets:.0%} of the triplets" if found.triplets else ""


def _after_nothing(found: Figures) -> str:
    """Return what to do where nothing was accepted: filters are not to blame for texts that were never written."""
    statuses = found.stages.get("modify", {})
    if not statuses.get("ok") and any(statuses.get(status) for status in RERUN_STATUSES):
        return "nothing was accepted, since no text was written: mend that, and run again"
    return "nothing was accepted: the report says why; loosen a filter of the recipe and run again"


def _next(run: Run, found: Figures, before: Figures | None) -> list[str]:
    """Return what to know and what to type next."""
    lines = [FOREIGN] if is_foreign_to_its_models(run) else []
    lines += advice(run, found, before)
    if run.dataset.exists():
        lines += loading(run)
    elif found.triplets and not found.accepted:
        lines.append(_after_nothing(found))
    return lines
