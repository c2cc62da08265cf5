"""Which furniture exists for which purpose."""

from __future__ import annotations

import random
from collections import Counter
from itertools import combinations

import pytest

from cirgen.errors import UserError
from cirgen.world.furniture.families import (
    COLLECTIONS,
    FAMILY_SIZE,
    TRAINING,
    collection,
    neighbours,
    training_items,
)
from cirgen.world.furniture.vocabulary import HELD_OUT_PAIRS, kinds
from cirgen.world.truth import RIVALS

PURPOSES = {
    **{purpose: {member.item for member in collection(purpose)} for purpose in COLLECTIONS},
    **{purpose: set(training_items(purpose)) for purpose in TRAINING},
}


@pytest.mark.parametrize(("one", "other"), list(combinations(PURPOSES, 2)))
def test_no_combination_of_attributes_serves_two_purposes(one: str, other: str) -> None:
    assert not PURPOSES[one] & PURPOSES[other]


@pytest.mark.parametrize("purpose", COLLECTIONS)
def test_every_picture_has_more_than_ten_siblings_one_change_away(purpose: str) -> None:
    """So neither the reference alone finds a target, nor do two pictures of a collection show the same."""
    members = collection(purpose)
    assert len({member.item for member in members}) == len(members)
    assert set(Counter(member.family for member in members).values()) == {FAMILY_SIZE}
    for family in {member.family for member in members}:
        items = [member.item for member in members if member.family == family]
        assert sum(len(items[0].differences(item)) == 1 for item in items) > RIVALS


def test_every_picture_is_of_a_view_that_its_kind_can_be_told_from() -> None:
    for items in PURPOSES.values():
        assert all(item.view in kinds()[item.kind].views for item in items)


def test_no_training_picture_shows_a_held_out_pair_and_the_corpus_shows_every_one() -> None:
    assert not any(item.shows_held_out_pair() for purpose in TRAINING for item in PURPOSES[purpose])
    for pair in HELD_OUT_PAIRS:
        assert any(all(getattr(item, name) == value for name, value in pair) for item in PURPOSES["corpus"])


def test_models_are_shown_every_kind_from_every_view() -> None:
    for purpose in TRAINING:
        shown = {(item.kind, item.view) for item in PURPOSES[purpose]}
        assert shown == {(kind.kind, view) for kind in kinds().values() for view in kind.views}


def test_neighbours_differ_and_can_be_drawn() -> None:
    rng = random.Random(0)
    for item in rng.sample(sorted(PURPOSES["mllm"]), 50):
        other = next(neighbours(item, rng))
        assert other != item
        assert set(other.parts) == set(item.parts)


def test_an_unknown_purpose_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError, match="corpus, development, evaluation"):
        collection("holiday")
    with pytest.raises(UserError, match="mllm, filter-encoder, judge-encoder"):
        training_items("corpus")
