"""Does training on a corpus help? Trains every arm of a preset, and writes what follows.

OUTPUT/preset.yaml       the preset with every default
OUTPUT/bench.json        every figure
OUTPUT/report.html       the same to look at, with queries and what was found
OUTPUT/queries.parquet   ranks of every query, arm, seed and step
OUTPUT/submissions/      where the preset says so: files for a benchmark's server, ARM/SEED/STEP/
OUTPUT/work/             trained weights and encoded images; the same command finds them again
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import pyarrow as pa

from cirgen import yaml_text
from cirgen.devices import pick_device
from cirgen.errors import UserError
from cirgen.progress import Progress, Silent
from cirgen.resources import local_path
from cirgen.shards import atomic_path, write_text
from cirgen_benchmark.data.corpus import Corpus
from cirgen_benchmark.models.base import Retriever
from cirgen_benchmark.models.registry import load_retriever
from cirgen_benchmark.models.weights import load_weights
from cirgen_benchmark.verdict.checks import check_preset
from cirgen_benchmark.verdict.examiner import Examiner
from cirgen_benchmark.verdict.mixture import Mixture
from cirgen_benchmark.verdict.plan import planned
from cirgen_benchmark.verdict.preset import BaseSettings, Preset
from cirgen_benchmark.verdict.questions import Questions, questions, withheld
from cirgen_benchmark.verdict.record import record
from cirgen_benchmark.verdict.report import write_report
from cirgen_benchmark.verdict.results import Results
from cirgen_benchmark.verdict.runner import Outcome, Runner
from cirgen_benchmark.verdict.words import counted
from cirgen_benchmark.verdict.workers import side_by_side


def bench(
    corpus: str | Path,
    preset: Preset,
    output: Path,
    *,
    images: str | Path | None = None,
    model: Retriever | None = None,
    jobs: int = 1,
    progress: Progress | None = None,
) -> Results:
    """Judge a corpus; goes on where an earlier call with the same arguments stopped.

    Args:
        corpus: dataset folder that `cirgen run` wrote, or a repository on the Hub.
        preset: what is trained and asked.
        output: folder for what follows.
        images: folder of the corpus's original images, where it goes without them.
        model: instead of the preset's base model; any object with the interface of `models.base.Retriever`.
        jobs: seeds trained at once, each in a process of its own that must be able to pickle `model`.
        progress: where arms and steps are shown.

    Raises:
        UserError: something that the preset needs is not there, or other processes cannot be given the model.
    """
    progress = progress or Silent()
    if jobs > 1 and model is not None:
        _check_pickles(model)
    job = _Job(str(corpus), preset, output, images, model)
    runner, mixture = job.runner(progress, checked=True)
    write_text(output / "preset.yaml", yaml_text.write_yaml(preset.model_dump(mode="json")))
    each = _in_processes(job, jobs, progress) if jobs > 1 else _one_by_one(runner, preset, progress)
    outcomes = list(each)
    results = Results(preset, outcomes, [*mixture.remarks, *_overlap(runner.seen(planned(preset)))])
    _write_queries(output / "queries.parquet", results.outcomes)
    sent = [str(path.relative_to(output)) for path in _write_submissions(output / "submissions", runner, preset)]
    found = record(results, str(corpus), mixture.fingerprints, runner.base, sent)
    write_text(output / "bench.json", json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    write_report(output / "report.html", results, runner, str(corpus))
    return results


def _overlap(pictures: int) -> list[str]:
    if not pictures:
        return []
    return [
        f"Evaluation asks about {counted(pictures, 'picture')} that training showed, too: recall of the arms that saw "
        "them is too good."
    ]


class _Job(NamedTuple):
    """What a process must know to train."""

    corpus: str
    preset: Preset
    output: Path
    images: str | Path | None
    model: Retriever | None

    def runner(self, progress: Progress, checked: bool = False) -> tuple[Runner, Mixture]:
        """Read what is trained on and asked; with `checked`, refuse what would fail later."""
        preset, work = self.preset, self.output / "work"
        mixture = Mixture(preset, Corpus(self.corpus, preset.splits, images=self.images))
        mixture.read()

        def examiner(asked: Questions) -> Examiner:
            return Examiner(*asked, preset.base.encode_batch, work / "encoded")

        evaluation = examiner(questions(preset.evaluation, mixture, preset, progress))
        looked_at, sent = preset.development, preset.submissions
        development = examiner(questions(looked_at, mixture, preset, progress)) if looked_at else None
        server = examiner(withheld(sent, preset)) if sent else None
        if checked:
            check_preset(preset, mixture, evaluation, development)
        base = self.model or _base(preset.base)
        return Runner(preset, mixture, base, development, evaluation, server, work, progress), mixture


def _check_pickles(model: Retriever) -> None:
    try:
        pickle.dumps(model)
    except Exception as error:
        raise UserError(
            f"The model cannot be given to other processes ({error}); define its class in a module, or set jobs to 1."
        ) from error


def _base(settings: BaseSettings) -> Retriever:
    model = load_retriever(settings.family, settings.model, settings.revision, **settings.options)
    if settings.weights is not None:
        load_weights(model, local_path(settings.weights))
    return model.to(pick_device(settings.device))


def _one_by_one(runner: Runner, preset: Preset, progress: Progress) -> Iterator[Outcome]:
    arms = planned(preset)
    with progress.step("train and examine arms", len(preset.seeds) * len(arms)) as step:
        for seed in preset.seeds:
            for arm in arms:
                yield from runner.outcomes(arm, seed)
                step.advance(arm=arm.name)


def _in_processes(job: _Job, jobs: int, progress: Progress) -> Iterator[Outcome]:
    """Train whole seeds side by side: arms of one seed share what they begin with."""
    seeds = job.preset.seeds
    with progress.step(f"train and examine seeds, {jobs} at once", len(seeds)) as step:
        for outcomes in side_by_side(partial(_of_seed, job), seeds, jobs):
            yield from outcomes
            step.advance()


def _of_seed(job: _Job, seed: int) -> list[Outcome]:
    runner, _ = job.runner(Silent())
    return [outcome for arm in planned(job.preset) for outcome in runner.outcomes(arm, seed)]


def _write_queries(path: Path, outcomes: Sequence[Outcome]) -> None:
    import pyarrow.parquet as pq

    tables = [_labelled(outcome) for outcome in outcomes]
    with atomic_path(path) as temporary:
        pq.write_table(pa.concat_tables(tables), temporary, compression="zstd")


def _write_submissions(folder: Path, runner: Runner, preset: Preset) -> Iterator[Path]:
    """Write what the preset's arms send to a server, and yield the files."""
    sent = preset.submissions.arms if preset.submissions else ()
    for arm in (arm for arm in planned(preset) if arm.name in sent):
        for seed in preset.seeds:
            for at, files in runner.submissions(arm, seed):
                into = folder / quote(arm.name, safe=" ,") / f"seed-{seed}" / at
                yield from (file.write(into) for file in files)


def _labelled(outcome: Outcome) -> pa.Table:
    rows = len(outcome.queries)
    labels = {
        "arm": pa.array([outcome.arm.name] * rows).dictionary_encode(),
        "seed": pa.array([outcome.seed] * rows, pa.int32()),
        "at": pa.array([outcome.at] * rows).dictionary_encode(),
    }
    return pa.table({**labels, **{name: outcome.queries[name] for name in outcome.queries.column_names}})
