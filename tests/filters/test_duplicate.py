from __future__ import annotations

from deciding import decide, make_filter, triplets

PAIR = {"reference_id": "r", "target_id": "t"}


def said(*rows: dict[str, str], **settings: float) -> list[str]:
    """Decide rows whose triplet_id follows their order."""
    numbered = [{**PAIR, **row, "triplet_id": f"{number:03}"} for number, row in enumerate(rows)]
    return decide(make_filter("duplicate", **settings), triplets(*numbered))


def test_the_same_words_of_one_pair_stay_once() -> None:
    assert said({"text": "Make it BLUE."}, {"text": "make it  blue"}) == ["", "same text"]
    assert said({"text": "make it blue"}, {"text": "make it blue", "reference_id": "other"}) == ["", ""]


def test_of_equals_the_smallest_triplet_id_stays_wherever_it_stands() -> None:
    rows = triplets(*({**PAIR, "text": "make it blue", "triplet_id": name} for name in ("c", "a", "b")))
    assert decide(make_filter("duplicate"), rows) == ["same text", "", "same text"]


def test_nearly_the_same_words_of_one_pair_stay_once() -> None:
    long = "give the figure a blue shirt and a tall green hat"
    assert said({"text": long}, {"text": long.replace("tall", "tal")}) == ["", "nearly the same text"]
    assert said({"text": "make the shirt blue"}, {"text": "make the shirt red"}) == ["", ""]


def test_a_text_cannot_be_true_both_ways() -> None:
    back = {"reference_id": "t", "target_id": "r"}
    assert said({"text": "another color"}, {"text": "another color", **back}) == ["", "same text both ways"]


def test_one_text_leads_to_so_many_targets_at_most() -> None:
    rows = [{"text": "make it blue", "target_id": f"t{number}"} for number in range(3)]
    assert said(*rows, targets_per_text=2) == ["", "", "same text for other targets"]
    assert said(*rows, {"text": "make it blue", "reference_id": "r2"}, targets_per_text=2)[-1] == ""


def test_a_pair_has_so_many_texts_at_most() -> None:
    rows = [{"text": text} for text in ("make it blue", "add a hat", "remove shoes")]
    assert said(*rows, per_pair=2) == ["", "", "too many texts of the pair"]
