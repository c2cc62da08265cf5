"""Commands that run the embedded models end to end."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from commands import cirgen, start

pytestmark = pytest.mark.integration

FEW = ["--limit", "40"]
RUN = Path("runs/demo")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    folder = tmp_path_factory.mktemp("finished")
    with start(folder, "run", "demo", *FEW) as process:
        printed, told = process.communicate(timeout=300)
    return folder, subprocess.CompletedProcess(process.args, process.returncode, printed, told)


Finished = tuple[Path, subprocess.CompletedProcess[str]]


def test_a_run_ends_with_a_table_and_says_where_to_look_and_what_next(finished: Finished) -> None:
    folder, done = finished
    assert done.returncode == 0, done.stderr
    for word in ("images", "captions", "pairs", "texts", "accepted", "rejected", "seconds"):
        assert word in done.stdout
    assert f"report: {RUN}/report.html" in done.stdout
    assert f"dataset: {RUN}/dataset" in done.stdout
    assert "load_triplets" in done.stdout
    assert (folder / RUN / "dataset" / "README.md").is_file()


def test_a_run_prints_what_it_does_and_no_chatter_of_libraries(finished: Finished) -> None:
    _, done = finished
    lines = done.stderr.splitlines()
    steps = list(dict.fromkeys(line.split(":")[0] for line in lines))  # a step that takes long has several lines
    assert steps[:3] == ["Ingest images", "Caption images", "Embed images"]
    assert len(lines) == len(set(lines))
    assert "Loading weights" not in done.stderr


def test_status_agrees_with_itself(finished: Finished) -> None:
    folder, _ = finished
    figures = json.loads(cirgen(folder, "status", str(RUN), "--json").stdout)
    assert (figures["images"], figures["limit"]) == (40, 40)
    assert "limited to the first 40 images of the source" in cirgen(folder, "status", str(RUN)).stdout
    assert figures["stages"]["caption"]["ok"] == 40
    assert "pending" not in figures["stages"]["modify"]
    assert figures["accepted"] + figures["rejected_total"] == figures["triplets"]


def test_a_changed_threshold_is_told_and_runs_no_model(finished: Finished) -> None:
    folder, _ = finished
    before = json.loads(cirgen(folder, "status", str(RUN), "--json").stdout)["stages"]
    threshold = ["--set", "filter.0.min_words=3"]
    done = cirgen(folder, "run", "demo", *FEW, *threshold, "--json", env={"PYTHONPROFILEIMPORTTIME": "1"})
    assert "cirgen.pipeline" in done.stderr  # imports are listed there
    assert "transformers.modeling_utils" not in done.stderr  # whose import takes longer than all that is done here
    assert "filter.0.min_words: 2 -> 3" in done.stderr
    assert "runs again: the decision" in done.stderr
    assert json.loads(done.stdout)["stages"] == before


@pytest.mark.long
def test_a_run_that_accepts_nothing_shows_its_figures_and_leaves_with_1(finished: Finished) -> None:
    folder, _ = finished
    done = cirgen(
        folder,
        "run",
        "demo",
        *FEW,
        "--output",
        "runs/none",
        "--set",
        "filter=[{name: lint, min_words: 300, max_words: 400}]",
    )
    assert done.returncode == 1
    assert "Error: No triplet was accepted" in done.stderr
    assert "lint: too short" in done.stdout
    assert (folder / "runs/none/report.html").is_file()
    assert not (folder / "runs/none/dataset").exists()


@pytest.mark.long
def test_the_folder_of_another_run_is_refused(finished: Finished) -> None:
    folder, _ = finished
    done = cirgen(folder, "run", "demo", "--set", "name=other", "--output", str(RUN))
    assert done.returncode == 1
    assert "holds the run 'demo'" in done.stderr


@pytest.mark.long
def test_retry_and_report_go_by_the_recipe_of_the_run(finished: Finished) -> None:
    folder, _ = finished
    assert cirgen(folder, "retry", str(RUN), "--status", "truncated").returncode == 0
    assert json.loads(cirgen(folder, "status", str(RUN), "--json").stdout)["images"] == 40
    (folder / RUN / "report.html").unlink()
    assert cirgen(folder, "report", str(RUN)).stdout == f"{RUN}/report.html\n"
    assert (folder / RUN / "report.html").is_file()


@pytest.mark.long
def test_a_preview_shows_rows_and_estimates_the_whole(tmp_path: Path) -> None:
    done = cirgen(tmp_path, "preview", "demo", "-n", "4", "--price-per-million", "2", "--json")
    assert done.returncode == 0, done.stderr
    preview = json.loads(done.stdout)
    assert len(preview["rows"]) == 4
    assert all(row["text"] for row in preview["rows"])
    assert all(row["reference_file"].endswith(".png") for row in preview["rows"])
    assert (tmp_path / preview["contact_sheet"]).is_file()
    stages = {stage["stage"]: stage for stage in preview["whole"]["stages"]}
    assert (stages["caption"]["rows"], stages["modify"]["rows"]) == (1_500, 3_000)
    assert all(stage["seconds"] > 0 for stage in stages.values())
    read = stages["filter"]["prompt_tokens"]
    assert read > stages["modify"]["prompt_tokens"], "likelihood alone reads a text four times"
    assert preview["whole"]["hours_of"]["number"] == 1
    assert preview["whole"]["cost"] == pytest.approx(preview["whole"]["tokens"] * 2e-6)


def test_ctrl_c_saves_says_how_to_go_on_and_leaves_with_130(tmp_path: Path) -> None:
    with start(tmp_path, "run", "demo", *FEW) as process:
        assert process.stderr is not None
        told = []
        for line in process.stderr:
            told.append(line)
            if line.startswith("Embed images"):
                process.send_signal(signal.SIGINT)
        process.wait(120)
    assert process.returncode == 130, told
    assert "Traceback" not in "".join(told)
    assert told[-1].rstrip().endswith("To go on: cirgen run demo --limit 40")
    figures = json.loads(cirgen(tmp_path, "status", str(RUN), "--json").stdout)
    assert figures["stages"]["caption"]["ok"] == 40


@pytest.mark.long
def test_foreign_pictures_break_nothing_and_the_nonsense_is_not_hidden(tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(12):
        size = (40 + 17 * number, 90 - 3 * number)
        Image.radial_gradient("L").resize(size).rotate(30 * number).save(pictures / f"{number}.jpg")
    (pictures / "broken.png").write_bytes(b"no picture")
    done = cirgen(tmp_path, "run", "folder", "--set", f"images.path={pictures}", "--set", "filter=[]")
    assert done.returncode == 0, done.stderr
    assert "toy figures alone" in done.stdout
    assert "1 could not be read" in done.stdout
    assert "could not be read: broken.png (no picture format" in done.stdout
