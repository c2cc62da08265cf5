"""`cirgen bench`: does training on a corpus help?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from cirgen.cli.options import OUTPUT, JsonOption
from cirgen.cli.session import told_how_to_go_on
from cirgen.corpus_folder import RUNS, corpus_folder


def bench(
    corpus: Annotated[str, typer.Argument(help="Run, dataset folder, or a repository on the Hub.")],
    preset: Annotated[str, typer.Option(help="Preset file, or the name of a shipped one (cirgen presets ls).")],
    root: Annotated[
        Path | None, typer.Option(help="Your copy of FashionIQ or CIRR, where the preset reads one.")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of the corpus's original images, where it goes without them.")
    ] = None,
    output: Annotated[Path | None, typer.Option(*OUTPUT, help="Folder; runs/bench/CORPUS-PRESET by default.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY.PATH=VALUE", help="Override a field of the preset; may be given again."),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Seeds trained at once, each in a process of its own.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Train a retrieval model with and without a corpus, and say whether it helps.

    What is trained is kept: give the same command to go on after a crash.

    Example: cirgen bench runs/demo/dataset --preset demo
    """
    from cirgen.cli.printing import printer
    from cirgen.cli.quiet import quieten_datasets, quieten_transformers
    from cirgen.lock import hold
    from cirgen.progress import to_stderr
    from cirgen_benchmark.verdict.preset_file import load_preset

    chosen = load_preset(preset, [*(settings or ()), *([f"root={json.dumps(str(root))}"] if root else ())])
    from cirgen_benchmark.verdict.bench import bench as judge  # slow, as it imports torch
    from cirgen_benchmark.verdict.table import EXPLAINED, tables
    from cirgen_benchmark.verdict.words import sentence

    if Path(corpus).is_dir():
        corpus = str(corpus_folder(Path(corpus)))
    folder = output or RUNS / "bench" / f"{_name(corpus)}-{chosen.name}"
    with told_how_to_go_on((folder / "work").is_dir), hold(folder, joinable=False):
        quieten_transformers()
        if Path(corpus).is_dir():  # a download of gigabytes keeps its bar
            quieten_datasets()
        results = judge(corpus, chosen, folder, images=images, jobs=jobs, progress=to_stderr())
    if as_json:
        typer.echo(json.dumps(json.loads((folder / "bench.json").read_text(encoding="utf8")), indent=2))
        return
    console = printer()
    for table in tables(results):
        console.print(table)
        console.print()
    explained = [EXPLAINED] if chosen.contrasts else []
    for line in (*explained, *results.notes, "", sentence(results)):
        console.print(line, highlight=False)
    console.print(f"report: {folder / 'report.html'}", highlight=False, soft_wrap=True)
    if chosen.submissions:
        console.print(f"for the server: {folder / 'submissions'}", highlight=False, soft_wrap=True)


def _name(corpus: str) -> str:
    """Name a corpus by its run, or by its repository."""
    path = Path(corpus)
    return path.resolve().parent.name if path.name == "dataset" else path.name
