"""`cirgen card`: the dataset card as a page, and what was measured put into it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cirgen.cli.options import OUTPUT
from cirgen.errors import UserError

if TYPE_CHECKING:
    from cirgen.run_folder import Run

PAGE = "card.html"


def card(
    corpus: Annotated[Path, typer.Argument(help="Run, or a dataset folder that cirgen wrote.")],
    bench: Annotated[
        Path | None, typer.Option(help="bench.json of a `cirgen bench` on this dataset, to put into the card.")
    ] = None,
    truth: Annotated[
        bool, typer.Option("--truth", help="Count what is right and put it into the card; toy figures alone.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(*OUTPUT, help="The page; card.html in the run, or here, by default.")
    ] = None,
) -> None:
    """Write the dataset card as one HTML file, pictures inside, after the clients have read its front matter.

    What a bench, exact truth or an audit (`cirgen audit RUN --card`) measured of these very rows enters the card, and
    the dataset is exported again; rows that change later lose it.

    Example: cirgen card runs/demo --truth
    """
    from cirgen.audit.corpora.open import dataset_folder
    from cirgen.cli.quiet import quieten_datasets
    from cirgen.corpus_folder import run_of
    from cirgen.publish.card_page import card_page, check_card
    from cirgen.shards import write_text

    folder = dataset_folder(str(corpus))
    if folder is None:
        raise UserError(f"{corpus} holds no dataset that cirgen wrote; name a run, or its folder `dataset`.")
    quieten_datasets()
    run = run_of(corpus)
    if bench is not None or truth:
        if run is None:
            raise UserError("--bench and --truth take a run, whose card is written with its dataset.")
        _measure(run, bench, truth)
    checked = check_card(folder)
    page = out or (run or Path()) / PAGE
    write_text(page, card_page(folder))
    typer.echo(
        f"front matter: {checked.configs} configs, {checked.splits} splits, as huggingface_hub and datasets read it"
    )
    typer.echo(f"card: {folder / 'README.md'}")
    typer.echo(f"page: {page}")


def _measure(folder: Path, bench: Path | None, truth: bool) -> None:
    from cirgen.cli.session import known_run
    from cirgen.lock import hold
    from cirgen.publish.measured import note_measured
    from cirgen.stages.export import export

    run = known_run(folder)
    with hold(folder, joinable=False):
        if bench is not None:
            note_measured(run, "bench", _bench(run, bench))
        if truth:
            note_measured(run, "truth", _truth(run))
        export(run)


def _bench(run: Run, path: Path) -> dict[str, Any]:
    """Return a verdict, once it is sure that it is of this dataset."""
    from cirgen.publish.measured import read_bench
    from cirgen_benchmark.data.corpus import Corpus

    record = read_bench(path)
    if Corpus(run.dataset).fingerprint not in record["corpora"].values():
        raise UserError(
            f"{path} is of another dataset than {run.dataset}; bench this one: cirgen bench {run.dataset}."
        )
    return record


def _truth(run: Run) -> dict[str, Any]:
    from cirgen.publish.origins import shows_toy_figures
    from cirgen.world.truth_report import as_records, judge_dataset, slices
    from cirgen.world.truth_words import MEANINGS

    if not shows_toy_figures(run):
        raise UserError("Exact truth is known of pictures that ship alone (images.path: cirgen:images).")
    gallery, judged = judge_dataset(run.dataset)
    found = as_records(slices(gallery, judged))
    kept = {name: part for name, part in found.items() if not name.startswith("rejected:")}
    return {"slices": kept, "meanings": dict(MEANINGS)}
