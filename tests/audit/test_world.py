"""What an audit adds where the pictures are those of the embedded world: true queries, and exact truth."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from cirgen.audit.audit import Settings, audit
from cirgen.audit.corpora.open import Options
from cirgen.audit.corpus import Row
from cirgen.audit.record import read_audit
from cirgen.cli import audit_world
from cirgen.cli.app import main
from cirgen.errors import UserError
from cirgen.progress import Silent
from cirgen.resources import local_path
from cirgen.world.zero_shot import Encoder

pytestmark = [pytest.mark.integration, pytest.mark.long]


@pytest.fixture(autouse=True)
def _small_world(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_world, "IMAGES", 150)
    monkeypatch.setattr(audit_world, "EACH", 30)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world") / "demo"
    with pytest.raises(SystemExit) as done:
        main(["run", "demo", "--limit", "40", "--output", str(folder)])
    assert not done.value.code
    return folder


def call(*arguments: str) -> int:
    with pytest.raises(SystemExit) as done:
        main(["audit", *arguments])
    return int(done.value.code or 0)


def test_true_queries_are_exact_queries_none_left_out() -> None:
    corpus = audit_world.true_queries(Options(), Silent())
    assert len(corpus.rows) == 90 == len(corpus.triplets)
    assert len(corpus.image_ids) == 150
    assert {row.change_type for row in corpus.rows} == {"1 edit", "2 edits", "3 edits"}
    assert corpus.rows == audit_world.true_queries(Options(), Silent()).rows
    with pytest.raises(UserError, match="has no splits"):
        audit_world.true_queries(Options(split="train"), Silent())


def test_a_run_of_shipped_figures_is_audited_by_the_other_encoder_beside_its_exact_truth(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(str(run), "--out", str(tmp_path)) == 0
    shown = capsys.readouterr().out
    assert "Exact truth" in shown and "Shortcuts of true queries, unfiltered" in shown
    found = read_audit(tmp_path / "audit.json")
    assert [one["model"] for one in found.settings["encoders"]] == ["cirgen:judge-encoder"]
    assert "Its own encoder is cirgen:filter-encoder" in " ".join(found.notes)
    queries, good, rows = (found.find(key) for key in ("true_queries.queries", "truth.good", "truth.rows"))
    assert queries is not None and queries.value == 90
    manifest = json.loads((run / "dataset" / "manifest.json").read_text(encoding="utf8"))
    assert rows is not None and rows.value == manifest["counts"]["accepted"]
    assert good is not None and good.low is not None and good.high is not None and good.low <= good.high


def test_the_truth_is_that_of_the_command_that_counts_it(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(str(run), "--out", str(tmp_path)) == 0
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["world", "truth", str(run / "dataset"), "--json"])
    told = json.loads(capsys.readouterr().out)["accepted"]
    found = read_audit(tmp_path / "audit.json")
    for word in ("correct", "exhaustive", "unique", "composed", "good"):
        figure = found.find(f"truth.{word}")
        assert figure is not None
        assert [figure.value, figure.low, figure.high] == pytest.approx(
            [100 * told[word][name] for name in ("share", "low", "high")]
        )


def test_an_audit_by_the_encoder_that_filtered_says_so(run: Path, tmp_path: Path) -> None:
    assert call(str(run), "--out", str(tmp_path), "--encoder", "cirgen:filter-encoder") == 0
    notes = " ".join(read_audit(tmp_path / "audit.json").notes)
    assert "cirgen:filter-encoder is the corpus's own encoder" in notes
    assert "audit with another one too" in notes


def test_the_card_has_the_true_queries_and_no_truth(run: Path, tmp_path: Path) -> None:
    assert call(str(run), "--out", str(tmp_path), "--card") == 0
    card = (run / "dataset" / "README.md").read_text(encoding="utf8")
    section = card[card.index("## Audit") : card.index("## Known faults")]
    assert "Shortcuts of true queries, unfiltered: shortcut rate at 10" in section
    assert "good" not in section and "truth" not in section
    assert "`cirgen:judge-encoder`" in section


def test_shortcuts_are_those_of_a_plain_search_with_another_reader_of_the_same_weights() -> None:
    corpus = audit_world.true_queries(Options(), Silent())
    found = audit(corpus, Settings(encoders=("cirgen:judge-encoder",))).audit
    encoder = Encoder(str(local_path("cirgen:judge-encoder")))
    rows = {image_id: row for row, image_id in enumerate(corpus.image_ids)}
    gallery = encoder.images([corpus.open(image_id) for image_id in corpus.image_ids])
    shown, said = gallery[[rows[row.reference] for row in corpus.rows]], encoder.texts([r.text for r in corpus.rows])
    hits = {}
    for kind, query in (("both", shown + said), ("text", said), ("image", shown)):
        scores = query @ gallery.T
        scores[range(len(corpus.rows)), [rows[row.reference] for row in corpus.rows]] = -9
        hits[kind] = [_solved(one, row, rows) for one, row in zip(scores, corpus.rows, strict=True)]
        figure = found.find(f"shortcuts.recall_{kind}")
        assert figure is not None and figure.value == pytest.approx(100 * sum(hits[kind]) / len(corpus.rows))
    rate = found.find("shortcuts.rate")
    solved = [a or b for a, b in zip(hits["text"], hits["image"], strict=True)]
    assert rate is not None and rate.value == pytest.approx(100 * sum(solved) / len(corpus.rows))


def _solved(scores: torch.Tensor, row: Row, places: dict[str, int]) -> bool:
    right = [places[image_id] for image_id in (row.target, *row.positives)]
    best = scores[right].max()
    scores[right] = -9
    return int((scores >= best).sum()) < 10
