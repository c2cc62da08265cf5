"""`cirgen push`: a finished dataset to the Hub, or to object storage."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from cirgen.cli.options import JsonOption
from cirgen.cli.session import told_how_to_go_on
from cirgen.errors import UserError
from cirgen.object_storage import is_url

if TYPE_CHECKING:
    from cirgen.publish.hub.push import Pushed, Wanted
    from cirgen.recipe import Publish


def push(
    corpus: Annotated[Path, typer.Argument(help="Run, or a dataset folder that cirgen wrote.")],
    repo: Annotated[
        str | None,
        typer.Argument(
            metavar="[ORG/NAME]", help="Repository, or s3://BUCKET/FOLDER; publish.repo of the recipe by default."
        ),
    ] = None,
    private: Annotated[
        bool | None,
        typer.Option(
            "--private/--public", help="Who sees it in the end; publish.private of a run's recipe, else public."
        ),
    ] = None,
    tag: Annotated[str | None, typer.Option(help="Version, such as v1.0.0; publish.tag by default.")] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that cirgen did not write, or cards edited there.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Upload a dataset to the Hub, load it back and count it, tag it; only then does it show.

    Give the same command after any interruption: what was uploaded is kept. A later push sends what changed. The token
    is the one of `hf auth login`, or HF_TOKEN. A url such as s3://bucket/corpus takes the files as they are.

    Example: cirgen push runs/demo my-name/toys --tag v1.0.0
    """
    source = _source(corpus)
    if repo is not None and is_url(repo):
        with told_how_to_go_on(lambda: True), source.held:
            send_folder(source.folder, repo, as_json)
        return
    wanted = _wanted(source.publish, repo, private, tag, overwrite)
    with told_how_to_go_on(lambda: True), source.held:
        push_folder(source.folder, wanted, as_json)


class _Source(NamedTuple):
    folder: Path
    publish: Publish | None
    """Of the recipe, where it is a run."""
    held: AbstractContextManager[object]


def _source(corpus: Path) -> _Source:
    from cirgen.audit.corpora.open import dataset_folder
    from cirgen.cli.session import known_run
    from cirgen.corpus_folder import run_of
    from cirgen.lock import hold

    folder = dataset_folder(str(corpus))
    if folder is None:
        raise UserError(f"{corpus} holds no dataset that cirgen wrote; name a run, or its folder `dataset`.")
    run = run_of(corpus)
    if run is None:
        return _Source(folder, None, nullcontext())
    return _Source(folder, known_run(run).recipe.publish, hold(run, joinable=False))


def _wanted(
    publish: Publish | None, repo: str | None, private: bool | None, tag: str | None, overwrite: bool
) -> Wanted:
    from cirgen.publish.hub.push import Wanted

    name = repo or (publish.repo if publish else None)
    if name is None:
        raise UserError("Which repository? Give its name, ORG/NAME, or set publish.repo in the recipe.")
    unsaid = publish.private if publish else False
    version = tag or (publish.tag if publish else None) or ""
    return Wanted(name, unsaid if private is None else private, private is True, version, overwrite)


def send_folder(folder: Path, url: str, as_json: bool = False, err: bool = False) -> None:
    """Send a dataset folder to object storage and say what came of it; `err`: as for `push_folder`."""
    from cirgen.progress import to_stderr
    from cirgen.publish.storage import send

    sent = send(folder, url, to_stderr())
    if as_json:
        typer.echo(json.dumps(sent.record(), indent=2))
        return
    removed = f", {sent.removed_files:,} removed" if sent.removed_files else ""
    typer.echo(
        f"sent: {sent.sent_files:,} files, {sent.sent_bytes / 1e6:,.1f} MB; {sent.same_files:,} were there{removed}",
        err=err,
    )
    typer.echo(f'load it: load_dataset("parquet", data_files="{sent.url}/triplets/train-*.parquet")', err=err)


def push_folder(folder: Path, wanted: Wanted, as_json: bool = False, err: bool = False) -> None:
    """Push a dataset folder and say what came of it; `err`: on standard error, since figures have the other."""
    from cirgen.progress import to_stderr
    from cirgen.publish.hub.push import push as push_dataset

    pushed = push_dataset(folder, wanted, to_stderr())
    if as_json:
        typer.echo(json.dumps(pushed.record(), indent=2))
        return
    for line in lines(pushed):
        typer.echo(line, err=err)


def lines(pushed: Pushed) -> list[str]:
    """Return what came of a push, a line each."""
    how = "downloaded and opened" if pushed.whole else "counted in place, first rows opened"
    removed = f", {pushed.removed_files:,} removed" if pushed.removed_files else ""
    version = f'"{pushed.tag}"' if pushed.tag else f'"{pushed.commit[:12]}"'
    return [
        f"sent: {pushed.sent_files:,} files, {pushed.sent_bytes / 1e6:,.1f} MB; {pushed.same_files:,} were there"
        f"{removed}",
        f"verified: every checksum; {pushed.rows:,} rows of all configs {how}",
        f"version: {pushed.tag or 'no tag (--tag v1.0.0 gives one)'}, commit {pushed.commit[:12]}",
        f"seen by: {'its owners alone (--public shows it)' if pushed.private else 'everybody'}",
        f"page: {pushed.url}",
        f'load it: load_dataset("{pushed.repo}", revision={version})',
    ]
