"""`cirgen world`: draw toy figures and measure against their exact truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cirgen.world.vocabulary import Level

app = typer.Typer(help="The embedded world of toy figures: a diagnostic with exact truth.", no_args_is_help=True)

LevelOption = Annotated[Level, typer.Option(help="How near values and how strong nuisance are.")]
SeedOption = Annotated[int, typer.Option(min=0, max=2, help="Which of the three collections.")]
PurposeOption = Annotated[str, typer.Option(help="corpus, development or evaluation: they share no figure.")]


@app.command()
def render(  # noqa: PLR0917 - one option each
    out: Annotated[Path, typer.Option(help="Folder for images/ and truth/.")],
    level: LevelOption = "medium",
    seed: SeedOption = 0,
    images: Annotated[int, typer.Option(min=1, max=3000, help="How many images.")] = 1500,
    purpose: PurposeOption = "corpus",
    workers: Annotated[int, typer.Option(min=1, help="Drawing processes.")] = 2,
) -> None:
    """Draw a collection, named by content, with its attribute table apart.

    Example: cirgen world render --purpose evaluation --out toys/
    """
    from cirgen.world.build import build

    Console().print(f"{images} images, truth in {build(level, out, seed, images, purpose=purpose, workers=workers)}")


@app.command()
def oracle(  # noqa: PLR0917 - one option each
    table: Annotated[Path | None, typer.Argument(help="Attribute table; without it a collection is drawn up.")] = None,
    level: LevelOption = "medium",
    seed: SeedOption = 0,
    images: Annotated[int, typer.Option(min=1, max=3000, help="How many images.")] = 1500,
    purpose: PurposeOption = "corpus",
    as_json: Annotated[bool, typer.Option("--json", help="Print figures as JSON.")] = False,
) -> None:
    """Measure what the text alone and the image alone would find.

    Example: cirgen world oracle --purpose evaluation --level hard
    """
    from cirgen.world.build import read_truth
    from cirgen.world.families import collection
    from cirgen.world.oracle import as_records, oracle_table, oracles

    if table is None:
        samples = collection(purpose, level, seed, images)
        rows = oracles([sample.figure for sample in samples], [sample.family for sample in samples])
    else:
        truth = read_truth(table)
        rows = oracles(truth.figures, truth.families)
    if as_json:
        typer.echo(json.dumps(as_records(rows), indent=2))
    else:
        Console().print(oracle_table(rows, str(table or f"{purpose}, {level}, seed {seed}")))


@app.command()
def truth(
    dataset: Annotated[Path, typer.Argument(help="Dataset folder of a run: RUN/dataset.")],
    attributes: Annotated[
        Path | None, typer.Option(help="Attribute table of the images; without it the shipped collection's.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print figures as JSON.")] = False,
) -> None:
    """Measure how many triplets of a dataset are right: percent, with 95 % intervals clustered by reference.

    Example: cirgen world truth runs/demo/dataset
    """
    from cirgen.world.build import TABLE, shipped
    from cirgen.world.truth_report import as_records, judge_dataset, slices, truth_table

    found = slices(*judge_dataset(dataset, attributes or shipped() / TABLE), seed=seed)
    if as_json:
        typer.echo(json.dumps(as_records(found), indent=2))
    else:
        Console().print(truth_table(found, str(dataset)))
