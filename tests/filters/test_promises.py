"""What holds for every filter."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cirgen.filters.registry import FILTERS
from deciding import Plane, batch_of, decide, make_filter, tools_of, triplets

CAPTIONS = ["", "a red shirt and a hat", "a blue shirt", "a tall hat"]
TEXTS = [
    "",
    "blue",
    "make the shirt blue",
    "Make the shirt blue!",
    "make the shirts blue",
    "remove the red hat instead of the tall blue shirt",
    "no red shirt, no hat",
    "the second image shows a hat",
    "red hat and red hat and red hat and red hat and",
    "the young woman wears a red hat and a blue shirt in front of a tree",
    "the young woman wears a red hat and a blue shirt in front of a wall",
]
NEAR = [[], [{"image_id": name, "kind": "mined"} for name in ("20", "40", "60", "80")]]
ROW = st.fixed_dictionaries(
    {
        "text": st.sampled_from(TEXTS),
        "reference_id": st.sampled_from(["0", "30"]),
        "target_id": st.sampled_from(["10", "50", "90"]),
        "similarity": st.sampled_from([-0.5, 0.25, 0.5, 0.75, 1.0]),
        "reference_caption": st.sampled_from(CAPTIONS),
        "target_caption": st.sampled_from(CAPTIONS),
        "hard_negatives": st.sampled_from(NEAR),
    }
)
ROWS = st.lists(ROW, min_size=1, max_size=25).map(lambda rows: triplets(*rows))
PERCENT = st.integers(0, 100)
SHARE = st.integers(1, 20).map(lambda part: part / 20)

BOUNDS: dict[tuple[str, str], tuple[Any, bool]] = {
    ("lint", "min_words"): (st.integers(0, 8), False),
    ("lint", "max_words"): (st.integers(2, 12), True),
    ("lint", "max_characters"): (st.integers(1, 60), True),
    ("lint", "max_repeats"): (st.integers(1, 5), True),
    ("lint", "max_other_script"): (SHARE, True),
    ("duplicate", "near"): (SHARE, True),
    ("duplicate", "targets_per_text"): (st.integers(1, 4), True),
    ("duplicate", "per_pair"): (st.integers(1, 5), True),
    ("similarity", "lower"): (SHARE, False),
    ("similarity", "lower_percentile"): (PERCENT, False),
    ("similarity", "upper"): (SHARE, True),
    ("similarity", "upper_percentile"): (PERCENT, True),
    ("reference_leak", "max_share"): (SHARE, True),
    ("reference_leak", "max_share_percentile"): (PERCENT, True),
    ("reference_leak", "free_words"): (st.integers(0, 4), True),
    ("reference_leak", "max_tail"): (st.integers(0, 4), True),
    ("agreement", "min_target"): (SHARE, False),
    ("agreement", "min_target_percentile"): (PERCENT, False),
    ("agreement", "min_margin"): (SHARE, False),
    ("agreement", "min_margin_percentile"): (PERCENT, False),
    ("target_leak", "max_share"): (SHARE, True),
    ("target_leak", "max_share_percentile"): (PERCENT, True),
    ("target_leak", "free_words"): (st.integers(0, 4), True),
    ("shortcut", "min_text_rank"): (st.integers(1, 12), False),
    ("shortcut", "min_text_rank_percentile"): (PERCENT, False),
    ("shortcut", "min_image_rank"): (st.integers(1, 12), False),
    ("shortcut", "min_image_rank_percentile"): (PERCENT, False),
    ("too_broad", "max_rivals"): (st.integers(0, 9), True),
    ("too_broad", "max_rivals_percentile"): (PERCENT, True),
    ("judge", "min_yes"): (SHARE, False),
    ("judge", "min_yes_percentile"): (PERCENT, False),
    ("change_count", "min_changes"): (st.integers(1, 3), False),
    ("change_count", "min_changes_percentile"): (PERCENT, False),
    ("change_count", "max_changes"): (st.integers(1, 3), True),
    ("change_count", "max_changes_percentile"): (PERCENT, True),
    ("claims", "min_true"): (SHARE, False),
    ("claims", "min_true_percentile"): (PERCENT, False),
    ("claims", "max_false"): (SHARE, True),
    ("claims", "max_false_percentile"): (PERCENT, True),
    ("round_trip", "min_passed"): (st.integers(0, 3), False),
    ("round_trip", "min_passed_percentile"): (PERCENT, False),
    ("round_trip", "min_share"): (SHARE, False),
    ("round_trip", "min_share_percentile"): (PERCENT, False),
    ("likelihood", "min_text"): (st.integers(-10, 0), False),
    ("likelihood", "min_text_percentile"): (PERCENT, False),
    ("likelihood", "min_forward"): (SHARE, False),
    ("likelihood", "min_forward_percentile"): (PERCENT, False),
    ("likelihood", "min_share"): (SHARE, False),
    ("likelihood", "min_share_percentile"): (PERCENT, False),
    ("near_duplicate", "same_text"): (st.integers(1, 5), True),
    ("near_duplicate", "near"): (st.integers(10, 20).map(lambda part: part / 20), True),
    ("near_duplicate", "min_words"): (st.integers(2, 12), True),
    ("near_duplicate", "copies"): (st.integers(1, 4), True),
    ("language", "min_confidence"): (SHARE, True),
    ("language", "min_words"): (st.integers(0, 9), True),
    ("contradiction", "max_target"): (SHARE, True),
    ("contradiction", "max_target_percentile"): (PERCENT, True),
    ("contradiction", "max_reference"): (SHARE, True),
    ("contradiction", "max_reference_percentile"): (PERCENT, True),
    ("unsafe", "max_probability"): (SHARE, True),
    ("unsafe", "max_probability_percentile"): (PERCENT, True),
    ("diversity", "max_share"): (SHARE, True),
    ("diversity", "always"): (st.integers(1, 9), True),
}
"""Every threshold, values to try, and whether a larger one is looser."""
UNSAFE = {"classifier": {"model": "a/model"}, "labels": ["neutral"]}
NEEDED: dict[str, dict[str, Any]] = {
    "reference_leak": {"max_share": 0.2},
    "target_leak": {"max_share": 0.2},
    "contradiction": {"classifier": {"model": "an/nli"}},
    "unsafe": UNSAFE,
}
TIGHT: dict[str, dict[str, Any]] = {
    "lint": {"min_words": 3},
    "duplicate": {"near": 0.8, "per_pair": 2, "targets_per_text": 1},
    "similarity": {"lower_percentile": 30, "upper": 0.6},
    "reference_leak": {"max_share": 0.2, "free_words": 0},
    "agreement": {"min_target_percentile": 40, "min_margin": 0.1},
    "diversity": {"max_share": 0.1, "always": 1},
    "judge": {"min_yes": 0.6},
    "claims": {"min_true_percentile": 50},
    "change_count": {"min_changes": 2},
    "round_trip": {"min_passed": 3},
    "likelihood": {"min_share": 0.4, "min_text": -6},
    "target_leak": {"max_share": 0.3, "free_words": 0},
    "shortcut": {"min_text_rank": 4, "min_image_rank_percentile": 40},
    "too_broad": {"max_rivals": 2},
    "near_duplicate": {"same_text": 2, "near": 0.5, "min_words": 2, "copies": 1},
    "people": {},
    "language": {"languages": ["de"], "min_words": 0, "min_confidence": 0.1},
    "decontamination": {"against": ["list.parquet"]},
    "contradiction": {"classifier": {"model": "an/nli"}, "max_target": 0.4, "max_reference_percentile": 60},
    "unsafe": UNSAFE | {"max_probability": 0.4},
}


ASKING = {"model", "prompt", "observe", "observed_tokens", "split", "target", "both", "shuffles", "others"}
"""Settings of filters that ask a model which change scores, and reject nothing by themselves."""


def settings_with(name: str, option: str, value: Any) -> dict[str, Any]:
    needed = {} if option.startswith("max_share") else NEEDED.get(name, {})
    return {**needed, option: value}


def test_every_filter_and_every_threshold_is_tried_here() -> None:
    assert set(TIGHT) == set(FILTERS.names)
    named = {
        (name, option)
        for name in FILTERS.names
        for option in type(make_filter(name, **TIGHT[name]).settings).model_fields
    }  # type: ignore[attr-defined]
    fits = {(name, option) for name, option in named if option.endswith("_fit")}  # test_fits.py tries them
    assert named - fits - set(BOUNDS) == {
        ("lint", "allow"),
        ("lint", "language"),
        ("shortcut", "encoders"),
        ("shortcut", "action"),
        ("too_broad", "encoders"),
        ("people", "drop"),
        ("people", "words"),
        ("people", "replace"),
        ("language", "languages"),
        ("decontamination", "against"),
        ("decontamination", "match"),
        ("contradiction", "classifier"),
        ("unsafe", "classifier"),
        ("unsafe", "labels"),
        ("unsafe", "words"),
        *((name, setting) for name, setting in named if setting in ASKING),
        *((name, "name") for name in FILTERS.names),
    }


@pytest.mark.parametrize("name", FILTERS.names)
@given(rows=ROWS, order=st.randoms())
def test_a_decision_is_pure_and_does_not_depend_on_the_order_of_rows(name: str, rows: list[Any], order: Any) -> None:
    part = make_filter(name, **TIGHT[name])
    reasons = dict(zip((row["triplet_id"] for row in rows), decide(part, rows, Plane()), strict=True))
    shuffled = order.sample(rows, len(rows))
    again = dict(zip((row["triplet_id"] for row in shuffled), decide(part, shuffled, Plane()), strict=True))
    assert reasons == again


@pytest.mark.parametrize("name", FILTERS.names)
@given(rows=ROWS)
def test_a_score_depends_on_its_row_alone(name: str, rows: list[Any]) -> None:
    part, tools = make_filter(name, **TIGHT[name]), tools_of(rows, Plane())
    together = part.score(batch_of(part, rows), tools)
    assert together == [part.score(batch_of(part, [row]), tools)[0] for row in rows]


@pytest.mark.parametrize("name", FILTERS.names)
@given(rows=ROWS)
def test_every_row_gets_an_answer_and_reasons_hold_no_figures(name: str, rows: list[Any]) -> None:
    reasons = decide(make_filter(name, **TIGHT[name]), rows, Plane())
    assert len(reasons) == len(rows)
    assert not any(character.isdigit() for reason in reasons for character in reason)


@pytest.mark.parametrize(("name", "option"), BOUNDS)
@given(data=st.data(), rows=ROWS)
def test_loosening_a_threshold_never_rejects_another_row(name: str, option: str, data: Any, rows: list[Any]) -> None:
    values, larger_is_looser = BOUNDS[name, option]
    tight, loose = sorted([data.draw(values), data.draw(values)], reverse=not larger_is_looser)
    rejected = [
        {row["triplet_id"] for row, reason in zip(rows, decide(part, rows, Plane()), strict=True) if reason}
        for part in (make_filter(name, **settings_with(name, option, value)) for value in (tight, loose))
    ]
    assert rejected[1] <= rejected[0]


def test_every_filter_can_reject() -> None:
    rows = triplets(*({"text": text, "reference_id": "0", "target_id": "10"} for text in [*TEXTS, *TEXTS]))
    for number, row in enumerate(rows):
        row.update(similarity=number / 20, target_id=str(10 * number))
        row.update(reference_caption=CAPTIONS[1], target_caption=CAPTIONS[3])
    for name in FILTERS.names:
        assert any(decide(make_filter(name, **TIGHT[name]), rows, Plane())), name
