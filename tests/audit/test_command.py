"""`cirgen audit` from the outside: tables, files, exit codes, one-sentence errors."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from made_benchmarks import write_cirr, write_fashioniq, write_json

from cirgen.audit.figures import Audit
from cirgen.audit.record import read_audit
from cirgen.changes import save_recipe
from cirgen.cli.app import main
from cirgen.errors import UserError
from cirgen.run_folder import Run
from cirgen.stages.export import export
from runs import make_run


@pytest.fixture
def cirgen(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main([*map(str, arguments)])
        shown = capsys.readouterr()
        return int(caught.value.code or 0), shown.out, shown.err

    return call


class Page(HTMLParser):
    """Collects the words of a page, and whatever it would fetch."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.words = ""
        self.feed(path.read_text(encoding="utf8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "link", "iframe")
        self.fetched += [v for n, v in attrs if n in ("src", "href") and v and not v.startswith(("data:", "#"))]

    def handle_data(self, data: str) -> None:
        self.words = " ".join(f"{self.words} {data}".split())


def a_run(folder: Path) -> Run:
    run = make_run(folder)
    export(run)
    save_recipe(run.folder, run.recipe)
    return run


def test_the_help_has_an_example_and_fits_80_columns(cirgen: Any) -> None:
    code, out, _ = cirgen("audit", "--help")
    assert code == 0 and "Example: cirgen audit runs/demo" in out
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize("kind", [write_fashioniq, write_cirr])
def test_annotations_alone_give_every_figure_that_needs_no_picture(cirgen: Any, tmp_path: Path, kind: Any) -> None:
    code, out, err = cirgen("audit", kind(tmp_path / "bench"))
    assert code == 0, err
    assert max(map(len, out.rstrip().splitlines()[:-1])) <= 80
    assert "unique texts" in out and "Gini coefficient of targets" in out
    assert "Not measured: shortcut rate at 10, Composition Gap" in out
    folder = tmp_path / "audit" / "bench"
    found = read_audit(folder / "audit.json")
    for key, figure in found.figures():
        assert (figure.value is None) == bool(figure.absent), key
    rows = pq.read_table(folder / "queries.parquet").to_pylist()
    assert len(rows) == found.find("size.rows").value  # type: ignore[union-attr]
    assert Page(folder / "audit.html").fetched == []
    assert "fetch them, or name their folder with --images" in Page(folder / "audit.html").words


@pytest.mark.integration
def test_a_dataset_is_audited_with_pictures_in_one_page(cirgen: Any, tmp_path: Path) -> None:
    run = a_run(tmp_path / "made")
    code, out, err = cirgen("audit", run.dataset, "--encoder", "cirgen:judge-encoder", "--out", "found")
    assert code == 0, err
    assert re.search(r"shortcut rate at 10 +\d+\.\d % \[", out)
    page = Page(tmp_path / "found" / "audit.html")
    assert page.fetched == []
    assert "Image alone finds the target" in page.words
    rows = pq.read_table(tmp_path / "found" / "queries.parquet").to_pylist()
    found = read_audit(tmp_path / "found" / "audit.json")
    hits = [row["rank_text"] <= 10 or row["rank_image"] <= 10 for row in rows]
    rate = found.find("shortcuts.rate")
    assert rate is not None and rate.value == pytest.approx(100 * sum(hits) / len(hits))
    assert found.find("truth.good") is None  # the pictures are no shipped ones


def test_json_is_the_record_that_is_written(cirgen: Any, tmp_path: Path) -> None:
    code, out, _ = cirgen("audit", write_cirr(tmp_path / "c"), "--json")
    assert code == 0
    record = json.loads(out)
    assert record == json.loads((tmp_path / "audit" / "c" / "audit.json").read_text(encoding="utf8"))
    assert json.loads(json.dumps(Audit.of_record(record).record())) == record


def test_two_corpora_stand_side_by_side_with_their_differences(cirgen: Any, tmp_path: Path) -> None:
    one, other = write_fashioniq(tmp_path / "one"), write_cirr(tmp_path / "other")
    code, out, err = cirgen("audit", one, other)
    assert code == 0, err
    assert "A: one, FashionIQ" in out and "B: other, CIRR" in out
    assert max(map(len, out.rstrip().splitlines()[:-1])) <= 80
    assert re.search(r"rows +27 +12 +-15", out)
    folder = tmp_path / "audit" / "one-and-other"
    page = Page(folder / "audit.html")
    assert page.fetched == ["one/audit.html", "other/audit.html"]
    assert all((folder / place).is_file() for place in page.fetched)
    assert set(json.loads((folder / "audit.json").read_text(encoding="utf8"))) == {"a", "b"}


def test_audits_of_earlier_are_compared_without_measuring_again(cirgen: Any, tmp_path: Path) -> None:
    for name, write in (("one", write_fashioniq), ("two", write_cirr)):
        assert cirgen("audit", write(tmp_path / name))[0] == 0
    again = cirgen("audit", "audit/one/audit.json", "audit/two/audit.json")[1]
    afresh = cirgen("audit", "one", "two")[1]
    assert again == afresh
    assert Page(tmp_path / "audit" / "one-and-two" / "audit.html").words


def test_embeddings_of_other_encoders_are_not_subtracted(tmp_path: Path) -> None:
    from cirgen.audit.table import comparable

    one = Audit("a", "made", "0", settings={"encoders": [{"model": "x", "content": "x"}]})
    other = Audit("b", "made", "0", settings={"encoders": [{"model": "y", "content": "y"}]})
    assert not comparable("shortcuts", one, other)
    assert comparable("shortcuts", one, one) and comparable("texts", one, other)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["./nowhere"], "There is no corpus at ./nowhere; correct the path, or give a hub id."),
        (["gone.jsonl"], "There is no corpus at gone.jsonl"),
        (["c", "--split", "train"], "has no captions of split 'train'"),
        (["c", "--column", "reference"], "'reference' names no column; write it as --column reference=NAME."),
        (["c", "--benchmark", "gone"], "There is nothing at gone; name a folder of pictures, or a list"),
        (["c", "--images", "gone"], "There is no folder gone"),
        (["c", "--card"], "--card takes a run folder"),
        (["c", "c", "--card"], "--card takes a run alone"),
        (["audit.json"], "audit.json is an audit; give another one"),
        (["audit.json", "old.json"], "old.json was written by another version of cirgen"),
    ],
)
def test_an_error_of_the_users_is_one_sentence(
    cirgen: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    write_cirr(tmp_path / "c")
    record = Audit("a", "made", "0").record()
    write_json(tmp_path / "audit.json", record)
    write_json(tmp_path / "old.json", {**record, "schema": 0})
    code, out, err = cirgen("audit", *arguments)
    assert (code, out) == (1, "")
    assert err.splitlines()[-1].startswith("Error: ") and "Traceback" not in err
    assert message in err


def test_a_file_that_is_no_audit_is_told(tmp_path: Path) -> None:
    for content in ("", "[]", '{"schema": 1}', '{"schema": 1, "sections": 3}'):
        (tmp_path / "audit.json").write_text(content)
        with pytest.raises(UserError, match=r"audit\.json is no audit that can be read"):
            read_audit(tmp_path / "audit.json")


def card_of(run: Run) -> str:
    return (run.dataset / "README.md").read_text(encoding="utf8")


def test_the_card_has_an_audit_only_where_it_was_asked_for(cirgen: Any, tmp_path: Path) -> None:
    run = a_run(tmp_path / "made")
    before = {p.relative_to(run.dataset): p.read_bytes() for p in run.dataset.rglob("*") if p.is_file()}
    assert cirgen("audit", run.folder)[0] == 0
    assert {p.relative_to(run.dataset): p.read_bytes() for p in run.dataset.rglob("*") if p.is_file()} == before
    code, out, err = cirgen("audit", run.folder, "--card")
    assert code == 0, err
    assert f"card: {run.dataset / 'README.md'}" in out
    audited = card_of(run)
    assert "## Audit\n" in audited and "| unique texts, share | " in audited
    assert "- Not measured: shortcut rate at 10" in audited
    assert audited.replace(audited[audited.index("## Audit") : audited.index("## Known faults")], "") == before[
        Path("README.md")
    ].decode("utf8")
    manifest = json.loads((run.dataset / "manifest.json").read_text(encoding="utf8"))
    assert manifest["files"]["README.md"] != json.loads(before[Path("manifest.json")])["files"]["README.md"]
    export(run)
    assert card_of(run) == audited  # the same again, byte for byte


def test_an_audit_of_other_rows_stays_out_of_the_card(cirgen: Any, tmp_path: Path) -> None:
    run = a_run(tmp_path / "made")
    assert cirgen("audit", run.folder, "--card")[0] == 0
    record = json.loads((run.folder / "audit.json").read_text(encoding="utf8"))
    record["files"] = {name: "0" * 64 for name in record["files"]}
    write_json(run.folder / "audit.json", record)
    export(run)
    assert "## Audit" not in card_of(run)
