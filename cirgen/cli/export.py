"""`cirgen export`: a finished corpus in the layouts that other code reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from cirgen.cli.options import OUTPUT, JsonOption
from cirgen.cli.session import told_how_to_go_on
from cirgen.errors import UserError

EXPORTS = Path("exports")
"""Where exports go unless --out says otherwise."""


def export(
    corpus: Annotated[Path, typer.Argument(help="Run, or a dataset folder that cirgen wrote.")],
    form: Annotated[
        Literal["hf", "webdataset", "cirr", "fashioniq", "folder"],
        typer.Option("--format", help="hf: the dataset folder as `datasets` loads it."),
    ],
    out: Annotated[Path | None, typer.Option(*OUTPUT, help="Folder to write; exports/NAME-FORMAT by default.")] = None,
    split: Annotated[list[str] | None, typer.Option(help="This split alone; may be given again. Not for hf.")] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of the pictures, where the corpus goes without.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a corpus as WebDataset shards, as CIRR's or FashionIQ's files, or as a plain folder of pictures.

    The folder appears as a whole, or not at all; one that no export wrote is never replaced.

    Example: cirgen export runs/demo --format webdataset
    """
    from cirgen.audit.corpora.open import dataset_folder
    from cirgen.cli.quiet import quieten_datasets
    from cirgen.progress import to_stderr
    from cirgen.publish.exports.corpus import DatasetFolder
    from cirgen.publish.exports.write import write_export

    folder = dataset_folder(str(corpus))
    if folder is None:
        raise UserError(f"{corpus} holds no dataset that cirgen wrote; name a run, or its folder `dataset`.")
    if form == "hf" and split:
        raise UserError("hf copies the whole dataset; leave --split out.")
    quieten_datasets()
    read = DatasetFolder(folder, to_stderr(), images, tuple(split or ()))
    with told_how_to_go_on(lambda: False):
        done = write_export(read, form, out or EXPORTS / f"{read.name}-{form}")
    if as_json:
        typer.echo(json.dumps(done.record(), indent=2))
        return
    for name, rows in done.rows.items():
        typer.echo(f"{name}: {rows:,} rows")
    typer.echo(f"{done.folder}: {done.files:,} files, {done.bytes / 1e6:,.1f} MB")
    typer.echo(f"read it: {READERS[form].format(out=done.folder)}")


READERS = {
    "hf": 'load_dataset("{out}")',
    "webdataset": 'webdataset.WebDataset("{out}/train-000000.tar").decode("pil")',
    "cirr": "images: {{kind: cirr, root: {out}}}, or any reader of CIRR",
    "fashioniq": "images: {{kind: fashioniq, root: {out}}}, or any reader of FashionIQ",
    "folder": 'load_dataset("imagefolder", data_dir="{out}")',
}
"""How each layout is read."""
