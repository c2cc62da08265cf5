"""The card as people see it: with pictures, as a page that runs nothing, with what was measured of its very rows."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cirgen.changes import save_recipe
from cirgen.errors import UserError
from cirgen.publish.card import brief
from cirgen.publish.card_page import card_page, check_card
from cirgen.publish.measured import NAMES, note_measured
from cirgen.run_folder import Run
from cirgen.schemas import VERDICT
from cirgen.shards import write_rows
from cirgen.stages.export import export
from commands import cirgen, said
from runs import make_run, with_recipe

INTERVAL = {"value": 1.5, "low": 0.5, "high": 2.5}
VERDICT_OF_THE_BENCH = {
    "verdict": "It helps: recall@10 changed by +1.5 points.",
    "indicative": True,
    "metric": "recall@10",
    "seeds": [0, 1],
    "queries": 900,
    "references": 674,
    "intervals": "95 %",
    "arms": [{"arm": "with <b>", "at": "last", "primary": INTERVAL}],
    "contrasts": [{"name": "corpus", "at": "last", "difference": INTERVAL, "significant": False}],
    "notes": ["a note"],
    "corpora": {"judged": "0" * 64},
}
TRUTH = {
    "slices": {"all": {"rows": 9, "good": {"share": 0.5, "low": 0.25, "high": 0.75}}},
    "meanings": {"good": "all four"},
}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = make_run(tmp_path)
    save_recipe(run.folder, run.recipe)
    export(run)
    return run


def test_the_five_triplets_are_shown_with_their_pictures(run: Run) -> None:
    card = (run.dataset / "README.md").read_text()
    table = [line for line in card.splitlines() if line.startswith("| a ")]
    shown = [name for line in table for name in re.findall(r"!\[(?:reference|target)\]\((card/\d+\.png)\)", line)]
    assert len(shown) == 2 * len(table) == 10
    assert {path.relative_to(run.dataset).as_posix() for path in run.dataset.glob("card/*")} == set(shown)
    assert set(json.loads((run.dataset / "manifest.json").read_text())["files"]) >= set(shown)


def test_a_dataset_that_goes_without_pictures_shows_none(run: Run) -> None:
    export(with_recipe(run, export={"images": "none"}))
    assert not (run.dataset / "card").exists()
    assert "![" not in (run.dataset / "README.md").read_text()


def test_the_page_needs_no_other_file_and_runs_nothing(run: Run) -> None:
    page = card_page(run.dataset)
    sources = re.findall(r'<img src="([^"]+)"', page)
    assert len(sources) == 10
    for source in sources:
        assert base64.b64decode(source.removeprefix("data:image/png;base64,")).startswith(b"\x89PNG")
    assert "default-src 'none'; img-src data:" in page
    assert "<table>" in page and "pretty_name: toys" in page


def test_a_page_takes_no_file_from_outside_the_dataset(run: Run, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(b"\x89PNG secret")
    card = run.dataset / "README.md"
    card.write_text(card.read_text() + "\n![x](../../secret.png) ![y](https://example.org/a.png)\n")
    page = card_page(run.dataset)
    assert base64.b64encode(b"\x89PNG secret").decode() not in page
    assert '<img src="../../secret.png"' in page and '<img src="https://example.org/a.png"' in page


def test_front_matter_is_read_by_both_clients_before_it_is_shown(run: Run) -> None:
    assert check_card(run.dataset) == (4, 8)
    card = run.dataset / "README.md"
    card.write_text(card.read_text().replace("- config_name: preview\n  features", "- config_name: other\n  features"))
    with pytest.raises(UserError, match=r"describes other configs than it lists|front matter"):
        check_card(run.dataset)


def test_every_card_can_be_cited_and_lists_its_versions(run: Run) -> None:
    card = (run.dataset / "README.md").read_text()
    assert "@misc{toys,\n  title        = {toys: triplets for composed image retrieval},\n" in card
    assert "howpublished = {Hugging Face dataset, path/to/dataset }" in card
    assert "<!-- cirgen:versions -->\n- not published yet\n<!-- /cirgen:versions -->" in card


def test_what_was_measured_of_these_rows_enters_the_card_and_leaves_it_with_them(run: Run) -> None:
    note_measured(run, "bench", VERDICT_OF_THE_BENCH)
    note_measured(run, "truth", TRUTH)
    export(run)
    card = (run.dataset / "README.md").read_text()
    assert "## Does training on it help?\n\n**It helps: recall@10 changed by +1.5 points.**" in card
    assert "| with \\<b\\> | last | 1.5 \\[0.5, 2.5\\] |" in card
    assert "| corpus | last | 1.5 \\[0.5, 2.5\\] (not significant) |" in card
    assert "## Truth\n\nCounted from the exact attributes" in card and "| all | 9 | 50.0 \\[25.0, 75.0\\] |" in card
    rows = pq.read_table(run.verdicts).to_pylist()
    accepted = next(row for row in rows if not row["reason"])
    accepted["reason"] = "lint: too short"
    write_rows(run.verdicts, [{**row, "scores": dict(row["scores"])} for row in rows], VERDICT)
    export(run)
    card = (run.dataset / "README.md").read_text()
    assert "## Truth" not in card and "## Does training" not in card


def test_a_measurement_that_cannot_be_read_is_told(run: Run) -> None:
    (run.folder / NAMES["bench"]).write_text("{")
    with pytest.raises(UserError, match=r"bench\.json cannot be read"):
        export(run)


def test_long_names_leave_room_and_short_ones_stay() -> None:
    assert brief("red-ball-0.png") == "red-ball-0.png"
    assert brief("0123456789abcdef" * 4 + ".png") == "0123456789ab…bcdef.png"


@pytest.mark.long
def test_the_command_writes_the_page(run: Run, tmp_path: Path) -> None:
    done = cirgen(tmp_path, "card", str(run.folder))
    assert done.returncode == 0, done.stderr
    assert "front matter: 4 configs, 8 splits, as huggingface_hub and datasets read it" in done.stdout
    assert "<h1>toys</h1>" in (run.folder / "card.html").read_text()
    assert "Exact truth is known of pictures that ship alone" in said(
        cirgen(tmp_path, "card", str(run.folder), "--truth")
    )
    (tmp_path / "bench.json").write_text(json.dumps(VERDICT_OF_THE_BENCH))
    told = said(cirgen(tmp_path, "card", str(run.folder), "--bench", "bench.json"))
    assert "bench.json is of another dataset than" in told
    assert "take a run" in said(cirgen(tmp_path, "card", str(run.dataset), "--truth"))
