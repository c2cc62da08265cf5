"""From a run over a review to thresholds and back: what people said decides, and no model runs again for it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from cirgen.backends.loaded_model import LoadedModel
from cirgen.changes import enter
from cirgen.encoders.transformers import TransformersEncoder
from cirgen.errors import UserError
from cirgen.filters.labels import read_labels
from cirgen.filters.registry import FILTERS
from cirgen.pipeline import run_pipeline
from cirgen.recipe_file import load_recipe
from cirgen.report.fits import fitted_bounds
from cirgen.review.export import export_labels
from cirgen.review.figures import judged_rows
from cirgen.review.journal import Journal
from cirgen.review.sample import open_sample
from cirgen.run_folder import Run
from cirgen.store import Store
from cirgen.world.build import TABLE, shipped
from cirgen.world.gallery import Gallery
from cirgen.world.truth import judge

pytestmark = pytest.mark.integration

IMAGES = 90


def demo(folder: Path, **fit: Any) -> Run:
    """Return a run of the demo's first images, its margin fitted where labels are given."""
    setting = ", ".join(f"{name}: {value}" for name, value in fit.items())
    agreement = f"{{name: agreement, {f'min_margin_fit: {{{setting}}}' if fit else 'min_margin: -2'}}}"
    stack = f"filter=[{{name: lint, max_words: 60}}, {{name: duplicate}}, {agreement}, {{name: diversity}}]"
    recipe = load_recipe("demo", [stack]).recipe
    return Run(folder, recipe, Store(folder / "store"), limit=IMAGES)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a run, and the labels of two reviewers who see what is true."""
    folder = tmp_path_factory.mktemp("labelled") / "run"
    run = demo(folder)
    run_pipeline(run)
    images = pq.read_table(run.catalog, columns=["image_id"]).column("image_id").to_pylist()
    gallery, journal = Gallery.load(shipped() / TABLE, only=images), Journal(folder / "review")
    sample = open_sample(run, folder / "review", 120, None, None, ())
    for row in sample.rows:
        right = judge(gallery, row.reference_id, row.text, row.target_id).correct
        for reviewer in ("Anna", "Bo"):
            journal.append(reviewer, row.triplet_id, "good" if right else "wrong text")
    labels = folder.parent / "labels.parquet"
    export_labels(labels, judged_rows(sample, journal.read()))
    return folder, labels


@pytest.fixture
def again(labelled: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Return copies of the run and its labels, on a machine whose models are not to be asked."""

    def forbidden(*_: Any, **__: Any) -> Any:
        raise AssertionError("a model ran")

    shutil.copytree(labelled[0], tmp_path / "run")
    shutil.copy(labelled[1], tmp_path / "labels.parquet")
    monkeypatch.setattr(LoadedModel, "generate", forbidden)
    monkeypatch.setattr(TransformersEncoder, "_encode", forbidden)
    return tmp_path / "run", tmp_path / "labels.parquet"


def scored(run: Run) -> dict[tuple[str, str, str], tuple[float, str]]:
    """Return margin and reason of every triplet that reached the filter, by what names it."""
    rows = {row["triplet_id"]: row for row in pq.read_table(run.triplets).to_pylist()}
    found = {}
    for verdict in pq.read_table(run.verdicts).to_pylist():
        row, scores = rows[verdict["triplet_id"]], dict(verdict["scores"])
        if "agreement.margin" in scores:
            identity = (row["reference_id"], row["text"], row["target_id"])
            found[identity] = (scores["agreement.margin"], verdict["reason"])
    return found


def passing(run: Run) -> set[tuple[str, str, str]]:
    return {name for name, (_, reason) in scored(run).items() if not reason.startswith("agreement")}


def best_precision(run: Run, labels: Path, at_least: int = 20) -> float:
    """Return the best precision that any threshold has on labels that reach the filter."""
    found, of = scored(run), read_labels(str(labels))
    rows = sorted(
        (
            (found[name][0], good, weight)
            for name, good, weight in zip(of.triplets, of.good, of.weight, strict=True)
            if name in found
        ),
        reverse=True,
    )
    tops = [rows[:number] for number in range(at_least, len(rows))]
    return float(max(sum(w for _, good, w in top if good) / sum(w for *_, w in top) for top in tops))


def test_verdicts_follow_what_the_reviewers_said(again: tuple[Path, Path]) -> None:
    folder, labels = again
    before = demo(folder)
    asked = round(best_precision(before, labels) - 0.005, 3)
    run = demo(folder, labels=labels, precision=asked)
    (change,) = [change for change in enter(run) if "fit" in change.path]
    assert change.consequence == "the decision, and scores never measured"
    run_pipeline(run)

    of, kept = read_labels(str(labels)), passing(run)
    good = {name: (fine, weight) for name, fine, weight in zip(of.triplets, of.good, of.weight, strict=True)}
    held = [good[name] for name in kept if name in good]
    assert sum(w for fine, w in held if fine) >= (asked - 1e-9) * sum(w for _, w in held)
    assert 0 < len(kept) < len(scored(run))
    margins = {name: margin for name, (margin, _) in scored(run).items()}
    assert min(margins[name] for name in kept) > max(margins[name] for name in margins if name not in kept)

    with run.store.connect() as connection:
        (bound,) = fitted_bounds(run, connection)
    assert bound.curve is not None
    assert bound.curve.threshold == min(margins[name] for name in kept if name in good)
    assert "agreement.min_margin_fit" in run.report.read_text(encoding="utf8")


@pytest.mark.long
def test_more_to_keep_accepts_more(again: tuple[Path, Path]) -> None:
    folder, labels = again
    kept = []
    for share in (0.5, 0.8, 1.0):
        run = demo(folder, labels=labels, keep=share)
        run_pipeline(run)
        kept.append(passing(run))
    assert kept[0] < kept[1] < kept[2]
    of = read_labels(str(labels))
    good = {name for name, fine in zip(of.triplets, of.good, strict=True) if fine}
    assert kept[2] >= good & scored(run).keys()


@pytest.mark.long
def test_other_labels_under_the_same_name_move_the_verdicts_and_the_recipe_hash(again: tuple[Path, Path]) -> None:
    folder, labels = again
    run = demo(folder, labels=labels, keep=0.5)
    run_pipeline(run)
    hash_before, kept = run.read_facts()["recipe_hash"], passing(run)
    table = pq.read_table(labels)
    turned = [not good for good in table.column("good").to_pylist()]
    pq.write_table(table.set_column(table.column_names.index("good"), "good", [turned]), labels)
    run_pipeline(run)
    assert run.read_facts()["recipe_hash"] != hash_before
    assert passing(run) != kept
    shutil.move(labels, labels.with_name("moved.parquet"))
    moved = demo(folder, labels=labels.with_name("moved.parquet"), keep=0.5)
    hash_before = run.read_facts()["recipe_hash"]
    run_pipeline(moved)
    assert run.read_facts()["recipe_hash"] == hash_before


def test_labels_that_are_gone_stop_the_run_before_it_changes_anything(again: tuple[Path, Path]) -> None:
    folder, labels = again
    labels.unlink()
    before = (folder / "recipe.yaml").read_bytes()
    with pytest.raises(UserError, match="There is no labels file at"):
        run_pipeline(demo(folder, labels=labels, keep=0.5))
    assert (folder / "recipe.yaml").read_bytes() == before


def test_a_filter_never_sees_more_of_a_triplet_than_names_it(labelled: tuple[Path, Path]) -> None:
    part = FILTERS.build(demo(labelled[0], labels=labelled[1], keep=0.5).recipe.filter[2])
    assert part.decides_on == ("reference_id", "text", "target_id")
    assert FILTERS.build(demo(labelled[0]).recipe.filter[2]).decides_on == ()
