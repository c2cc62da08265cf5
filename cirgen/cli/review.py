"""`cirgen review`: people judge triplets in their browser, and their verdicts become labels and figures."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cirgen.cli.options import JsonOption, RunArgument
from cirgen.cli.session import known_run, told_how_to_go_on
from cirgen.errors import UserError

if TYPE_CHECKING:
    from rich.table import Table

    from cirgen.review.figures import ReviewFigures, Share
    from cirgen.review.journal import Journal
    from cirgen.review.sample import Sample
    from cirgen.run_folder import Run

FOLDER = "review"
LOOPBACK = "127.0.0.1"
WARNING = (
    "Warning: {host} is not this machine alone. Whoever can reach it and has the link sees the pictures and can give "
    "verdicts, and nothing on the way is encrypted. From elsewhere, put this machine's address into the link."
)


class Origin(StrEnum):
    """Which triplets are drawn."""

    ALL = "all"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


def review(
    folder: RunArgument,
    rows: Annotated[int | None, typer.Option("-n", "--rows", min=1, help="Triplets to draw; 200 at first.")] = None,
    origin: Annotated[
        Origin | None, typer.Option("--from", help="Draw accepted ones, rejected ones, or half of each (all).")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of the draw; 0 at first.")] = None,
    reviewer: Annotated[str, typer.Option(metavar="NAME", help="Who reviews; the page asks otherwise.")] = "",
    host: Annotated[str, typer.Option(help="Address to listen on; this machine alone by default.")] = LOOPBACK,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen on; 0 takes a free one.")] = 0,
    export: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the verdicts as labels (Parquet), and serve nothing.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Judge triplets of a run in your browser, by keyboard, and turn the verdicts into labels and figures.

    Every verdict is kept at once, by reviewer; give the same command to go on. With --export or --json no page is
    served: what was judged is written, counted and printed.

    Example: cirgen review runs/demo -n 200
    """
    from cirgen.review.journal import Journal

    run = known_run(folder)
    journal = Journal(folder / FOLDER)
    if export is not None or as_json:
        _tell(run, journal, export, as_json)
        return
    from cirgen.review.sample import open_sample

    if not run.catalog.is_file():
        raise UserError(f"The run in {folder} has no pictures to show; give your `cirgen run` command again.")
    sample = open_sample(
        run, folder / FOLDER, rows, origin.value if origin else None, seed, journal.read().verdicts.keys()
    )
    _serve(run, sample, journal, host, port, _checked(reviewer))


def _checked(reviewer: str) -> str:
    from cirgen.review.verdicts import LONGEST_NAME, reviewer_name

    name = reviewer_name(reviewer)
    if reviewer and not name:
        raise UserError(
            f"'{reviewer}' is no name for --reviewer; use up to {LONGEST_NAME} letters, figures and signs."
        )
    return name


def _serve(run: Run, sample: Sample, journal: Journal, host: str, port: int, reviewer: str) -> None:
    from cirgen.images import RunImages
    from cirgen.review.access import is_loopback
    from cirgen.review.pictures import ReviewPictures
    from cirgen.review.server import Review, ReviewServer

    ids = {image_id for row in sample.rows for image_id in (row.reference_id, row.target_id)}
    pictures = ReviewPictures(RunImages(run.catalog, run.store.root / "ingest"), ids)
    with (
        told_how_to_go_on(lambda: bool(journal.read().verdicts)),
        ReviewServer(host, port, Review(run.recipe.name, sample, pictures, journal, reviewer)) as server,
    ):
        if not is_loopback(host):
            typer.echo(WARNING.format(host=host), err=True)
        typer.echo(_drawn(sample), err=True)
        typer.echo("Open this link in a browser; Ctrl-C stops, and every verdict is kept at once:", err=True)
        typer.echo(server.access.link)
        server.serve_forever(poll_interval=0.2)


def _drawn(sample: Sample) -> str:
    from cirgen.review.sample import drawn_from

    parts = [
        f"{number:,} of {sample.design.population[stratum]:,} {stratum}"
        for stratum, number in drawn_from(sample.rows).items()
        if stratum in sample.design.population
    ]
    return f"To review: {' and '.join(parts)} triplets, drawn with seed {sample.design.seed}."


def _tell(run: Run, journal: Journal, export: Path | None, as_json: bool) -> None:
    from rich.console import Console

    from cirgen.review.export import export_labels
    from cirgen.review.figures import judged_rows, review_figures
    from cirgen.review.sample import read_sample

    sample = read_sample(journal.path.parent)
    if sample is None:
        raise UserError(f"Nothing of {run.folder} was reviewed yet; begin with `cirgen review {run.folder}`.")
    given = journal.read()
    if export is not None:
        export_labels(export, judged_rows(sample, given))
    figures = review_figures(sample, given)
    if as_json:
        typer.echo(json.dumps(figures.record(), indent=2, ensure_ascii=False))
        return
    console = Console(markup=False, highlight=False)
    if figures.shares:
        console.print(_table(figures))
    for line in _lines(figures):
        console.print(line, soft_wrap=True)
    if export is not None:
        console.print(f"labels: {export}", soft_wrap=True)


def _table(figures: ReviewFigures) -> Table:
    from rich.table import Table

    table = Table("share of triplets, % [95 %]", box=None, pad_edge=False)
    for part in figures.shares:
        table.add_column(part, justify="right")
    for verdict in next(iter(figures.shares.values())):
        table.add_row(verdict, *(_shown(shares[verdict]) for shares in figures.shares.values()))
    return table


def _shown(share: Share) -> str:
    return f"{100 * share.share:.1f} [{100 * share.low:.0f}, {100 * share.high:.0f}]"


def _lines(figures: ReviewFigures) -> list[str]:
    names = ", ".join(f"{name} {count:,}" for name, count in figures.reviewers.items())
    lines = [f"{figures.judged:,} of {figures.rows:,} triplets judged ({names or 'by nobody'})"]
    if figures.good_accepted is not None:
        lines.append(f"of the good triplets the filters accepted {_shown(figures.good_accepted)} %")
    if figures.agreement is not None:
        found = figures.agreement
        said = ["undefined" if value is None else f"{value:.2f}" for value in (found.value, found.good)]
        lines.append(
            f"agreement of {found.reviewers} reviewers on {found.rows:,} triplets: {found.statistic} {said[0]}, "
            f"of good against the rest {said[1]}; the same verdict {found.same:.0%} of the time"
        )
    if figures.unreadable:
        lines.append(f"{figures.unreadable:,} lines of the journal hold no verdict and count nothing")
    return lines
