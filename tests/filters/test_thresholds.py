from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from deciding import Plane, decide, make_filter, reason, triplets

ROWS = triplets(*({"similarity": number / 10} for number in range(11)))


def accepted(**settings: float) -> list[int]:
    reasons = decide(make_filter("similarity", **settings), ROWS)
    return [number for number, found in enumerate(reasons) if not found]


def test_a_window_is_given_by_value_or_by_percentile() -> None:
    assert accepted(lower=0.25, upper=0.75) == [3, 4, 5, 6, 7]
    assert accepted(lower_percentile=20, upper_percentile=80) == [2, 3, 4, 5, 6, 7, 8]
    assert accepted(lower=0.45, upper_percentile=70) == [5, 6, 7]


def test_too_near_and_too_far_have_their_own_reasons() -> None:
    window = make_filter("similarity", lower=0.2, upper=0.8)
    assert reason(window, similarity=0.1) == "too different"
    assert reason(window, similarity=0.9) == "too similar"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "can reject nothing; set lower or lower_percentile"),
        ({"lower": 0.1, "lower_percentile": 5}, "two ways to say one thing"),
        ({"lower": 0.9, "upper": 0.1}, r"lower 0\.9 is above upper 0\.1"),
        ({"lower_percentile": 101}, "less than or equal to 100"),
    ],
)
def test_bounds_that_make_no_sense_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_filter("similarity", **settings)


def test_agreement_measures_text_and_target_against_text_and_reference() -> None:
    rows = triplets(
        {"text": "0", "target_id": "10", "reference_id": "80"},
        {"text": "0", "target_id": "80", "reference_id": "85"},
        {"text": "0", "target_id": "30", "reference_id": "20"},
    )
    part = make_filter("agreement", min_target=0.5, min_margin=0)
    assert decide(part, rows, Plane()) == ["", "text far from the target", "text nearer to the reference"]
    by_percentile = make_filter("agreement", min_target_percentile=50)
    assert decide(by_percentile, rows, Plane()) == ["", "text far from the target", ""]


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("change_count", {"min_changes": 5, "max_changes": 2}, "min_changes 5 is above max_changes 2"),
        (
            "change_count",
            {"min_changes_percentile": 90, "max_changes_percentile": 5},
            "min_changes_percentile 90 is above max_changes_percentile 5",
        ),
        ("round_trip", {"min_passed": 5, "shuffles": 3}, "min_passed 5 is above shuffles 3"),
    ],
)
def test_bounds_that_nothing_can_pass_are_refused_before_a_model_is_asked(
    name: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        make_filter(name, **settings)
    loose = {option: value for option, value in settings.items() if option.startswith(("max", "shuffles"))}
    assert make_filter(name, **{**loose, next(iter(settings)): 1})
