"""Human triplets that are kept out of training share no reference with those that train, whatever files are called."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_training import ToyImages, toy_triplets

from cirgen_benchmark.data.human import HumanTriplets
from cirgen_benchmark.verdict.holdout import Holdout

IMAGES = 40


@given(st.integers(0, 50), st.floats(0.01, 0.49))
def test_the_parts_are_all_triplets_and_share_no_reference(seed: int, share: float) -> None:
    people = HumanTriplets(tuple(toy_triplets(120, IMAGES, seed)), ToyImages(IMAGES))
    kept = Holdout.of(people, share)
    assert sorted((*kept.training, *kept.development), key=str) == sorted(people.triplets, key=str)
    references = [{people.images.content(t.reference) for t in part} for part in (kept.training, kept.development)]
    assert not references[0] & references[1]


def test_one_picture_under_two_names_is_in_one_part() -> None:
    twins = {f"image-{number + 20}": f"image-{number}" for number in range(20)}
    people = HumanTriplets(tuple(toy_triplets(200, IMAGES)), ToyImages(IMAGES, twins=twins))
    kept = Holdout.of(people, 0.3)
    contents = [{people.images.content(t.reference) for t in part} for part in (kept.training, kept.development)]
    assert contents[0]
    assert contents[1]
    assert not contents[0] & contents[1]


def test_the_picture_decides_not_the_order_nor_what_else_there_is() -> None:
    triplets = toy_triplets(200, IMAGES)
    whole = Holdout.of(HumanTriplets(tuple(triplets), ToyImages(IMAGES)), 0.3)
    half = Holdout.of(HumanTriplets(tuple(reversed(triplets[:100])), ToyImages(IMAGES)), 0.3)
    assert set(half.development) == set(whole.development) & set(triplets[:100])


def test_about_the_share_that_was_asked_for_is_kept() -> None:
    people = HumanTriplets(tuple(toy_triplets(1_500, 1_000)), ToyImages(1_000))
    kept = len(Holdout.of(people, 0.2).development) / len(people.triplets)
    assert kept == pytest.approx(0.2, abs=0.04)
