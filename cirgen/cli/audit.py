"""`cirgen audit`: what is wrong with a corpus, whoever made it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cirgen.cli.options import OUTPUT, JsonOption
from cirgen.cli.session import told_how_to_go_on
from cirgen.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from cirgen.audit.audit import Findings, Settings
    from cirgen.audit.corpora.options import Options
    from cirgen.audit.figures import Audit
    from cirgen.progress import Progress

AUDITS = Path("audit")
"""Where audits go unless --out says otherwise."""
PAGE = "audit.html"


def audit(
    corpus: Annotated[
        str,
        typer.Argument(
            help="Run or dataset folder, hub id, table, FashionIQ or CIRR root, cirgen:queries, or an audit.json."
        ),
    ],
    corpus_b: Annotated[str | None, typer.Argument(help="Another one, to put beside it.")] = None,
    encoder: Annotated[
        list[str] | None,
        typer.Option(help="CLIP or SigLIP that audits: not the one that filtered; may be given again."),
    ] = None,
    judge: Annotated[str | None, typer.Option(help="Multimodal LLM that judges a sample of the texts.")] = None,
    judge_sample: Annotated[int, typer.Option(min=1, help="Rows that the judge is asked about.")] = 500,
    benchmark: Annotated[
        list[str] | None,
        typer.Option(help="Folder of a benchmark's pictures, or a list (cirgen fingerprint); may be given again."),
    ] = None,
    split: Annotated[str | None, typer.Option(help="One split alone; all by default.")] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of the pictures, where the corpus goes without.")] = None,
    config: Annotated[str | None, typer.Option(help="Config; of a cirgen dataset: triplets or rejected.")] = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit on the Hub.")] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="MEANING=NAME", help="What a table calls reference, text, target; may be given again."),
    ] = None,
    captions: Annotated[
        Literal["joined", "each"], typer.Option(help="FashionIQ's two captions: one text, or a row each.")
    ] = "joined",
    out: Annotated[
        Path | None, typer.Option(*OUTPUT, help="Folder for audit.json and audit.html; audit/NAME by default.")
    ] = None,
    card: Annotated[bool, typer.Option("--card", help="Put a section into the card of the run's dataset.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure a corpus: shortcuts, texts, leaks, duplicates, false negatives, overlap; what cannot be had says why.

    Any dataset with reference, text and target will do. What filtered a corpus must not be what audits it: name
    another encoder. Two corpora, or two audit.json of earlier, are put side by side.

    Example: cirgen audit runs/demo
    """
    from cirgen.audit.audit import Settings
    from cirgen.audit.corpora.options import Options
    from cirgen.cli.printing import printer
    from cirgen.cli.quiet import quieten_datasets, quieten_transformers

    options = Options(split, config, revision, images, _columns(column or []), captions)
    settings = Settings(tuple(encoder or ()), tuple(benchmark or ()), judge, judge_sample, split)
    if card and (corpus_b is not None or settings.split is not None or config is not None):
        raise UserError("--card takes a run alone, all splits of what was accepted; leave the other options out.")
    quieten_transformers()
    if all(Path(name).exists() for name in (corpus, corpus_b) if name is not None):  # a download keeps its bar
        quieten_datasets()
    console = printer()
    with told_how_to_go_on(lambda: True):
        if corpus_b is None:
            _one(console, corpus, options, settings, out, card, as_json)
        else:
            _two(console, (corpus, corpus_b), options, settings, out, as_json)


def _columns(given: list[str]) -> tuple[tuple[str, str], ...]:
    wrong = [one for one in given if not re.fullmatch(r"[^=]+=.+", one)]
    if wrong:
        raise UserError(f"'{wrong[0]}' names no column; write it as --column reference=NAME.")
    return tuple((meaning.strip(), name) for meaning, _, name in (one.partition("=") for one in given))


def _one(
    console: Console, corpus: str, options: Options, settings: Settings, out: Path | None, card: bool, as_json: bool
) -> None:
    from cirgen.audit.table import remarks, tables

    if _is_audit(corpus):
        raise UserError(f"{corpus} is an audit; give another one, or a corpus, to put beside it.")
    run = _run_with_card(corpus) if card else None
    found = _measured(corpus, options, settings)
    folder = out or AUDITS / _folder_name(found.audit)
    _write(folder, found)
    if run is not None:
        _put_into_card(run, found.audit)
    if as_json:
        typer.echo(json.dumps(found.audit.record(), indent=2, ensure_ascii=False))
        return
    for table in tables(found.audit):
        console.print(table)
        console.print()
    for line in remarks(found.audit):
        console.print(line, highlight=False, markup=False)
    console.print(f"page: {folder / PAGE}", highlight=False, soft_wrap=True, markup=False)
    if run is not None:
        console.print(f"card: {run / 'dataset' / 'README.md'}", highlight=False, soft_wrap=True, markup=False)


def _two(
    console: Console, corpora: tuple[str, str], options: Options, settings: Settings, out: Path | None, as_json: bool
) -> None:
    from cirgen.audit.page import write_comparison
    from cirgen.audit.record import JSON_NAME, read_audit, write_json
    from cirgen.audit.table import comparison, remarks

    audits: list[Audit] = []
    measured: list[Findings | None] = []
    for name in corpora:
        found = None if _is_audit(name) else _measured(name, options, settings)
        measured.append(found)
        audits.append(read_audit(Path(name)) if found is None else found.audit)
    names = [_folder_name(one) for one in audits]
    if names[0] == names[1]:
        names = [f"{name}-{letter}" for name, letter in zip(names, "ab", strict=True)]
    folder = out or AUDITS / "-and-".join(names)
    for name, found in zip(names, measured, strict=True):
        if found is not None:
            _write(folder / name, found)
    pages = [f"{name}/{PAGE}" if found is not None else "" for name, found in zip(names, measured, strict=True)]
    write_comparison(folder / PAGE, audits[0], audits[1], (pages[0], pages[1]))
    record = {"a": audits[0].record(), "b": audits[1].record()}
    write_json(folder / JSON_NAME, record)
    if as_json:
        typer.echo(json.dumps(record, indent=2, ensure_ascii=False))
        return
    for letter, one in zip("AB", audits, strict=True):
        console.print(f"{letter}: {one.corpus}, {one.kind}", highlight=False, markup=False)
    console.print()
    for table in comparison(*audits):
        console.print(table)
        console.print()
    for letter, one in zip("AB", audits, strict=True):
        for line in remarks(one):
            console.print(f"{letter}: {line}", highlight=False, markup=False)
    console.print(f"page: {folder / PAGE}", highlight=False, soft_wrap=True, markup=False)


def _is_audit(name: str) -> bool:
    path = Path(name)
    return path.is_file() and path.suffix == ".json" and '"schema"' in path.read_text(encoding="utf8")[:200]


def _folder_name(found: Audit) -> str:
    """Return the name of a corpus, and of its split, as a folder's."""
    parts = [found.corpus, found.settings.get("split") or ""]
    return "-".join(re.sub(r"[^\w.]+", "-", part).strip("-.") or "corpus" for part in parts if part)


def _write(folder: Path, found: Findings) -> None:
    from cirgen.audit.page import write_page
    from cirgen.audit.record import JSON_NAME, write_json
    from cirgen.audit.results import QUERIES_NAME, write_queries

    write_json(folder / JSON_NAME, found.audit.record())
    write_queries(folder / QUERIES_NAME, found)
    write_page(folder / PAGE, found)


def _measured(name: str, options: Options, settings: Settings) -> Findings:
    from cirgen.audit.audit import audit as measure
    from cirgen.audit.corpora.open import dataset_folder, open_corpus
    from cirgen.cli.audit_world import QUERIES, shows_toy_figures, true_queries, with_truth
    from cirgen.progress import to_stderr

    progress: Progress = to_stderr()
    if name == QUERIES:
        return measure(true_queries(options, progress), _with_default(settings), progress)
    corpus = open_corpus(name, options)
    found = measure(corpus, settings, progress)
    dataset = dataset_folder(name)
    if dataset is not None and options.config is None and options.split is None and shows_toy_figures(corpus):
        return with_truth(found, dataset, settings, progress)
    return found


def _with_default(settings: Settings) -> Settings:
    from dataclasses import replace

    from cirgen.audit.audit import JUDGING

    return settings if settings.encoders else replace(settings, encoders=(JUDGING,))


def _run_with_card(corpus: str) -> Path:
    from cirgen.corpus_folder import run_of

    run = run_of(Path(corpus))
    if run is None:
        raise UserError(f"--card takes a run folder, since the card is written with the dataset; {corpus} is none.")
    return run


def _put_into_card(folder: Path, found: Audit) -> None:
    """Store an audit beside a run and export the dataset again, whose card then has a section of it."""
    from cirgen.audit.record import JSON_NAME, write_json
    from cirgen.cli.session import known_run
    from cirgen.lock import hold
    from cirgen.stages.export import export

    run = known_run(folder)
    with hold(folder, joinable=False):
        write_json(folder / JSON_NAME, found.record())
        export(run)
