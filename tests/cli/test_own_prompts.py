"""A prompt file of one's own works wherever a shipped prompt does, and its words are told in full."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cirgen.prompts import load_prompt
from commands import cirgen, said

pytestmark = pytest.mark.integration

HEAD = "---\nname: {name}\nversion: {version}\ntask: {task}\nimages: {images}\nslots: []\nnote: n\nauthor: me\n---\n"
CAPTION = "Briefly describe the image in 7 words."
CHANGE = "Which change turns the first image into the second? Change an attribute."
NEAREST = "pair.signals=[{kind: neighbours, per_image: 2}]"
"""Of so few figures the third nearest differs in more than a text may tell."""
RUN = ["run", "demo", "--limit", "24", "--output", "run", "--set", NEAREST, "--set", "caption.prompts=[my/caption.md]"]
RUN += ["--set", "modify.prompts=[my/change.md, change-images]"]


def write(folder: Path, task: str, body: str, name: str = "", version: int = 1) -> None:
    images = 1 if task == "caption" else 2
    head = HEAD.format(name=name or f"mine-{task}", version=version, task=task, images=images)
    (folder / "my" / f"{task}.md").write_text(head + body)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    (folder / "my").mkdir()
    write(folder, "caption", CAPTION)
    write(folder, "change", CHANGE)
    assert cirgen(folder, "validate", *RUN[1:2], *RUN[6:]).returncode == 0
    done = cirgen(folder, *RUN)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.long
def test_rows_carry_the_name_and_hash_of_the_file(finished: Path) -> None:
    rows = pq.read_table(finished / "run" / "derived" / "triplets.parquet").to_pylist()
    mine = load_prompt(str(finished / "my" / "change.md"))
    shipped = load_prompt("change-images")
    assert {(row["prompt"], row["prompt_hash"]) for row in rows} == {
        (mine.reference, mine.hash),
        (shipped.reference, shipped.hash),
    }
    assert all(row["text"] for row in rows if row["status"] == "ok")
    (shard,) = (finished / "run" / "store" / "caption").glob("*.parquet")
    assert set(pq.read_table(shard).column("prompt").to_pylist()) == {"mine-caption@1"}


@pytest.mark.long
def test_card_and_report_tell_its_words_in_full(finished: Path) -> None:
    for page in ("dataset/README.md", "report.html"):
        text = (finished / "run" / page).read_text()
        for part in (CAPTION, CHANGE, "mine-caption@1", "mine-change@1", "change-images@1"):
            assert part in text


@pytest.mark.long
def test_words_edited_under_the_same_version_are_refused_by_run_and_report(finished: Path) -> None:
    write(finished, "change", f"{CHANGE} Please.")
    try:
        for command in (RUN, ["report", "run"]):
            told = said(cirgen(finished, *command))
            assert "'mine-change@1' changed under an unchanged version" in told
            assert "either restore the text, or raise its version to 2" in told
    finally:
        write(finished, "change", CHANGE)
    assert cirgen(finished, "report", "run").returncode == 0


@pytest.mark.long
def test_a_file_with_the_name_of_a_shipped_prompt_is_refused_before_anything_runs(finished: Path) -> None:
    write(finished, "caption", "Say what you see.", name="caption-brief")
    try:
        told = cirgen(finished, *RUN).stderr
    finally:
        write(finished, "caption", CAPTION)
    assert "my/caption.md calls itself 'caption-brief@1', which ships with cirgen in other words" in told
    assert "either give it a name of its own, or name the shipped one" in told
