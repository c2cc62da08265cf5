"""The report draws what every fitted threshold was chosen from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cirgen.filters.registry import FILTERS
from cirgen.report.fits import LABELS, fitted_bounds
from cirgen.report.similarities import filter_window
from cirgen.report.write import write_report
from cirgen.run_folder import Run
from cirgen.schemas import VERDICT
from cirgen.shards import write_rows
from runs import make_run, with_recipe


def label(run: Run, path: Path, count: int = 60) -> str:
    """Label triplets of a run: those of more similar images are better."""
    rows = [row for row in pq.read_table(run.triplets).to_pylist() if row["status"] == "ok"][:count]
    for number, row in enumerate(rows):
        row["good"] = row["similarity"] > 0.5 or number % 4 == 0
    names = ("reference_id", "text", "target_id", "good")
    pq.write_table(pa.Table.from_pylist([{name: row[name] for name in names} for row in rows]), path)
    return str(path)


def fitted_run(tmp_path: Path, **fit: Any) -> Run:
    """Return a run whose similarity filter was fitted, with the verdicts that its own decision gives."""
    run = make_run(tmp_path)
    labels = label(run, tmp_path / "labels.parquet")
    run = with_recipe(run, filter=[{"name": "similarity", "lower_fit": {"labels": labels, **fit}}])
    rows = [row for row in pq.read_table(run.triplets).to_pylist() if row["status"] == "ok"]
    part = FILTERS.build(run.recipe.filter[0])
    columns = {name: pa.array([row[name] for row in rows]) for name in ("triplet_id", *part.decides_on)}
    cosines = pa.array([row["similarity"] for row in rows], pa.float64())
    reasons = part.decide(pa.table({**columns, "cosine": cosines}))
    verdicts = [
        {
            "triplet_id": row["triplet_id"],
            "reason": reason and f"similarity: {reason}",
            "scores": {"similarity.cosine": float(row["similarity"])},
        }
        for row, reason in zip(rows, reasons, strict=True)
    ]
    write_rows(run.verdicts, verdicts, VERDICT)
    return run


@pytest.mark.parametrize("fit", [{"precision": 0.8}, {"keep": 0.7}, {"precision": 0.7, "estimate": "lower"}])
def test_the_curve_of_a_fit_is_drawn_with_the_point_that_decided(tmp_path: Path, fit: dict[str, Any]) -> None:
    run = fitted_run(tmp_path, **fit)
    with run.store.connect() as connection:
        (bound,) = fitted_bounds(run, connection)
        window = filter_window(run, connection)
    assert bound.curve is not None and window is not None
    assert bound.name == "similarity.lower_fit"
    assert window.lower == bound.curve.threshold
    verdicts = pq.read_table(run.verdicts).to_pylist()
    for row in verdicts:
        assert (row["reason"] == "") == (dict(row["scores"])["similarity.cosine"] >= bound.curve.threshold)
    write_report(run)
    page = " ".join(run.report.read_text(encoding="utf8").split())
    assert "Fitted thresholds" in page
    assert f"{bound.passes} passes: precision {bound.curve.precision[bound.curve.chosen]:.1%}" in page
    assert f"Asked for: {bound.curve.fit.aim}. 60 of 60 labels in labels.parquet reach this filter" in page
    assert "smallest cosine that passes" in page
    assert str(tmp_path) not in page[page.index("Fitted thresholds") : page.index("Texts and pairs</h2>")]


def test_a_report_without_fits_says_nothing_of_them(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    write_report(run)
    assert "Fitted thresholds" not in run.report.read_text(encoding="utf8")


def test_labels_that_are_gone_or_changed_cost_their_curve_alone(tmp_path: Path) -> None:
    run = fitted_run(tmp_path, precision=0.8)
    run.note_facts(**{LABELS: {"similarity.lower_fit": "of another file"}})
    write_report(run)
    assert "The labels changed since the filters decided" in run.report.read_text(encoding="utf8")
    (tmp_path / "labels.parquet").unlink()
    write_report(run)
    assert "There is no labels file at" in run.report.read_text(encoding="utf8")
