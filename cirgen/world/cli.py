"""`cirgen world`: draw toy figures and measure against their exact truth."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from cirgen.cli.options import OUTPUT, JsonOption
from cirgen.cli.printing import printer
from cirgen.corpus_folder import corpus_folder
from cirgen.world.corpus_cli import cards, corpus
from cirgen.world.filter_cli import filters, labels
from cirgen.world.truth_words import MEANINGS, small_gallery
from cirgen.world.vocabulary import Level

app = typer.Typer(help="The embedded world of toy figures: a diagnostic with exact truth.", no_args_is_help=True)

app.command()(corpus)
app.command()(cards)
app.command()(filters)
app.command()(labels)

LevelOption = Annotated[Level, typer.Option(help="How near values and how strong nuisance are.")]
SeedOption = Annotated[int, typer.Option(min=0, max=2, help="Which of the three collections.")]
PurposeOption = Annotated[str, typer.Option(help="corpus, development or evaluation: they share no figure.")]


@app.command()
def render(
    out: Annotated[Path, typer.Option(*OUTPUT, help="Folder for images/ and truth/.")],
    level: LevelOption = "medium",
    seed: SeedOption = 0,
    images: Annotated[int, typer.Option(min=1, max=3000, help="How many images.")] = 1500,
    purpose: PurposeOption = "corpus",
    workers: Annotated[int, typer.Option(min=1, help="Drawing processes.")] = 2,
    as_json: JsonOption = False,
) -> None:
    """Draw a collection, named by content, with its attribute table apart.

    Example: cirgen world render --purpose evaluation --out toys/
    """
    from cirgen.world.build import build

    table = build(level, out, seed, images, purpose=purpose, workers=workers)
    said = json.dumps({"images": images, "truth": str(table)}, indent=2)
    typer.echo(said if as_json else f"{images} images, truth in {table}")


@app.command()
def oracle(
    table: Annotated[Path | None, typer.Argument(help="Attribute table; without it a collection is drawn up.")] = None,
    level: LevelOption = "medium",
    seed: SeedOption = 0,
    images: Annotated[int, typer.Option(min=1, max=3000, help="How many images.")] = 1500,
    purpose: PurposeOption = "corpus",
    as_json: JsonOption = False,
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
        rows = oracles(truth.figures, truth.families, world=truth.world)
    if as_json:
        typer.echo(json.dumps(as_records(rows), indent=2))
    else:
        printer().print(oracle_table(rows, str(table or f"{purpose}, {level}, seed {seed}")))


TRUTH_HELP = "\n\n".join(
    [
        "Measure how many triplets of a dataset are right: percent, with 95 % intervals clustered by reference.",
        "Example: cirgen world truth runs/demo/dataset",
        *(f"{word}: {meaning}." for word, meaning in MEANINGS.items()),
    ]
)


@app.command(help=TRUTH_HELP)
def truth(
    dataset: Annotated[Path, typer.Argument(help="A run, or its dataset folder.")],
    attributes: Annotated[
        Path | None, typer.Option(help="Attribute table of the images; without it the shipped collection's.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Measure how many triplets of a dataset are right; `TRUTH_HELP` is what the command line says."""
    from cirgen.world.filter_gain import gain, sentence
    from cirgen.world.truth_report import as_records, judge_dataset, legend, slices, truth_tables

    dataset = corpus_folder(dataset)
    gallery, judged = judge_dataset(dataset, attributes)
    found, gained = slices(gallery, judged, seed=seed), gain(judged, seed)
    if as_json:
        achieved = {"filtering": gained.record()} if gained else {}
        typer.echo(json.dumps({**as_records(found), **achieved}, indent=2))
        return
    console = printer()
    console.print(*truth_tables(found, str(dataset)), legend(), sep="\n")
    console.print(f"\n{sentence(gained)}", highlight=False)
    if mind := small_gallery(len(gallery)):
        console.print(mind, highlight=False)


MinutesOption = Annotated[
    float | None, typer.Option(min=0.01, help="Wall clock instead of steps; ends elsewhere on another machine.")
]
StartOption = Annotated[
    Path | None, typer.Option(help="Folder of a trained model to go on from, instead of the phases before questions.")
]
RateOption = Annotated[float | None, typer.Option(help="Peak learning rate; less when going on from a model.")]
StepsOption = Annotated[int | None, typer.Option(min=1, help="Steps of training; the shipped model's by default.")]
OutOption = Annotated[Path, typer.Option(*OUTPUT, help="Model folder; checkpoints lie beside it in FOLDER.work.")]
ThreadsOption = Annotated[int, typer.Option(min=1, help="CPU threads.")]


@app.command("train-mllm")
def train_mllm(
    out: OutOption,
    level: LevelOption = "medium",
    seed: Annotated[int, typer.Option(help="Seed of weights and draws.")] = 0,
    start: StartOption = None,
    rate: RateOption = None,
    steps: StepsOption = None,
    minutes: MinutesOption = None,
    threads: ThreadsOption = 2,
) -> None:
    """Train the multimodal LLM from scratch on the CPU; run again to go on where a run was cut off.

    Example: cirgen world train-mllm --out models/mllm
    """
    import torch

    from cirgen.world.training import mllm

    torch.set_num_threads(threads)
    default = mllm.Settings()
    settings = replace(
        default, level=level, seed=seed, steps=steps or default.steps, rate=default.rate if rate is None else rate
    )
    mllm.train_mllm(out, settings, start=start, minutes=minutes, report=typer.echo)


@app.command("train-judge")
def train_judge(
    out: OutOption,
    level: LevelOption = "medium",
    start: StartOption = None,
    rate: RateOption = None,
    steps: StepsOption = None,
    minutes: MinutesOption = None,
    threads: ThreadsOption = 2,
) -> None:
    """Train the multimodal LLM that judges what the other one writes; run again to go on where a run was cut off.

    Example: cirgen world train-judge --out models/judge-mllm
    """
    import torch

    from cirgen.world.training import judge, mllm

    torch.set_num_threads(threads)
    default = judge.SETTINGS
    settings = replace(default, level=level, steps=steps or default.steps, rate=default.rate if rate is None else rate)
    mllm.train_mllm(out, settings, start=start, course=judge.JudgeLessons, minutes=minutes, report=typer.echo)


@app.command("train-encoder")
def train_encoder(
    out: OutOption,
    purpose: Annotated[str, typer.Option(help="filter-encoder or judge-encoder: figures and seed.")],
    level: LevelOption = "medium",
    steps: StepsOption = None,
    minutes: MinutesOption = None,
    threads: ThreadsOption = 2,
) -> None:
    """Train a CLIP from scratch on the CPU; run again to go on where a run was cut off.

    Example: cirgen world train-encoder --purpose judge-encoder --out models/judge-encoder
    """
    import torch

    from cirgen.world.training import clip

    torch.set_num_threads(threads)
    default = clip.Settings()
    settings = replace(default, purpose=purpose, level=level, steps=steps or default.steps)
    clip.train_encoder(out, settings, minutes=minutes, report=typer.echo)


@app.command()
def accuracy(
    model: Annotated[Path | None, typer.Option(help="Folder of a multimodal LLM; the shipped one by default.")] = None,
    level: LevelOption = "medium",
    images: Annotated[int, typer.Option(min=3, help="Captions asked for, and pairs.")] = 300,
    write: Annotated[
        bool, typer.Option("--write", help="Write ACCURACY.md and ACCURACY.json, named by level unless medium.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure how often the multimodal LLM is right, task by task, on figures that training never showed.

    Example: cirgen world accuracy --images 60
    """
    from cirgen.world.accuracy import examine, markdown, shipped_model

    folder = model or shipped_model("mllm")
    found = examine(str(folder), level, images)
    page = markdown(found, f"cirgen world accuracy --level {level} --images {images}")
    if write:
        name = "ACCURACY" if level == "medium" else f"ACCURACY-{level}"
        (folder / f"{name}.md").write_text(page, encoding="utf8")
        (folder / f"{name}.json").write_text(json.dumps(found.as_dict(), indent=2) + "\n", encoding="utf8")
    typer.echo(json.dumps(found.as_dict(), indent=2) if as_json else page)


@app.command("zero-shot")
def zero_shot(
    model: Annotated[
        Path | None, typer.Option(help="Folder of a CLIP; the shipped filter-encoder by default.")
    ] = None,
    level: LevelOption = "medium",
    as_json: JsonOption = False,
) -> None:
    """Measure how far a CLIP retrieves composed queries without being trained to: percent, with 95 % intervals.

    Example: cirgen world zero-shot --level easy
    """
    from cirgen.world.accuracy import shipped_model
    from cirgen.world.zero_shot import zero_shot as measure

    found = measure(str(model or shipped_model("filter-encoder")), level)
    if as_json:
        typer.echo(json.dumps({name: value._asdict() for name, value in found.items()}, indent=2))
    for name, value in () if as_json else found.items():
        typer.echo(f"{name}: {100 * value.share:.1f} ({100 * value.low:.1f} to {100 * value.high:.1f})")
