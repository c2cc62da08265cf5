"""`cirgen world corpus`: a published corpus of an embedded world, and the page that lists corpora."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from cirgen.cli.options import OUTPUT, JsonOption


def corpus(
    run: Annotated[Path, typer.Argument(help="Finished run of recipes/voxel-figures.yaml or recipes/furniture.yaml.")],
    out: Annotated[Path, typer.Option(*OUTPUT, help="Folder of the corpus, replaced as a whole.")],
    audit: Annotated[
        Path | None, typer.Option(help="audit.json of a `cirgen audit` of this corpus, for its card.")
    ] = None,
    bench: Annotated[
        Path | None, typer.Option(help="bench.json of a `cirgen bench` of this corpus, for its card.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make the corpus of a run: splits by attribute combination, truth, text-first queries, baseline rankings, card.

    The same run gives the same bytes, so what an audit or a bench measured of them can enter the card the next time.

    Example: cirgen world corpus runs/voxel-figures --out cards/voxel-figures
    """
    from cirgen.cli.quiet import quieten_datasets, quieten_transformers
    from cirgen.cli.session import known_run
    from cirgen.lock import hold
    from cirgen.publish.card_page import check_card
    from cirgen.world.corpus.build import Given, build_corpus

    quieten_transformers()
    quieten_datasets()
    known = known_run(run)
    with hold(run, joinable=False):
        built = build_corpus(known, out, Given(audit, bench))
    checked = check_card(out)
    if as_json:
        typer.echo(json.dumps(built.record(), indent=2))
        return
    for name, rows in built.rows.items():
        typer.echo(f"{name}: {rows:,} rows")
    accepted, rejected = built.left_out["accepted"], built.left_out["rejected"]
    typer.echo(f"left out, between two splits: {accepted:,} accepted, {rejected:,} rejected")
    typer.echo(f"front matter: {checked.configs} configs, {checked.splits} splits")
    typer.echo(f"card: {out / 'README.md'}")


def cards(
    folder: Annotated[Path, typer.Argument(help="Folder of corpora, each a dataset repository.")],
    as_json: JsonOption = False,
) -> None:
    """Put the corpora of a folder side by side in its README.md, every figure read from the corpora.

    Example: cirgen world cards cards
    """
    from cirgen.publish.card_page import CARD_NAME
    from cirgen.publish.shelf import corpora, shelf
    from cirgen.shards import write_text

    found = corpora(folder)
    write_text(folder / CARD_NAME, shelf(found))
    said = {"page": str(folder / CARD_NAME), "corpora": [one.name for one in found]}
    typer.echo(json.dumps(said, indent=2) if as_json else f"page: {said['page']}, of {', '.join(said['corpora'])}")
