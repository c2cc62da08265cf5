"""Figures and labels of a review."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from cirgen.errors import UserError
from cirgen.filters.labels import read_labels
from cirgen.review.export import LABEL, export_labels
from cirgen.review.figures import judged_rows, review_figures
from cirgen.review.journal import Journal
from cirgen.review.sample import Sample, open_sample
from cirgen.run_folder import Run
from commands import in_this_process
from reviews import finished_run


def is_good(text: str) -> bool:
    """A truth that rejected texts meet less often."""
    return text.startswith("show a ") and "gold" not in text


def reviewed(run: Run, rows: int, judged: int, reviewers: tuple[str, ...] = ("Anna",)) -> tuple[Sample, Journal]:
    """Return a sample of which the first rows were judged by that truth."""
    folder = run.folder / "review"
    sample, journal = open_sample(run, folder, rows, None, None, ()), Journal(folder)
    for row in sample.rows[:judged]:
        for reviewer in reviewers:
            journal.append(reviewer, row.triplet_id, "good" if is_good(row.text) else "wrong text")
    return sample, journal


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return finished_run(tmp_path)


def test_a_review_of_everything_gives_the_shares_of_the_run_itself(run: Run) -> None:
    sample, journal = reviewed(run, 1_000, 1_000)
    figures = review_figures(sample, journal.read())
    texts = [row["text"] for row in pq.read_table(run.triplets).to_pylist() if row["status"] == "ok"]
    truth = sum(map(is_good, texts)) / len(texts)
    good = figures.shares["all"]["good"]
    assert good.share == pytest.approx(truth)
    assert good.low < truth < good.high
    assert figures.judged == figures.rows == 102


def test_shares_of_a_mix_of_halves_are_those_of_the_run_not_of_the_mix(run: Run) -> None:
    sample, journal = reviewed(run, 56, 56)  # 28 accepted of 74, all 28 rejected
    figures = review_figures(sample, journal.read())
    accepted, rejected = (figures.shares[part]["good"] for part in ("accepted", "rejected"))
    assert rejected.share == 0
    assert figures.shares["all"]["good"].share == pytest.approx(accepted.share * 74 / 102)
    assert figures.shares["all"]["good"].count == accepted.count
    assert sum(share.share for share in figures.shares["all"].values()) == pytest.approx(1)
    assert figures.good_accepted is not None
    assert figures.good_accepted.share == 1.0


def test_figures_hold_in_the_middle_of_a_review(run: Run) -> None:
    sample, journal = reviewed(run, 100, 30)
    figures = review_figures(sample, journal.read())
    assert figures.judged == 30
    weights = [one.weight for one in judged_rows(sample, journal.read())]
    assert sum(weights) == pytest.approx(102)


def test_one_kind_alone_says_nothing_of_the_whole_run(run: Run) -> None:
    sample, journal = reviewed(run, 20, 0)
    row = sample.rows[0]
    journal.append("Anna", row.triplet_id, "good")
    figures = review_figures(sample, journal.read())
    assert set(figures.shares) == {row.stratum}
    assert figures.good_accepted is None


def test_verdicts_on_triplets_outside_the_sample_count_nothing(run: Run) -> None:
    sample, journal = reviewed(run, 20, 20)
    before = review_figures(sample, journal.read())
    journal.append("Anna", "of another sample", "good")
    assert review_figures(sample, journal.read()) == before


def test_labels_are_the_majority_with_what_each_stands_for(run: Run, tmp_path: Path) -> None:
    sample, journal = reviewed(run, 40, 40, ("Anna", "Bo"))
    torn = sample.rows[0]
    journal.append("Bo", torn.triplet_id, "unclear")
    path = tmp_path / "labels.parquet"
    export_labels(path, judged_rows(sample, journal.read()))
    table = pq.read_table(path)
    assert table.schema.equals(LABEL)
    rows = {row["triplet_id"]: row for row in table.to_pylist()}
    assert len(rows) == 40
    assert (rows[torn.triplet_id]["verdict"], rows[torn.triplet_id]["good"]) == ("unclear", False)
    for row in sample.rows[1:]:
        label = rows[row.triplet_id]
        assert (label["reference_id"], label["text"], label["target_id"]) == (
            row.reference_id,
            row.text,
            row.target_id,
        )
        assert label["good"] == is_good(row.text) == (label["verdict"] == "good")
        assert label["reviewers"] == 2
        assert label["weight"] == pytest.approx(74 / 20 if row.stratum == "accepted" else 28 / 20)
    assert read_labels(str(path)).weight.sum() == pytest.approx(102)


def test_the_same_verdicts_give_the_same_bytes_however_they_came(run: Run, tmp_path: Path) -> None:
    sample, journal = reviewed(run, 20, 20)
    export_labels(tmp_path / "one.parquet", judged_rows(sample, journal.read()))
    for row in reversed(sample.rows):
        journal.append("Anna", row.triplet_id, "good" if is_good(row.text) else "wrong text")
    export_labels(tmp_path / "other.parquet", judged_rows(sample, journal.read()))
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "other.parquet").read_bytes()


def test_nothing_judged_is_no_labels(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Nobody judged a triplet of this run yet"):
        export_labels(tmp_path / "labels.parquet", [])
    sample, journal = reviewed(run, 20, 3)
    with pytest.raises(UserError, match="is a folder; name a file"):
        export_labels(tmp_path, judged_rows(sample, journal.read()))


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("COLUMNS", "100")

    return in_this_process(capsys)


def test_the_command_prints_figures_and_writes_labels(run: Run, tmp_path: Path, command: Any) -> None:
    reviewed(run, 56, 56, ("Anna", "Bo"))
    labels = tmp_path / "labels.parquet"
    code, out, _ = command("review", str(run.folder), "--export", str(labels))
    assert code == 0
    words = " ".join(out.split())
    assert "56 of 56 triplets judged (Anna 56, Bo 56)" in words
    assert "agreement of 2 reviewers on 56 triplets: Cohen's kappa 1.00" in words
    assert "of the good triplets the filters accepted 100.0 [" in words
    assert len(read_labels(str(labels)).good) == 56
    code, out, _ = command("review", str(run.folder), "--json")
    found = json.loads(out)
    assert found["population"] == {"accepted": 74, "rejected": 28}
    assert found["agreement"]["statistic"] == "Cohen's kappa"
    assert found["shares"]["all"]["good"]["low"] < found["shares"]["all"]["good"]["share"]


def test_the_command_says_in_one_sentence_what_is_missing(run: Run, tmp_path: Path, command: Any) -> None:
    code, _, err = command("review", str(run.folder), "--json")
    assert (code, "was reviewed yet; begin with `cirgen review" in err) == (1, True)
    open_sample(run, run.folder / "review", 5, None, None, ())
    code, _, err = command("review", str(run.folder), "--export", str(tmp_path / "l.parquet"))
    assert (code, "Nobody judged a triplet" in err) == (1, True)
    assert command("review", str(run.folder), "--json")[0] == 0
    code, _, err = command("review", str(run.folder), "--reviewer", "x" * 65)
    assert (code, "is no name for --reviewer" in err) == (1, True)
    code, _, err = command("review", str(run.folder), "--host", "203.0.113.7")
    assert (code, "Nothing can listen on 203.0.113.7" in err) == (1, True)
    assert command("review", str(run.folder), "--from", "nowhere")[0] == 2
    run.catalog.unlink()
    code, _, err = command("review", str(run.folder))
    assert (code, "has no pictures to show; give your `cirgen run` command again" in err) == (1, True)
