"""`cirgen fingerprint`: lists of what pictures look like, to find them elsewhere without passing them on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from cirgen.cli.options import OUTPUT, JsonOption
from cirgen.errors import UserError

SHOWN = 3
"""Unreadable files that are named."""


def fingerprint(
    place: Annotated[Path, typer.Argument(help="Folder of pictures, searched through, or the folder of a run.")],
    output: Annotated[Path, typer.Option(*OUTPUT, help="List to write, a .parquet file.")],
    name: Annotated[str, typer.Option(help="What the pictures are, e.g. 'CIRR test1'; by default the folder.")] = "",
    names: Annotated[bool, typer.Option("--names", help="Also list the names of the files.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the fingerprints of pictures: four hashes each, and nothing that shows one but 4 x 8 mean colours.

    A recipe's filter `decontamination` and `cirgen audit` take such a list in place of the pictures.

    Example: cirgen fingerprint cirr/test1 -o cirr-test1.parquet --name "CIRR test1"
    """
    if output.suffix != ".parquet":
        raise UserError(f"A list is a .parquet file; write --output {output.with_suffix('.parquet')}")
    if not place.is_dir():
        raise UserError(f"There is no folder at {place}; name a folder of pictures, or of a run.")
    called = name or place.resolve().name
    pictures, unreadable = _listed(place, output, called, names)
    if as_json:
        facts = {"list": str(output), "name": called, "pictures": pictures, "unreadable": list(unreadable)}
        typer.echo(json.dumps(facts, indent=2))
        return
    typer.echo(f"{output}: {pictures:,} pictures of '{called}'.")
    if unreadable:
        typer.echo(f"Not in it, since they cannot be decoded: {len(unreadable):,}")
        typer.echo("\n".join(f"  {problem}" for problem in unreadable[:SHOWN]))
    typer.echo(
        f"To keep a corpus clear of them, in its recipe: filter: [{{name: decontamination, against: [{output}]}}]"
    )


def _listed(place: Path, output: Path, name: str, with_names: bool) -> tuple[int, tuple[str, ...]]:
    from cirgen.fingerprints import write_folder_list
    from cirgen.progress import to_stderr
    from cirgen.run_folder import FACTS_NAME

    if not (place / FACTS_NAME).is_file():
        return write_folder_list(place, output, name, to_stderr(), with_names)
    from cirgen.cli.session import known_run
    from cirgen.stages.known import write_run_list

    return write_run_list(known_run(place), output, name, with_names), ()
