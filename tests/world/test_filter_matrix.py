"""What filters are measured with: every flaw is what it is called, and every count agrees with one made by hand."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cirgen.cli.app import main
from cirgen.pipeline import run_pipeline
from cirgen.recipe import Recipe
from cirgen.recipe_file import load_recipe
from cirgen.run_folder import Run
from cirgen.store import Store
from cirgen.world.build import TABLE, read_truth, shipped
from cirgen.world.filter_matrix import Known, balanced, diagnosis, matrix, natural
from cirgen.world.filter_table import markdown, matrix_tables, verdict
from cirgen.world.filter_trial import Trials
from cirgen.world.flawed import FLAWS, GOOD, Pair, flawed_texts
from cirgen.world.gallery import Gallery
from cirgen.world.parser import parse
from cirgen.world.truth import Verdict, judge

IMAGES = 60


@pytest.fixture(scope="module")
def gallery() -> Gallery:
    return Gallery.load(shipped() / TABLE)


@pytest.fixture(scope="module")
def pairs(gallery: Gallery) -> list[Pair]:
    families = read_truth(shipped() / TABLE).families
    by_family: dict[int, list[int]] = {}
    for row, family in enumerate(families):
        by_family.setdefault(family, []).append(row)
    members = [rows for rows in by_family.values() if len(rows) > 8]
    return [
        Pair(gallery.image_ids[a], gallery.image_ids[b], gallery.figures[a], gallery.figures[b], "medium")
        for rows in members
        for a, b in zip(rows[:12], rows[3:15], strict=False)
    ]


def test_every_flaw_is_found_and_the_truth_agrees(gallery: Gallery, pairs: list[Pair]) -> None:
    found = flawed_texts(gallery, pairs, each=8, seed=0)
    counts = Counter(one.flaw for one in found)
    assert set(FLAWS) <= set(counts)
    assert counts[GOOD] > 0
    for one in found:
        again = judge(gallery, one.reference_id, one.text, one.target_id)
        assert again == one.verdict
        assert again.good == (one.flaw == GOOD) or one.flaw in ("restated reference", "caption of the target")
        assert not (one.flaw != GOOD and again.good)


def test_what_is_partial_is_true_and_what_is_wrong_is_not(gallery: Gallery, pairs: list[Pair]) -> None:
    for one in flawed_texts(gallery, pairs, each=8, seed=1):
        if one.flaw in ("too broad", "true but partial"):
            assert one.verdict.correct
            assert not one.verdict.exhaustive
            assert one.flaw != "too broad" or not one.verdict.unique
        if one.flaw in ("wrong value", "wrong attribute", "swapped direction", "unchanged"):
            assert not one.verdict.correct
            assert parse(one.text) is not None


def test_draws_depend_on_the_seed_alone(gallery: Gallery, pairs: list[Pair]) -> None:
    assert flawed_texts(gallery, pairs, 3, seed=2) == flawed_texts(gallery, pairs, 3, seed=2)
    assert flawed_texts(gallery, pairs, 3, seed=2) != flawed_texts(gallery, pairs, 3, seed=3)


@pytest.mark.parametrize(
    ("verdict_", "flaw"),
    [
        (Verdict(False, False, False, False, False), "unparsable"),
        (Verdict(True, False, True, True, True), "not correct"),
        (Verdict(True, True, False, True, True), "not exhaustive"),
        (Verdict(True, True, True, False, True), "not unique"),
        (Verdict(True, True, True, True, False), "not composed"),
        (Verdict(True, True, True, True, True), GOOD),
    ],
)
def test_a_diagnosis_is_the_first_thing_that_is_wrong(verdict_: Verdict, flaw: str) -> None:
    assert diagnosis(verdict_) == flaw


STACK: list[dict[str, Any]] = [
    {"name": "lint", "max_words": 9},
    {"name": "agreement", "min_target_percentile": 20},
    {"name": "likelihood", "min_share": 0.2, "others": 1},
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("trial") / "run"
    fields = load_recipe("demo").recipe.model_dump(mode="json")
    recipe = Recipe.model_validate({**fields, "filter": STACK})
    run = Run(folder, recipe, Store(folder / "store"), limit=IMAGES)
    run_pipeline(run)
    return run


@pytest.mark.long
@pytest.mark.integration
def test_a_matrix_counts_what_the_filters_did(finished: Run, gallery: Gallery, tmp_path: Path) -> None:
    trials = Trials(finished, tmp_path)
    triplets = natural(trials, gallery)
    found = matrix("natural", trials, STACK, triplets)
    by_name = {line.name: line for line in found.lines}
    assert list(by_name) == [
        "accept all",
        "lint alone",
        "agreement alone",
        "likelihood alone",
        "whole stack",
        "random drop of equal size",
    ]
    long = [len(known.row["text"].split()) > 9 for known in triplets]
    assert by_name["lint alone"].passed == len(triplets) - sum(long)
    assert by_name["accept all"].passed == len(triplets) == found.triplets
    assert by_name["random drop of equal size"].passed == by_name["whole stack"].passed
    good = [known.verdict.good for known in triplets]
    assert by_name["accept all"].accepted["good"].share == pytest.approx(sum(good) / len(good))
    kept = [known.verdict.good for known, out in zip(triplets, long, strict=True) if not out]
    assert by_name["lint alone"].accepted["good"].share == pytest.approx(sum(kept) / len(kept))
    assert by_name["lint alone"].questions == 0
    assert by_name["likelihood alone"].questions == pytest.approx(3)
    assert 0 < by_name["whole stack"].questions < 3
    again = matrix("natural", trials, STACK, triplets)
    assert [line.passed for line in again.lines] == [line.passed for line in found.lines]
    assert all(line.questions == 0 for line in again.lines)
    assert all(flaw in markdown(found) for flaw in found.flaws)
    assert "good" in verdict(found)
    assert len(matrix_tables(found)) == 2


@pytest.mark.integration
def test_half_of_a_balanced_set_is_good(finished: Run, gallery: Gallery, tmp_path: Path) -> None:
    triplets: list[Known] = balanced(Trials(finished, tmp_path), gallery, "medium", each=2)
    good = sum(known.flaw == GOOD for known in triplets)
    assert 0 < good <= len(triplets) / 2
    assert len({known.row["triplet_id"] for known in triplets}) == len(triplets)


@pytest.mark.long
@pytest.mark.integration
def test_the_command_prints_and_writes_the_same_figures(
    finished: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "filters.json"
    with pytest.raises(SystemExit) as end:
        main(["world", "filters", str(finished.folder), "--each", "1", "--write", str(path), "--json"])
    assert end.value.code == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads(path.read_text())
    assert [one["name"] for one in printed["matrices"]] == ["half of them flawed", "as generated"]


@pytest.mark.integration
def test_labels_of_the_truth_are_what_thresholds_are_fitted_to(
    finished: Run, tmp_path: Path, gallery: Gallery, capsys: pytest.CaptureFixture[str]
) -> None:
    from cirgen.filters.labels import read_labels

    path = tmp_path / "labels.parquet"
    with pytest.raises(SystemExit) as end:
        main(["world", "labels", str(finished.folder), "--out", str(path), "--measure", "correct"])
    assert end.value.code == 0
    found = read_labels(str(path))
    for triplet, good in zip(found.triplets, found.good, strict=True):
        assert judge(gallery, *triplet).correct == bool(good)
    with pytest.raises(SystemExit) as end:
        main(["world", "labels", str(finished.folder), "--out", str(path), "--measure", "lovely"])
    assert end.value.code == 1
    assert "'lovely' is no measure" in capsys.readouterr().err
