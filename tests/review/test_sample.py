"""Which triplets are reviewed: the same for everybody, blind, and worth what they stand for."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from cirgen.errors import UserError
from cirgen.review.sample import draw, open_sample, read_sample
from cirgen.run_folder import Run
from cirgen.schemas import VERDICT
from cirgen.shards import write_rows
from runs import make_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return make_run(tmp_path)


def reasons(run: Run) -> dict[str, str]:
    return {row["triplet_id"]: row["reason"] for row in pq.read_table(run.verdicts).to_pylist()}


def opened(run: Run, rows: int | None = None, judged: Any = (), **asked: Any) -> Any:
    folder = run.folder / "review"
    return open_sample(run, folder, rows, asked.get("origin"), asked.get("seed"), judged)


def test_half_of_a_sample_is_accepted_and_half_rejected(run: Run) -> None:
    of = reasons(run)
    sample = draw(run, 40)
    assert Counter(row.stratum for row in sample.rows) == {"accepted": 20, "rejected": 20}
    assert all((of[row.triplet_id] == "") == (row.stratum == "accepted") for row in sample.rows)


def test_what_failed_to_be_written_is_never_shown(run: Run) -> None:
    of = reasons(run)
    sample = draw(run, 10_000)
    assert len(sample.rows) == 102
    assert not any(of[row.triplet_id].startswith("generation") for row in sample.rows)


def test_a_stratum_that_is_too_small_leaves_its_part_to_the_other(run: Run) -> None:
    sample = draw(run, 90)
    assert Counter(row.stratum for row in sample.rows) == {"accepted": 62, "rejected": 28}
    assert sample.design.population == {"accepted": 74, "rejected": 28}


@pytest.mark.parametrize("origin", ["accepted", "rejected"])
def test_one_kind_alone_can_be_drawn(run: Run, origin: Any) -> None:
    sample = draw(run, 10, origin)
    assert {row.stratum for row in sample.rows} == {origin}
    assert set(sample.design.population) == {origin}


def test_a_draw_is_the_same_again_and_another_with_another_seed(run: Run) -> None:
    assert draw(run, 30) == draw(run, 30)
    assert set(draw(run, 30).rows) != set(draw(run, 30, seed=1).rows)


def test_a_larger_sample_holds_the_smaller_one(run: Run) -> None:
    for fewer, more in ((1, 2), (10, 33), (50, 90)):
        assert set(draw(run, fewer).rows) <= set(draw(run, more).rows)


def test_weights_add_up_to_the_triplets_of_the_run_however_many_were_judged(run: Run) -> None:
    sample = draw(run, 40)
    for number in (5, 17, 40):
        judged = [row.triplet_id for row in sample.rows[:number]]
        weights = sample.weights([*judged, "of another sample"])
        assert set(weights) == set(judged)
        assert sum(weights.values()) == pytest.approx(102)


def test_rows_of_both_kinds_come_in_an_order_that_tells_nothing(run: Run) -> None:
    strata = [row.stratum for row in draw(run, 56).rows]
    changes = sum(one != other for one, other in itertools.pairwise(strata))
    assert 15 < changes < 41


def test_a_review_goes_on_with_its_own_sample_after_the_run_changed(run: Run) -> None:
    first = opened(run, 20)
    verdicts = [{**row, "scores": {}, "reason": "lint: odd"} for row in pq.read_table(run.verdicts).to_pylist()]
    write_rows(run.verdicts, verdicts, VERDICT)
    assert opened(run) == opened(run, 20) == first == read_sample(run.folder / "review")


def test_a_sample_can_grow_and_be_drawn_anew_until_something_would_be_lost(run: Run) -> None:
    first = opened(run, 20)
    judged = [row.triplet_id for row in first.rows[:8]]
    assert len(opened(run, 50, judged).rows) == 50
    assert set(first.rows) <= set(opened(run, judged=judged).rows)
    with pytest.raises(
        UserError, match=r"holds verdicts on another sample \(50 rows from all, seed 0\).*go on without"
    ):
        opened(run, 50, judged, seed=3)
    assert opened(run, 50, [], seed=3).design.seed == 3


def test_texts_stay_as_they_were_shown(run: Run) -> None:
    from cirgen.schemas import TRIPLET

    first = opened(run, 20)
    changed = [{**row, "text": "another text"} for row in pq.read_table(run.triplets).to_pylist()]
    write_rows(run.triplets, changed, TRIPLET)
    assert opened(run) == first
    with pytest.raises(UserError, match="holds verdicts on another sample"):
        opened(run, 30, [first.rows[0].triplet_id])


def test_a_run_with_nothing_to_review_says_so(run: Run) -> None:
    verdicts = [{**row, "scores": {}, "reason": "lint: odd"} for row in pq.read_table(run.verdicts).to_pylist()]
    write_rows(run.verdicts, verdicts, VERDICT)
    with pytest.raises(UserError, match="has no accepted triplets to review; look at its report"):
        draw(run, 10, "accepted")
    run.verdicts.unlink()
    with pytest.raises(UserError, match="has no verdicts to review yet; go on with `cirgen run`"):
        draw(run, 10)


def test_a_damaged_sample_is_told(run: Run) -> None:
    opened(run, 5)
    (run.folder / "review" / "sample.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match="is damaged: move it away"):
        opened(run)


@pytest.mark.parametrize(
    "design",
    [
        [],
        {"rows": 5, "origin": "all", "seed": 0},
        {"rows": 5, "origin": "all", "seed": 0, "population": None},
        {"rows": 5, "origin": "all", "seed": 0, "population": {"accepted": "many"}},
        {"rows": 5, "origin": "all", "seed": 0, "population": {"accepted": 3}},
        {"rows": 5, "origin": "some", "seed": 0, "population": {"accepted": 3, "rejected": 3}},
        {"rows": 5, "origin": "all", "seed": 0, "population": {"accepted": 3, "rejected": 3}, "more": 1},
    ],
)
def test_a_sample_whose_design_makes_no_sense_is_told(run: Run, design: object) -> None:
    opened(run, 5)
    path = run.folder / "review" / "sample.parquet"
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({b"cirgen.review": json.dumps(design).encode()}), path)
    with pytest.raises(UserError, match="is damaged: move it away"):
        opened(run, 5)
