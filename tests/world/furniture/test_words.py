"""Furniture in words: both grammars are read back as what they were written from, and nothing else is read."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cirgen.world.claims import Copy, Given, Swap, Value, apply
from cirgen.world.furniture.families import everything, neighbours
from cirgen.world.furniture.grammars import FIRST, SECOND, caption, change, change_parts
from cirgen.world.furniture.item import Item, visible
from cirgen.world.furniture.parser import parse, parse_caption
from cirgen.world.furniture.vocabulary import PALETTE, PARTS, VIEWS, kinds
from cirgen.world.furniture.words import KINDS
from cirgen.world.furniture.words import PARTS as PART_WORDS
from cirgen.world.furniture.words import VIEWS as VIEW_WORDS
from cirgen.world.furniture.writer import Writer
from cirgen.world.lexicon import COLOR, LEXICON
from cirgen.world.phrases import split_words
from cirgen.world.truth import hold
from cirgen.world.worlds import FURNITURE

CHAIR = visible(kind="armchair", view="front", seat="red", frame="black")
STYLES = (FIRST, SECOND)
seeds = st.integers(min_value=0, max_value=2**32)


def pair(seed: int) -> tuple[Item, Item]:
    """A piece of furniture, and another like it or, now and then, one of other parts."""
    rng = random.Random(seed)
    one = rng.choice(everything())
    return one, next(neighbours(one, rng)) if rng.random() < 0.8 else rng.choice(everything())


@given(seeds, st.sampled_from(STYLES))
def test_a_text_is_read_back_as_the_change_it_was_written_from(seed: int, style: object) -> None:
    reference, target = pair(seed)
    text = change(reference, target, random.Random(seed), style=style)  # type: ignore[arg-type]
    if text is None:
        assert reference == target
        return
    claims = parse(text)
    assert claims is not None, text
    assert apply(claims, reference) == target, text
    assert hold(claims, reference, target, FURNITURE), text


@given(seeds)
def test_every_single_change_of_a_text_can_be_read_by_itself(seed: int) -> None:
    reference, target = pair(seed)
    found = change_parts(reference, target, random.Random(seed))
    for part in found[1] if found else ():
        claims = parse(part)
        assert claims is not None and hold(claims, reference, target, FURNITURE), part


@given(seeds, st.sampled_from(STYLES))
def test_a_caption_is_read_back_as_what_the_picture_shows(seed: int, style: object) -> None:
    item = random.Random(seed).choice(everything())
    told = parse_caption(caption(item, random.Random(seed), style=style))  # type: ignore[arg-type]
    assert told == {name: value for name, value in asdict(item).items() if value}


@given(seeds, st.integers(min_value=3, max_value=14))
def test_a_brief_caption_tells_the_kind_and_nothing_false(seed: int, words: int) -> None:
    item = random.Random(seed).choice(everything())
    told = parse_caption(caption(item, random.Random(seed), words)) or {}
    assert told["kind"] == item.kind
    assert told.items() <= asdict(item).items()


@pytest.mark.parametrize(
    ("text", "claims"),
    [
        ("make the seat blue", {Value("seat", "blue")}),
        ("with a blue seat instead of the red seat", {Value("seat", "blue"), Given("seat", ("red",))}),
        ("a bar stool instead of the armchair", {Value("kind", "bar stool"), Given("kind", ("armchair",))}),
        ("seen from behind", {Value("view", "behind")}),
        ("the seat should match the frame", {Copy("seat", "frame")}),
        ("the seat in the frame's colour", {Copy("seat", "frame")}),
        ("swap the colours of the seat and the frame", {Swap("seat", "frame")}),
    ],
)
def test_what_texts_claim(text: str, claims: set[object]) -> None:
    """Beside what it changes, a text says that the reference has the parts it names."""
    named = {claim for claim in parse(text) or () if isinstance(claim, Given) and len(claim.values) == len(PALETTE)}
    assert set(parse(text) or ()) - named == claims


@pytest.mark.parametrize(
    "text", ["", "nice", "make the seat comfortable", "make the blue", "the seat", "make it red", "remove the seat"]
)
def test_what_is_outside_the_grammar_is_not_read_at_all(text: str) -> None:
    assert parse(text) is None


def test_a_text_may_leave_changes_unsaid_when_asked_to() -> None:
    target = visible(kind="bar stool", view="side", seat="blue", frame="white")
    counts = Counter(
        len(Writer(SECOND, random.Random(seed)).clauses(CHAIR, target, exhaustive=False)) for seed in range(60)
    )
    assert set(counts) == {1, 2, 3, 4}


def test_a_text_that_relates_is_written_where_the_pair_allows_it_alone() -> None:
    swapped = CHAIR.with_values(seat="black", frame="red")
    text = change(CHAIR, swapped, random.Random(0), "relation")
    assert text is not None and any(isinstance(claim, Swap) for claim in parse(text) or ())
    assert change(CHAIR, CHAIR.with_values(seat="blue"), random.Random(0), "relation") is None


def test_a_part_that_another_kind_lacks_goes_with_it() -> None:
    assert CHAIR.with_values(kind="desk").parts == ("top", "legs")
    assert CHAIR.with_values(kind="desk").seat == ""


def test_no_phrase_means_two_things() -> None:
    tables = (KINDS, VIEW_WORDS, PART_WORDS, {value: LEXICON[COLOR][value] for value in PALETTE})
    phrases = [split_words(p) for table in tables for words in table.values() for p in words.first + words.second]
    assert [phrase for phrase, times in Counter(phrases).items() if times > 1] == []


def test_the_two_tongues_share_no_word_for_a_thing_but_colours_that_both_worlds_know() -> None:
    for table in (KINDS, VIEW_WORDS, PART_WORDS):
        for words in table.values():
            assert set(words.first).isdisjoint(words.second)


def test_every_kind_view_and_part_has_words() -> None:
    assert set(KINDS) == set(kinds())
    assert set(VIEW_WORDS) == set(VIEWS)
    assert set(PART_WORDS) == set(PARTS)
    for kind in kinds().values():
        assert len(kind.parts) == 2 and set(kind.parts) <= set(PARTS)
        assert len(kind.views) >= 2 and set(kind.views) <= set(VIEWS)
        assert not set(kind.plain).intersection(*kind.parts.values())
