"""Words about what people are, and words that only look like them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cirgen.errors import UserError
from cirgen.filters.people import KINDS, People, PeopleSettings
from deciding import make_filter, reason

ALL = make_filter("people")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("a black man", "skin"),
        ("give her darker skin", "skin"),
        ("a dark-skinned person", "skin"),
        ("show white people", "skin"),
        ("an old woman", "age"),
        ("make the man older", "age"),
        ("the man is much younger", "age"),
        ("a boy about 5 years old", "age"),
        ("two young children", "age"),
        ("an Asian girl", "ethnicity"),
        ("the model is Hispanic", "ethnicity"),
        ("a woman instead of a man", "gender"),
        ("change the boy to a girl", "gender"),
        ("replace the man with two women", "gender"),
        ("is more feminine", "gender"),
        ("a thinner person", "body"),
        ("he is bald", "body"),
        ("an overweight cat owner", "body"),
        ("a blind man", "disability"),
        ("add a wheelchair user", "disability"),
        ("a Muslim woman", "religion"),
        ("the old woman's hat is red", "age"),
    ],
)
def test_what_says_something_of_a_person_is_dropped(text: str, kind: str) -> None:
    assert reason(ALL, text) == f"speaks of {kind}"


@pytest.mark.parametrize(
    "text",
    [
        "a black shirt",
        "an old car",
        "the man wears a black hat",
        "make the man's shirt black",
        "the girl with a white hat",
        "put the man on a white horse",
        "is a black women's shirt",
        "a white baby doll dress",
        "a short-sleeved shirt on the man",
        "the dog is older",
        "turn the dog black and white",
        "a man in black",
        "close the window blinds",
        "a Christian Dior bag",
        "an Asian elephant",
        "a man and a woman hold hands",
        "add a wheelchair",
        "people, old houses and a dark sky",
        "a young dog",
        "a dark-haired woman",
        "race cars on the track",
        "a tall glass beside the woman",
        "",
    ],
)
def test_what_says_it_of_a_thing_passes(text: str) -> None:
    assert reason(ALL, text) == ""


def test_a_text_with_several_attributes_is_counted_for_each_kind_and_quoted() -> None:
    [score] = People(PeopleSettings()).score(_batch("a young, black man beside an old woman"), None)  # type: ignore[arg-type]
    assert (score.values["skin"], score.values["age"], score.values["gender"]) == (1, 2, 0)
    assert score.detail == "black man; young , black man; old woman"


def _batch(text: str):  # type: ignore[no-untyped-def]
    import pyarrow as pa

    from cirgen.schemas import TRIPLET
    from deciding import triplets

    return pa.RecordBatch.from_pylist(triplets(text), schema=TRIPLET)


def test_only_the_kinds_that_are_named_are_dropped() -> None:
    part = make_filter("people", drop=["age"])
    assert reason(part, "a black man") == ""
    assert reason(part, "an old, black man") == "speaks of age"


def test_every_kind_can_be_dropped_and_has_words() -> None:
    lists = People(PeopleSettings())
    assert [one.kind for one in lists._patterns.kinds] == list(KINDS)
    assert all(one.patterns for one in lists._patterns.kinds)


OWN = """
people: [clown, clowns]
except: [old clown shoe]
kinds:
  age:
    alone: [ancient]
    beside: [vintage]
"""


def test_a_file_of_ones_own_adds_words_or_stands_in_the_place_of_the_shipped_one(tmp_path: Path) -> None:
    path = tmp_path / "words.yaml"
    path.write_text(OWN, encoding="utf8")
    more = make_filter("people", words=str(path))
    assert [reason(more, text) for text in ("an old clown", "a vintage man", "ancient", "an old clown shoe")] == [
        *["speaks of age"] * 3,
        "",
    ]
    instead = make_filter("people", words=str(path), replace=True)
    assert [reason(instead, text) for text in ("a vintage clown", "an old man")] == ["speaks of age", ""]


def test_other_words_are_scored_again_and_the_same_words_elsewhere_are_not(tmp_path: Path) -> None:
    one, other = tmp_path / "one.yaml", tmp_path / "other.yaml"
    for path in (one, other):
        path.write_text(OWN, encoding="utf8")
    scoring = make_filter("people", words=str(one)).scoring()
    assert scoring == make_filter("people", words=str(other)).scoring()
    other.write_text(OWN.replace("ancient", "antique"), encoding="utf8")
    assert scoring != make_filter("people", words=str(other)).scoring() != ALL.scoring()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read"),
        ("kinds: [", "is not YAML"),
        ("a list", "has no fields"),
        ("kinds: {hair: {alone: [blond]}}", "is wrong"),
        ("kinds: {age: {aloen: [old]}}", "kinds.age.aloen: Extra inputs"),
    ],
)
def test_a_file_that_is_no_word_list_is_told(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "words.yaml"
    if text is not None:
        path.write_text(text, encoding="utf8")
    with pytest.raises(UserError, match=message):
        reason(make_filter("people", words=str(path)), "an old man")


def test_replacing_the_list_needs_another() -> None:
    with pytest.raises(ValueError, match="replace needs words"):
        make_filter("people", replace=True)
