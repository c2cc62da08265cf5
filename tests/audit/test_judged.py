"""A judge is asked about a sample, and about texts that belong elsewhere; both shares are told."""

from __future__ import annotations

import random

import pytest

from cirgen.audit.audit import Findings, Settings, audit
from cirgen.audit.corpora.files import FolderPictures
from cirgen.audit.corpus import Corpus, Row
from cirgen.audit.judged import Judged, judged_section, sampled
from cirgen.audit.rivals import rivals_section
from cirgen.audit.worst import worst
from cirgen.resources import local_path
from cirgen.world import grammar
from cirgen.world.build import TABLE, read_truth, shipped
from cirgen.world.pairs import draw_pairs

ROW = Row("r", "all", "g", "a", "make it red", "b")


def judged(own: float | None, other: float | None = 0.1, rival: str = "", rival_yes: float | None = None) -> Judged:
    return Judged(ROW, own, other, rival, rival_yes, 1.0)


def values(found: list[Judged]) -> dict[str, float]:
    return {figure.name: figure.value for figure in judged_section(found).figures if figure.value is not None}


def test_the_share_of_yes_is_told_beside_that_of_foreign_texts() -> None:
    found = values([judged(0.9), judged(0.6, 0.8), judged(0.2), judged(None)])
    assert (found["sample"], found["failed"]) == (4, 1)
    assert found["accuracy"] == pytest.approx(100 * 2 / 3)
    assert found["control"] == pytest.approx(100 / 3)
    assert found["gain"] == pytest.approx(100 / 3)


def test_a_judge_that_never_answers_gives_no_accuracy() -> None:
    section = judged_section([judged(None), judged(None)])
    absent = {figure.name: figure.absent for figure in section.figures if figure.absent}
    assert set(absent) == {"accuracy", "control"} and "answered nothing" in absent["accuracy"]


def test_the_sample_does_not_depend_on_the_order_of_rows() -> None:
    rows = [ROW._replace(row_id=str(number)) for number in range(50)]
    assert sampled(rows, 7) == sampled(rows[::-1], 7) == sampled(rows, 50)[:7]


@pytest.fixture(scope="module")
def true_corpus() -> Corpus:
    """True triplets of shipped figures, in words that the shipped model was trained on."""
    truth = read_truth(shipped() / TABLE)
    rng = random.Random(0)
    rows = []
    for number, pair in enumerate(draw_pairs(truth.figures, truth.families, 20, 0)):
        text = grammar.change(truth.figures[pair.reference], truth.figures[pair.target], rng)
        ends = (truth.image_ids[pair.reference], truth.image_ids[pair.target])
        rows.append(Row(f"{number}", "all", "g", ends[0], text or "", ends[1]))
    pictures = FolderPictures(local_path("cirgen:images"))
    return Corpus("true", "made", tuple(rows), {"g": tuple(truth.image_ids)}, pictures=pictures)


@pytest.mark.long
@pytest.mark.integration
def test_a_real_judge_says_yes_to_true_texts_more_often_than_to_foreign_ones(true_corpus: Corpus) -> None:
    settings = Settings(encoders=("cirgen:judge-encoder",), judge="cirgen:mllm", judge_sample=60)
    found: Findings = audit(true_corpus, settings)
    gain = found.audit.find("judged.gain")
    assert gain is not None and gain.low is not None and gain.low > 0
    estimate, screen = (found.audit.find(f"false_negatives.{name}") for name in ("estimate", "share"))
    assert estimate is not None and estimate.value is not None and screen is not None and screen.value is not None
    assert 0 <= estimate.value <= 100
    assert found.ranks is not None
    having = {one.row.row_id for one in found.judged if one.rival}
    known = {q.row.row_id for q, n in zip(found.ranks.queries, found.ranks.rivals, strict=True) if n}
    assert having == known & {one.row.row_id for one in found.judged}
    (shown,) = (kind for kind in worst(found) if kind.title == "Possible false negatives")
    first = next(one for one in found.judged if one.row == shown.rows[0].row)
    assert (first.rival, first.rival_yes is not None and first.rival_yes > 0.5) == (shown.rows[0].other, True)
    accepted = sum((one.rival_yes or 0) > 0.5 for one in found.judged)
    assert estimate.value == pytest.approx(100 * accepted / len(found.judged))


@pytest.mark.integration
def test_encoders_alone_give_a_screen_and_say_what_an_estimate_needs(true_corpus: Corpus) -> None:
    found = audit(true_corpus, Settings(encoders=("cirgen:judge-encoder",)))
    assert found.ranks is not None
    section = rivals_section(found.ranks, (), "no judge is named")
    by_name = {figure.name: figure for figure in section.figures}
    assert by_name["share"].value is not None and by_name["control"].value is not None
    assert by_name["estimate"].absent == "no judge is named"
