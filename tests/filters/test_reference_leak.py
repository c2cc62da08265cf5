from __future__ import annotations

from deciding import make_filter, reason

CAPTIONS = {"reference_caption": "a brown dog on the wet grass", "target_caption": "a black cat on a sofa"}
LEAK = make_filter("reference_leak", max_share=0.5)


def test_a_text_made_of_the_reference_is_rejected() -> None:
    assert reason(LEAK, "not the brown dog, not the wet grass", **CAPTIONS) == "restates the reference"


def test_a_text_about_the_target_passes() -> None:
    assert reason(LEAK, "make it a black cat on a sofa", **CAPTIONS) == ""
    assert reason(LEAK, "turn the brown dog into a black cat on the sofa", **CAPTIONS) == ""


def test_a_removal_may_name_what_goes() -> None:
    assert reason(LEAK, "remove the dog", **CAPTIONS) == ""


def test_a_plural_is_the_same_word() -> None:
    text = "no dogs, browns or grass"
    assert reason(LEAK, text, **CAPTIONS) == "restates the reference"


def test_a_long_tail_is_rejected_and_a_short_one_is_not() -> None:
    assert reason(LEAK, "a black cat instead of the brown dog", **CAPTIONS) == ""
    text = "a black cat on a sofa indoors with cushions instead of the brown dog on the wet grass"
    assert reason(LEAK, text, **CAPTIONS) == "describes what it replaces"
    assert reason(make_filter("reference_leak", max_share=0.5, max_tail=None), text, **CAPTIONS) == ""


def test_without_captions_nothing_can_leak() -> None:
    assert reason(LEAK, "not the brown dog, not the wet grass") == ""
