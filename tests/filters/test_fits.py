"""Thresholds that are fitted to the verdicts of people."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cirgen.errors import UserError
from cirgen.filters.fit import LEAST_LABELS, LEAST_PASSING, Fit
from cirgen.filters.labels import IDENTITY
from cirgen.filters.registry import FILTERS
from cirgen.filters.threshold import BoundedFilter
from cirgen.filters.tools import Tools
from cirgen.schemas import TRIPLET
from deciding import decide, make_filter, triplets

LABEL = pa.schema(
    [
        pa.field("reference_id", pa.string()),
        pa.field("text", pa.string()),
        pa.field("target_id", pa.string()),
        pa.field("good", pa.bool_()),
        pa.field("weight", pa.float64()),
    ]
)
LOWER = "lower_fit"


def rows_of(scores: list[float]) -> list[dict[str, Any]]:
    """One triplet per score; two triplets share a reference."""
    return triplets(
        *(
            {"similarity": score, "reference_id": f"r{number // 2}", "text": f"text {number}"}
            for number, score in enumerate(scores)
        )
    )


def label(row: dict[str, Any], good: bool, weight: float = 1.0) -> dict[str, Any]:
    return {**{name: row[name] for name in ("reference_id", "text", "target_id")}, "good": good, "weight": weight}


def write(path: Path, labels: list[dict[str, Any]], schema: pa.Schema = LABEL) -> str:
    pq.write_table(pa.Table.from_pylist(labels, schema=schema), path)
    return str(path)


def similarity(labels: str, bound: str = LOWER, **fit: Any) -> Any:
    return make_filter("similarity", **{bound: {"labels": labels, **fit}})


def accepted(part: Any, rows: list[dict[str, Any]]) -> set[str]:
    return {row["triplet_id"] for row, reason in zip(rows, decide(part, rows), strict=True) if not reason}


def threshold(part: BoundedFilter, rows: list[dict[str, Any]], option: str = "lower") -> float:
    columns = {name: pa.array([row[name] for row in rows]) for name in ("triplet_id", *part.decides_on)}
    cosines = pa.array([row["similarity"] for row in rows], pa.float64())
    found = part.cutoffs(pa.table({**columns, "cosine": cosines}))[option]
    assert found is not None
    return found


SCORES = [number / 100 for number in range(100)]
ROWS = rows_of(SCORES)
GOOD = [number >= 60 or number % 3 == 0 for number in range(100)]
"""Better scores are better; of the 60 worst a third are good."""


@pytest.fixture
def labels(tmp_path: Path) -> str:
    return write(tmp_path / "labels.parquet", [label(row, good) for row, good in zip(ROWS, GOOD, strict=True)])


def test_a_precision_takes_the_loosest_threshold_that_holds_it(labels: str) -> None:
    chosen = threshold(similarity(labels, precision=0.9), ROWS)
    precision = {score: np.mean(GOOD[number:]) for number, score in enumerate(SCORES)}
    assert precision[chosen] >= 0.9
    assert all(share < 0.9 for score, share in precision.items() if score < chosen)


def test_what_was_fitted_is_told_and_does_not_depend_on_how_the_rows_came(labels: str) -> None:
    part = similarity(labels, precision=0.9)
    columns = {name: pa.array([row[name] for row in ROWS]) for name in ("triplet_id", *part.decides_on)}
    whole = pa.table({**columns, "cosine": pa.array(SCORES, pa.float64())})
    (remark,) = part.remarks(whole)
    assert re.fullmatch(
        r"lower_fit: cosine of at least 0\.\d+ passes; of 100 labels that gives a precision of 9\d\.\d% and keeps "
        r"\d+\.\d% of the good ones\.",
        remark,
    )
    parts = pa.concat_tables([whole.slice(0, 7), whole.slice(7, 50), whole.slice(57)])
    assert part.remarks(parts) == [remark]
    assert part.decide(parts) == part.decide(whole)


def test_a_share_to_keep_takes_the_strictest_threshold_that_keeps_it(labels: str) -> None:
    chosen = threshold(similarity(labels, keep=0.8), ROWS)
    kept = {score: sum(GOOD[number:]) / sum(GOOD) for number, score in enumerate(SCORES)}
    assert kept[chosen] >= 0.8
    assert all(share < 0.8 for score, share in kept.items() if score > chosen)


def test_an_upper_bound_is_fitted_from_the_other_side(tmp_path: Path) -> None:
    mirrored = write(
        tmp_path / "labels.parquet", [label(row, good) for row, good in zip(ROWS, reversed(GOOD), strict=True)]
    )
    part = similarity(mirrored, "upper_fit", precision=0.9)
    lower = threshold(
        similarity(
            write(tmp_path / "other.parquet", [label(r, g) for r, g in zip(ROWS, GOOD, strict=True)]), precision=0.9
        ),
        ROWS,
    )
    assert threshold(part, ROWS, "upper") == pytest.approx(0.99 - lower)
    assert decide(part, ROWS)[-1] == "too similar"


def test_triplets_without_a_label_are_judged_by_the_same_threshold(labels: str) -> None:
    others = [{**row, "triplet_id": f"{row['triplet_id']}x", "target_id": "other"} for row in ROWS]
    part = similarity(labels, precision=0.9)
    chosen = threshold(part, ROWS)
    assert accepted(part, [*ROWS, *others]) == {
        row["triplet_id"] for row in [*ROWS, *others] if row["similarity"] >= chosen
    }


def test_a_row_of_the_sample_counts_as_many_triplets_as_it_stands_for(tmp_path: Path) -> None:
    bad_count_little = [label(row, good, 1.0 if good else 0.01) for row, good in zip(ROWS, GOOD, strict=True)]
    part = similarity(write(tmp_path / "labels.parquet", bad_count_little), precision=0.9)
    assert threshold(part, ROWS) == 0.0


def test_the_lower_end_of_the_interval_is_stricter_than_the_share_itself(labels: str) -> None:
    point = threshold(similarity(labels, precision=0.8), ROWS)
    lower = threshold(similarity(labels, precision=0.8, estimate="lower"), ROWS)
    assert lower > point
    assert threshold(similarity(labels, keep=0.8, estimate="lower"), ROWS) < threshold(
        similarity(labels, keep=0.8), ROWS
    )


def test_labels_of_another_run_fit_by_images_and_text(labels: str) -> None:
    renamed = [{**row, "triplet_id": f"other {row['triplet_id']}"} for row in ROWS]
    part = similarity(labels, precision=0.9)
    assert threshold(part, renamed) == threshold(part, ROWS)
    elsewhere = [{**row, "text": "another text"} for row in ROWS]
    with pytest.raises(UserError, match=r"needs 30 labelled triplets .* of the 100 in .*labels.parquet 0 are of"):
        decide(part, elsewhere)


def test_twins_of_a_triplet_have_one_label(labels: str) -> None:
    twins = [{**row, "triplet_id": f"twin {row['triplet_id']}"} for row in ROWS[60:]]
    part = similarity(labels, precision=0.9)
    assert threshold(part, [*ROWS, *twins]) == threshold(part, ROWS)


def test_what_a_leak_filter_spares_anyway_counts_as_passing(tmp_path: Path) -> None:
    leaking = [
        {
            "text": f"make it {number} with red hats and tall boots",
            "reference_caption": "red hats and tall boots" if number % 2 else "",
            "target_caption": "",
        }
        for number in range(60)
    ]
    rows = triplets(*leaking)
    good = [number % 2 == 0 or number < 6 for number in range(60)]
    path = write(tmp_path / "labels.parquet", [label(row, fine) for row, fine in zip(rows, good, strict=True)])
    strict = make_filter("reference_leak", max_share_fit={"labels": path, "keep": 0.5})
    (curve,) = strict.curves(_scored(strict, rows)).values()  # type: ignore[attr-defined]
    assert curve.passing.tolist() == [60]  # all leak alike, so one threshold is tried
    with pytest.raises(UserError, match=r"no threshold reaches precision 0\.9"):
        decide(make_filter("reference_leak", max_share_fit={"labels": path, "precision": 0.9}), rows)


def _scored(part: Any, rows: list[dict[str, Any]]) -> pa.Table:
    batch = pa.RecordBatch.from_pylist(rows, schema=TRIPLET)
    scores = [score.values for score in part.score(batch, Tools())]
    columns = {name: batch.column(name) for name in ("triplet_id", *part.decides_on)}
    return pa.table(columns | {name: pa.array([row[name] for row in scores], pa.float64()) for name in scores[0]})


LABELLED = st.lists(
    st.tuples(st.integers(0, 20), st.booleans(), st.sampled_from([0.5, 1.0, 7.0])),
    min_size=LEAST_LABELS,
    max_size=60,
).filter(lambda rows: len({good for _, good, _ in rows}) == 2)
AIM = st.fixed_dictionaries(
    {"estimate": st.sampled_from(["point", "lower"])},
) | st.just({})
TWO_SHARES = st.tuples(st.integers(1, 20), st.integers(1, 20)).map(lambda pair: sorted(part / 20 for part in pair))
TRY = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def drawn(folder: Path, found: list[tuple[int, bool, float]]) -> tuple[list[dict[str, Any]], str]:
    rows = rows_of([score / 20 for score, _, _ in found])
    return rows, write(
        folder / "labels.parquet", [label(row, good, w) for row, (_, good, w) in zip(rows, found, strict=True)]
    )


def passed(part: Any, rows: list[dict[str, Any]]) -> set[str]:
    """Return what passes; an aim that cannot be reached lets nothing pass."""
    try:
        return accepted(part, rows)
    except UserError as error:
        assert re.search("no threshold reaches|needs 10 good labels", str(error))
        return set()


@pytest.mark.parametrize("bound", ["lower_fit", "upper_fit"])
@TRY
@given(found=LABELLED, aim=AIM, shares=TWO_SHARES)
def test_a_stricter_precision_never_accepts_another_triplet(
    tmp_path: Path, bound: str, found: Any, aim: dict[str, Any], shares: list[float]
) -> None:
    rows, path = drawn(tmp_path, found)
    loose, strict = (passed(similarity(path, bound, precision=share, **aim), rows) for share in shares)
    assert strict <= loose


@TRY
@given(found=LABELLED, aim=AIM, shares=TWO_SHARES)
def test_a_larger_share_to_keep_never_rejects_another_triplet(
    tmp_path: Path, found: Any, aim: dict[str, Any], shares: list[float]
) -> None:
    rows, path = drawn(tmp_path, found)
    if sum(good for _, good, _ in found) < LEAST_PASSING:
        return
    few, many = (similarity(path, keep=share, **aim) for share in shares)
    try:
        kept = accepted(many, rows)
    except UserError:  # more than all of the few labels could promise
        return
    assert accepted(few, rows) <= kept


@TRY
@given(found=LABELLED, order=st.randoms(), share=st.integers(1, 19).map(lambda part: part / 20))
def test_a_fit_depends_on_the_order_of_neither_labels_nor_triplets(
    tmp_path: Path, found: Any, order: Any, share: float
) -> None:
    rows, path = drawn(tmp_path, found)
    first = passed(similarity(path, precision=share), rows)
    labels = pq.read_table(path).to_pylist()
    shuffled = write(tmp_path / "shuffled.parquet", order.sample(labels, len(labels)))
    assert passed(similarity(shuffled, precision=share), order.sample(rows, len(rows))) == first


@TRY
@given(
    found=LABELLED, share=st.integers(1, 20).map(lambda part: part / 20), estimate=st.sampled_from(["point", "lower"])
)
def test_what_is_promised_holds_among_the_labels_that_pass(
    tmp_path: Path, found: Any, share: float, estimate: str
) -> None:
    rows, path = drawn(tmp_path, found)
    kept = passed(similarity(path, precision=share, estimate=estimate), rows)
    passing = [(good, w) for row, (_, good, w) in zip(rows, found, strict=True) if row["triplet_id"] in kept]
    if kept:
        assert len(passing) >= LEAST_PASSING
        assert sum(w for good, w in passing if good) >= (share - 1e-9) * sum(w for _, w in passing)


@pytest.mark.parametrize(
    ("number", "good", "aim", "message"),
    [
        (29, lambda n: n % 2 == 0, {"precision": 0.5}, "a fit needs 30 labelled triplets .* of the 29 in .* 29 are"),
        (40, lambda n: True, {"precision": 0.5}, "all 40 labels of .* that reach the filter are good"),
        (40, lambda n: False, {"keep": 0.5}, "all 40 labels of .* that reach the filter are bad"),
        (40, lambda n: n < 5, {"keep": 0.5}, "needs 10 good labels that reach the filter, and .* has 5"),
        (
            40,
            lambda n: n % 2 == 0,
            {"precision": 0.99},
            r"no threshold reaches precision 0\.99 on 40 labels \(the best",
        ),
        (
            40,
            lambda n: n > 5,
            {"precision": 0.99, "estimate": "lower"},
            r"precision 0\.99 by the lower end of the 95 % interval on 40 labels .* ask for less, or label more",
        ),
    ],
)
def test_labels_that_do_not_do_are_told_in_one_sentence(
    tmp_path: Path, number: int, good: Any, aim: dict[str, Any], message: str
) -> None:
    rows = ROWS[:number]
    path = write(tmp_path / "labels.parquet", [label(row, good(n)) for n, row in enumerate(rows)])
    with pytest.raises(UserError, match=f"^similarity.lower_fit: .*{message}") as caught:
        decide(similarity(path, **aim), ROWS)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"good": None}], "has no good; take it out or fill it in"),
        ([{"text": None}], "has no text"),
        ([{"weight": 0.0}], r"A weight in .* is 0\.0; weights go from above 0"),
        ([{"weight": float("nan")}], "A weight in .* is nan"),
        ([{"weight": float("inf")}], "A weight in .* is inf"),
    ],
)
def test_a_row_that_makes_no_sense_is_told(tmp_path: Path, rows: list[dict[str, Any]], message: str) -> None:
    path = write(tmp_path / "labels.parquet", [{**label(ROWS[0], True), **row} for row in rows])
    with pytest.raises(UserError, match=message):
        decide(similarity(path, precision=0.5), ROWS)


def test_a_file_that_is_no_labels_file_is_told(tmp_path: Path) -> None:
    part = similarity(str(tmp_path / "labels.parquet"), precision=0.5)
    with pytest.raises(UserError, match=r"There is no labels file at .*; write one with `cirgen review RUN --export"):
        decide(part, ROWS)
    (tmp_path / "labels.parquet").write_text("good")
    with pytest.raises(UserError, match="is no Parquet file"):
        decide(part, ROWS)
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "labels.parquet")
    with pytest.raises(UserError, match="lacks reference_id, target_id, good"):
        decide(part, ROWS)
    bad = {"reference_id": ["a"], "text": ["a"], "target_id": ["a"], "good": ["yes"]}
    pq.write_table(pa.table(bad), tmp_path / "labels.parquet")
    with pytest.raises(UserError, match=r"The column good of .* is string; make it true or false"):
        decide(part, ROWS)


def test_labels_without_weights_all_count_alike(tmp_path: Path, labels: str) -> None:
    plain = pq.read_table(labels).drop_columns("weight")
    pq.write_table(plain, tmp_path / "plain.parquet")
    assert threshold(similarity(str(tmp_path / "plain.parquet"), precision=0.9), ROWS) == threshold(
        similarity(labels, precision=0.9), ROWS
    )


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"lower": 0.1, "lower_fit": {"labels": "l", "keep": 1}}, "lower and lower_fit are two ways to say one thing"),
        (
            {"lower": 0.1, "lower_percentile": 5, "lower_fit": {"labels": "l", "keep": 1}},
            "lower, lower_percentile and lower_fit are three ways to say one thing; keep one",
        ),
        ({"lower_fit": {"labels": "l"}}, "aims at either precision or keep; give one of the two"),
        ({"lower_fit": {"labels": "l", "precision": 1, "keep": 1}}, "aims at either precision or keep"),
        ({"lower_fit": {"labels": "l", "precision": 95}}, "less than or equal to 1"),
        ({"lower_fit": {"labels": "", "keep": 1}}, "at least 1 character"),
    ],
)
def test_fits_that_make_no_sense_are_refused(settings_: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_filter("similarity", **settings_)


def bounded() -> list[tuple[str, str]]:
    """Every bound that a recipe can fit."""
    parts = {name: FILTERS._parts[name] for name in FILTERS.names}
    return [
        (name, bound.option)
        for name, part in parts.items()
        if issubclass(part, BoundedFilter)
        for bound in part.bounds
    ]


@pytest.mark.parametrize("name", FILTERS.names)
def test_no_score_is_called_like_a_column_that_names_a_triplet(name: str) -> None:
    """A table to decide on holds both, and the one would hide the other."""
    assert not set(FILTERS._parts[name].score_notes) & set(TRIPLET.names)


@pytest.mark.parametrize(("name", "option"), bounded())
def test_every_bound_of_every_filter_can_be_fitted(tmp_path: Path, name: str, option: str) -> None:
    """Whatever else a filter needs to be told, so only its bounds are looked at."""
    path, rows = str(tmp_path / "labels.parquet"), rows_of(SCORES)
    write(tmp_path / "labels.parquet", [label(row, number % 4 < 3) for number, row in enumerate(rows)])
    kind = FILTERS._parts[name]
    fit = Fit(labels=path, keep=0.75)
    part = kind(kind.Settings.model_construct(name=name, **{f"{option}_fit": fit}))  # type: ignore[call-arg]
    assert isinstance(part, BoundedFilter)
    assert set(part.decides_on) >= set(IDENTITY)
    bound = next(bound for bound in part.bounds if bound.option == option)
    assert bound.score in part.score_notes
    columns = {column: pa.array([row[column] for row in rows]) for column in ("triplet_id", *part.decides_on)}
    measured = {score: pa.array([100 * value for value in SCORES], pa.float64()) for score in part.score_notes}
    (curve,) = part.curves(pa.table(columns | measured)).values()
    assert curve.reached == 100
    assert curve.kept[curve.chosen] >= 0.75
    assert curve.threshold in curve.thresholds
