"""`cirgen bench` and `cirgen presets` as a user meets them: every mistake in one sentence, before hours of work."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bench_runs import Judged, write_preset

from cirgen.cli.app import main
from cirgen.stages.export import export
from cirgen_benchmark.verdict.preset_file import PRESETS, load_preset
from runs import make_run


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scratch: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("COLUMNS", "80")


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return the one sentence that a command fails with."""
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 1
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    assert captured.out == ""
    lines = captured.err.splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith("Error: "))
    return "\n".join(lines[start:])


def refused(capsys: pytest.CaptureFixture[str], corpus: Path, *overrides: str, **sections: Any) -> str:
    """Return what is said of a tiny preset with some sections replaced."""
    preset = write_preset(Path("tiny.yaml"), **sections)
    options = [option for override in overrides for option in ("--set", override)]
    return told(capsys, "bench", str(corpus), "--preset", str(preset), *options)


def test_a_corpus_that_is_not_there_is_told_before_anything_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    assert "There is no corpus at 'runs/dmo/dataset': correct the path" in told(
        capsys, "bench", "runs/dmo/dataset", "--preset", "demo"
    )


def test_a_run_stands_for_its_dataset(capsys: pytest.CaptureFixture[str], corpus_folder: Path) -> None:
    run = Path("mine")
    (run / "store").mkdir(parents=True)
    (run / "recipe.yaml").touch()
    assert "The run in mine has no dataset yet; go on with `cirgen run`." in told(
        capsys, "bench", "mine", "--preset", "demo"
    )
    shutil.copytree(corpus_folder, run / "dataset")
    assert "cannot be drawn" in refused(
        capsys, run, curves={"c": {"vary": "human", "values": (8, 48), "arms": ("corpus",)}}
    )
    assert Path("runs/bench/mine-tiny").is_dir(), "it is called by the run"


def test_a_misspelt_preset_is_guessed(capsys: pytest.CaptureFixture[str], corpus_folder: Path) -> None:
    said = told(capsys, "bench", str(corpus_folder), "--preset", "demmo")
    assert said.startswith("Error: No preset is called 'demmo' (did you mean 'demo'?)")
    assert "cirgen presets ls" in said


def test_an_unknown_key_is_told_with_its_line(capsys: pytest.CaptureFixture[str], corpus_folder: Path) -> None:
    path = write_preset(Path("tiny.yaml"))
    path.write_text(path.read_text().replace("indicative:", "indicativ:"))
    line = path.read_text().splitlines().index("indicativ: true") + 1
    said = told(capsys, "bench", str(corpus_folder), "--preset", "tiny.yaml")
    assert f"tiny.yaml:{line}: indicativ: " in said
    assert "indicative" in said.replace("indicativ:", "")


def test_a_mistake_in_an_override_is_told_as_one(capsys: pytest.CaptureFixture[str], corpus_folder: Path) -> None:
    assert "--set: stages.one.stepz: " in refused(capsys, corpus_folder, "stages.one.stepz=3")


def test_a_copy_that_was_not_named_is_asked_for(capsys: pytest.CaptureFixture[str], corpus_folder: Path) -> None:
    said = refused(capsys, corpus_folder, human={"kind": "cirr"}, development=None, evaluation={"kind": "cirr"})
    assert said == "Error: The preset reads a copy of cirr; say where it is with --root FOLDER."


def test_a_root_is_a_path_whatever_it_looks_like(capsys: pytest.CaptureFixture[str], corpus_folder: Path) -> None:
    Path("[2024]: copy").mkdir()
    preset = write_preset(Path("tiny.yaml"), human={"kind": "cirr"}, development=None, evaluation={"kind": "cirr"})
    said = told(capsys, "bench", str(corpus_folder), "--preset", str(preset), "--root", "[2024]: copy")
    assert "[2024]: copy/captions" in said or "[2024]: copy/image_splits" in said


def test_truth_is_not_asked_of_photographs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    run = make_run(tmp_path / "photos")
    export(run)
    data = {"human": {"human": True}, "both": {"human": True, "corpus": "good"}}
    said = refused(capsys, run.dataset, "development=null", "evaluation.split=validation", data=data)
    assert "There is no exact truth of the images of" in said
    assert "leave out the arms on data good and truth_text" in said


def test_a_metric_that_is_none_is_told_before_anything_is_trained(
    capsys: pytest.CaptureFixture[str], corpus_folder: Path
) -> None:
    said = refused(capsys, corpus_folder, "primary=recall@7", "select_by=recall@1")
    assert "'recall@7' is the end of 0 metrics; take one of corpus.test.recall@1" in said
    said = refused(capsys, corpus_folder, "select_by=recall@7")
    assert "'recall@7' is the end of 0 metrics; take one of corpus.validation.recall@1" in said
    assert not list(Path("runs").rglob("stages"))


def test_a_batch_larger_than_its_data_is_told_before_anything_is_trained(
    capsys: pytest.CaptureFixture[str], corpus_folder: Path
) -> None:
    said = refused(capsys, corpus_folder, curves={"c": {"vary": "human", "values": (8, 48), "arms": ("corpus",)}})
    assert "A batch of 16 queries cannot be drawn from 8 triplets" in said
    assert "Arm 'corpus (c: 8)'" in said
    assert not list(Path("runs").rglob("stages"))


def test_an_image_that_the_corpus_lacks_is_told_before_anything_is_trained(
    capsys: pytest.CaptureFixture[str], corpus_folder: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(corpus_folder, tmp_path / "hole"))
    (path,) = (folder / "triplets").glob("train-*")
    table = pq.read_table(path)
    rows = table.to_pylist()
    pq.write_table(pa.Table.from_pylist([{**rows[0], "target_id": "f" * 64}, *rows[1:]], schema=table.schema), path)
    said = refused(capsys, folder)
    assert said.startswith("Error: Arm 'corpus': 1 of ")
    assert f"the first is '{'f' * 64}'; complete the images" in said
    assert not list(Path("runs").rglob("stages"))


def test_training_that_goes_astray_is_told_with_what_to_lower(
    capsys: pytest.CaptureFixture[str], corpus_folder: Path
) -> None:
    said = refused(capsys, corpus_folder, "stages.one.optimiser.rate=1e30", "curves={}")
    assert "is no number; lower the learning rate" in said or "as NaN or infinity: training went astray" in said


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("seeds=[]", "Error: --set: seeds: needs more items, at least 1, not []"),
        ("seeds=[-1]", "Error: --set: seeds.0: must be at least 0, not -1"),
        ("verdict=bank", "Error: tiny.yaml:1: verdict: there is no contrast 'bank' (known: corpus, training)"),
        (
            "stages.one.optimiser.betas=[2, 0.9]",
            "Error: --set: stages.one.optimiser.betas.0: must be below 1.0, not 2",
        ),
    ],
)
def test_a_value_that_cannot_be_is_one_line(
    override: str, told: str, capsys: pytest.CaptureFixture[str], corpus_folder: Path
) -> None:
    assert refused(capsys, corpus_folder, override) == told


def test_presets_are_listed_with_what_they_ask_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["presets", "ls"])
    assert left.value.code == 0
    listed = capsys.readouterr().out
    assert max(map(len, listed.splitlines())) <= 80
    for name in PRESETS.names():
        assert name in listed.split()
        with pytest.raises(SystemExit):
            main(["presets", "show", name])
        assert capsys.readouterr().out == PRESETS.find(name).read_text(encoding="utf8")
        assert load_preset(name).name == name
    assert told(capsys, "presets", "show", "dmo").startswith("Error: No preset is called 'dmo' (did you mean 'demo'?)")


@pytest.mark.long
def test_a_verdict_that_is_there_is_printed_again(
    capsys: pytest.CaptureFixture[str], judged: Judged, corpus_folder: Path
) -> None:
    preset = write_preset(Path("tiny.yaml"))
    arguments = ["bench", str(corpus_folder), "--preset", str(preset), "--output", str(judged.folder)]
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 0
    printed = capsys.readouterr().out
    record = json.loads((judged.folder / "bench.json").read_text())
    assert record["verdict"] in " ".join(printed.split())
    assert "In brackets: 95 % intervals." in printed
    assert max(map(len, printed.partition("report:")[0].splitlines())) <= 80
    assert f"report: {judged.folder}/report.html" in printed
    with pytest.raises(SystemExit):
        main([*arguments, "--json"])
    assert json.loads(capsys.readouterr().out) == record
