"""A tail that tells the reference again is taken off, and nothing else changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cirgen.filters.words import content_words
from cirgen.tails import LEAST_WORDS, TAIL, strip_tails


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a black cat instead of the brown dog", "a black cat"),
        ("A black cat on a sofa, rather than a dog on the grass.", "A black cat on a sofa."),
        ("a black cat instead of the brown dog, on a sofa", "a black cat, on a sofa"),
        ("Instead of the brown dog, a black cat on a sofa", "a black cat on a sofa"),
        ("Unlike the first one, it is a red wooden chair", "it is a red wooden chair"),
        (
            "a red hat and a blue shirt instead of a coat; two balls in place of one",
            "a red hat and a blue shirt; two balls",
        ),
        ("a red hat and, instead of the dog, a cat", "a red hat and, a cat"),
        ("the shirt is green, compared to blue, and", "the shirt is green"),
    ],
)
def test_the_tail_goes_and_the_rest_stays(text: str, left: str) -> None:
    assert strip_tails(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "make the hat red",
        "a dog,  with two spaces ,and odd marks ;",
        "sit rather than stand",
        "a cat instead of the brown dog on the wet grass",
        "instead of a dog",
        "",
    ],
)
def test_a_text_without_a_tail_or_with_little_else_stays_as_it_was(text: str) -> None:
    assert strip_tails(text) == text


PIECE = st.sampled_from(
    [
        "a red hat",
        "black cat",
        "instead of",
        "Rather than",
        "unlike",
        "in place",
        "of",
        "and",
        ",",
        ".",
        ";",
        " ",
        "the dog",
        "IN PLACE OF",
        "compared to",
        "-",
    ]
)
TEXT = st.lists(PIECE, max_size=14).map(" ".join) | st.text(max_size=40)


@given(text=TEXT)
def test_taking_tails_off_twice_is_taking_them_off_once(text: str) -> None:
    assert strip_tails(strip_tails(text)) == strip_tails(text)


@given(text=TEXT)
def test_a_text_never_gets_longer_and_keeps_its_words_in_order(text: str) -> None:
    left = strip_tails(text)
    assert len(left) <= len(text)
    words = iter(text.split())
    assert left == text or all(any(word.strip(",.;:-") in known for known in words) for word in left.split())


@given(text=TEXT)
def test_what_is_left_has_no_tail_and_enough_to_say(text: str) -> None:
    left = strip_tails(text)
    if left != text:
        assert not TAIL.search(left)
        assert len(content_words(left)) >= LEAST_WORDS


@given(text=TEXT.filter(lambda text: not TAIL.search(text)))
def test_without_a_tail_nothing_changes(text: str) -> None:
    assert strip_tails(text) == text
