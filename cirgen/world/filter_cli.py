"""`cirgen world filters` and `cirgen world labels`: exact truth about filters, and exact truth as labels for them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from cirgen.cli.options import OUTPUT, JsonOption
from cirgen.cli.printing import printer

RunArgument = Annotated[Path, typer.Argument(help="Folder of a finished run of the embedded world.")]
AttributesOption = Annotated[
    Path | None, typer.Option(help="Attribute table of the images; without it the shipped collection's.")
]


def filters(
    run: RunArgument,
    recipe: Annotated[
        str | None, typer.Option(help="Recipe whose filters are tried; without it those of the run.")
    ] = None,
    each: Annotated[int, typer.Option(min=1, help="Triplets of every flaw, where the pairs give as many.")] = 60,
    attributes: AttributesOption = None,
    scores: Annotated[
        Path | None, typer.Option(help="Folder to keep scores in; given again, what is there asks no model.")
    ] = None,
    write: Annotated[
        Path | None, typer.Option(help="Also write the figures to this file, as JSON, and beside it as Markdown.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of draws and of the bootstrap.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Measure what each filter catches of each flaw, and what that costs, by the exact attributes of the figures.

    Example: cirgen world filters runs/demo --each 30
    """
    from cirgen.cli.quiet import quieten_transformers
    from cirgen.cli.session import known_run
    from cirgen.recipe_file import load_recipe
    from cirgen.world.build import TABLE, shipped
    from cirgen.world.filter_matrix import balanced, matrix, natural
    from cirgen.world.filter_table import markdown, matrix_tables, verdict
    from cirgen.world.filter_trial import Trials
    from cirgen.world.gallery import Gallery

    quieten_transformers()
    finished = known_run(run)
    stack = (load_recipe(recipe).recipe if recipe else finished.recipe).model_dump(mode="json")["filter"]
    gallery = Gallery.load(attributes or shipped() / TABLE)
    with _folder(scores) as folder:
        flawed, generated = (Trials(finished, folder / part, finished.progress) for part in ("flawed", "generated"))
        found = [
            matrix("half of them flawed", flawed, stack, balanced(flawed, gallery, "medium", each, seed), seed),
            matrix("as generated", generated, stack, natural(generated, gallery), seed),
        ]
    record = {"run": finished.recipe.name, "seed": seed, "each": each, "matrices": [one.record() for one in found]}
    text = json.dumps(record, indent=2)
    if write:
        write.write_text(f"{text}\n", encoding="utf8")
        tables = "\n\n".join(f"{markdown(one)}\n\n{verdict(one)}" for one in found)
        write.with_suffix(".md").write_text(f"{tables}\n", encoding="utf8")
    if as_json:
        typer.echo(text)
        return
    console = printer()
    for one in found:
        console.print(*matrix_tables(one), sep="\n")
        console.print(f"\n{verdict(one)}\n", highlight=False)


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    if given:
        yield given
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def labels(
    run: RunArgument,
    out: Annotated[Path, typer.Option(*OUTPUT, help="Parquet file to write.")],
    attributes: AttributesOption = None,
    measure: Annotated[
        str, typer.Option(help="What counts as good: " + "good, correct, exhaustive, unique or composed.")
    ] = "good",
    as_json: JsonOption = False,
) -> None:
    """Label every triplet of a run by the exact truth, as a reviewer would, to fit thresholds of filters to.

    Thresholds fitted so belong on another collection: fit on one seed of the world, report on another.

    Example: cirgen world labels runs/seed1 --out labels.parquet
    """
    import pyarrow.parquet as pq

    from cirgen.cli.session import known_run
    from cirgen.errors import UserError
    from cirgen.review.export import LABEL
    from cirgen.shards import write_rows
    from cirgen.world.build import TABLE, shipped
    from cirgen.world.filter_matrix import MEASURES
    from cirgen.world.gallery import Gallery
    from cirgen.world.truth import judge

    if measure not in MEASURES:
        raise UserError(f"'{measure}' is no measure; choose one of {', '.join(MEASURES)}.")
    gallery = Gallery.load(attributes or shipped() / TABLE)
    rows = []
    seen: set[tuple[str, str, str]] = set()
    for row in pq.read_table(known_run(run).triplets).to_pylist():
        ends = (row["reference_id"], row["text"], row["target_id"])
        if ends in seen:  # two prompts came to the same words
            continue
        seen.add(ends)
        good = row["status"] == "ok" and bool(getattr(judge(gallery, *ends), measure))
        rows.append(
            {
                "triplet_id": row["triplet_id"],
                "reference_id": ends[0],
                "text": ends[1],
                "target_id": ends[2],
                "verdict": "good" if good else "wrong text",
                "good": good,
                "reviewers": 1,
                "weight": 1.0,
            }
        )
    write_rows(out, iter(rows), LABEL)
    good = sum(row["good"] for row in rows)
    said = json.dumps({"labels": len(rows), "good": good, "file": str(out)}, indent=2)
    typer.echo(said if as_json else f"{len(rows):,} labels, {good:,} of them good, in {out}")
