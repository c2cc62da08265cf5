from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from cirgen.filters.base import Filter
from cirgen.schemas import TRIPLET
from deciding import Plane, decide, make_filter, reason, tools_of, triplets

# In the plane a name is an angle, and the gallery has a picture at 10, 20 ... 90 degrees.
BY_TEXT = {"reference_id": "80", "text": "9", "target_id": "10"}
BY_IMAGE = {"reference_id": "12", "text": "85", "target_id": "10"}
BY_BOTH = {"reference_id": "10", "text": "90", "target_id": "50"}


def scores(part: Filter, *rows: dict[str, Any]) -> list[dict[str, float]]:
    filled = triplets(*rows)
    batch = pa.RecordBatch.from_pylist(filled, schema=TRIPLET)
    return [score.values for score in part.score(batch, tools_of(filled, Plane()))]


def table(part: Filter, *rows: dict[str, Any]) -> pa.Table:
    measured = scores(part, *rows)
    return pa.table({name: [float(row[name]) for row in measured] for name in measured[0]})


def test_the_target_is_ranked_for_each_half_and_for_both() -> None:
    text, image, both = scores(make_filter("shortcut", min_text_rank=2), BY_TEXT, BY_IMAGE, BY_BOTH)
    assert text == {"text_rank": 1, "image_rank": 9, "composed_rank": 8, "candidates": 9}
    assert (image["text_rank"], image["image_rank"]) == (9, 1)
    assert both["composed_rank"] == 1
    assert min(both["text_rank"], both["image_rank"]) > 3


def test_each_half_has_its_bound_and_a_bound_that_is_not_set_leaves_its_half_out() -> None:
    plane = Plane()
    both_halves = make_filter("shortcut", min_text_rank=3, min_image_rank=3)
    rows = triplets(BY_TEXT, BY_IMAGE, BY_BOTH)
    assert decide(both_halves, rows, plane) == ["text alone finds the target", "image alone finds the target", ""]
    assert decide(make_filter("shortcut", min_text_rank=3), rows, plane)[1] == ""
    assert decide(make_filter("shortcut", min_image_rank=3), rows, plane)[0] == ""


def test_a_tag_keeps_the_triplet_and_says_what_it_is() -> None:
    part = make_filter("shortcut", min_text_rank=3, action="tag")
    rows = table(part, BY_TEXT, BY_BOTH)
    assert part.decide(rows) == ["", ""]
    assert part.marks(rows) == {"tagged": [1.0, 0.0]}
    assert list(part.mark_notes) == ["tagged"]


def test_a_weight_is_the_smaller_rank_over_its_bound() -> None:
    part = make_filter("shortcut", min_text_rank=4, min_image_rank=2, action="weight")
    rows = table(part, BY_TEXT, BY_IMAGE, BY_BOTH)
    assert part.decide(rows) == ["", "", ""]
    assert part.marks(rows) == {"weight": [0.25, 0.5, 1.0]}
    assert list(part.mark_notes) == ["weight"]


def test_who_rejects_marks_nothing() -> None:
    part = make_filter("shortcut", min_text_rank=4)
    assert part.marks(table(part, BY_TEXT)) == {}
    assert not part.mark_notes


def test_without_a_bound_there_is_nothing_to_reject() -> None:
    with pytest.raises(ValueError, match="without a bound this filter can reject nothing; set min_text_rank or"):
        make_filter("shortcut")


def test_a_broad_query_has_rivals_and_a_precise_one_has_none() -> None:
    part = make_filter("too_broad", max_rivals=0)
    [precise, broad] = scores(part, BY_BOTH, {"reference_id": "10", "text": "90", "target_id": "85"})
    assert (precise["rivals"], broad["rivals"]) == (0, 7)
    assert decide(part, triplets(BY_BOTH, {**BY_BOTH, "target_id": "85"}), Plane()) == ["", "many pictures fit"]


def test_known_answers_of_a_query_are_no_rivals() -> None:
    """The pictures at 50, 60 and 40 degrees answer best; all three are targets of it."""
    part = make_filter("too_broad", max_rivals=0)
    query = {"reference_id": "10", "text": "90"}
    known = triplets(*({**query, "target_id": target, "target_group": target} for target in ("50", "60", "40")))
    assert decide(part, known, Plane()) == ["", "", ""]
    assert decide(part, known[2:], Plane()) == ["many pictures fit"]
    other = triplets(*({**row, "text": "90.0"} for row in known[:2]), known[2])
    assert decide(part, other[2:], Plane()) == ["many pictures fit"]


CAPTION = "a red hat on a blue wooden chair"


def test_a_caption_of_the_target_is_a_leak_and_a_change_is_none() -> None:
    part = make_filter("target_leak", max_share=0.7)
    assert reason(part, "a blue chair, wooden, with a red hat", target_caption=CAPTION) == "describes the target"
    assert reason(part, "make the hat red", target_caption=CAPTION) == ""


def test_of_a_short_caption_a_few_words_are_free() -> None:
    assert reason(make_filter("target_leak", max_share=0.7), "a red hat", target_caption="a red hat") == ""
    strict = make_filter("target_leak", max_share=0.7, free_words=1)
    assert reason(strict, "a red hat", target_caption="a red hat") == "describes the target"


def test_without_a_caption_nothing_leaks() -> None:
    assert reason(make_filter("target_leak", max_share=0, free_words=0), "a red hat on a chair") == ""
