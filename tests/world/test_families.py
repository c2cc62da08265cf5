from __future__ import annotations

from dataclasses import fields
from itertools import combinations, product
from typing import get_args

import pytest

from cirgen.errors import UserError
from cirgen.world.families import (
    COLLECTIONS,
    SEEDS,
    TRAINING,
    collection,
    may_train,
    training_bucket,
    training_figures,
    training_pairs,
)
from cirgen.world.figure import Figure
from cirgen.world.vocabulary import ATTRIBUTES, HELD_OUT_PAIRS, Level

LEVELS = get_args(Level)


def shown(purpose: str, level: Level) -> set[Figure]:
    return {sample.figure for seed in range(SEEDS) for sample in collection(purpose, level, seed, 3000)}


@pytest.mark.long
@pytest.mark.parametrize("level", LEVELS)
def test_no_attribute_combination_serves_two_purposes(level):
    figures = {purpose: shown(purpose, level) for purpose in COLLECTIONS}
    figures |= {purpose: set(training_figures(purpose, level, 0, 400)) for purpose in TRAINING}
    for one, other in combinations(figures, 2):
        assert not figures[one] & figures[other], (one, other)


@pytest.mark.long
def test_no_training_figure_of_any_level_is_in_a_gallery_of_any_level():
    galleries = set().union(*(shown(purpose, level) for purpose in COLLECTIONS for level in LEVELS))
    for purpose in TRAINING:
        assert not any(may_train(purpose, figure) for figure in galleries)


@pytest.mark.long
def test_every_figure_trains_at_most_one_purpose():
    for figure in training_figures("judge-encoder", "medium", 5, 300):
        assert training_bucket(figure) == "judge-encoder"
        assert [purpose for purpose in TRAINING if may_train(purpose, figure)] == ["judge-encoder"]


@pytest.mark.parametrize(("purpose", "level"), list(product(TRAINING, LEVELS)))
def test_training_never_shows_a_held_out_pair(purpose, level):
    assert not any(figure.shows_held_out_pair() for figure in training_figures(purpose, level, 1, 200))
    assert not any(f.shows_held_out_pair() for pair in training_pairs(purpose, level, 1, 150) for f in pair)


@pytest.mark.parametrize(("purpose", "level"), list(product(COLLECTIONS, LEVELS)))
def test_galleries_show_held_out_pairs_as_a_slice(purpose, level):
    figures = [sample.figure for sample in collection(purpose, level)]
    assert 0.02 <= sum(figure.shows_held_out_pair() for figure in figures) / len(figures) <= 0.12


def test_every_held_out_pair_is_in_some_gallery():
    figures = set().union(*(shown(purpose, "medium") for purpose in COLLECTIONS))
    for pair in HELD_OUT_PAIRS:
        assert any(all(getattr(figure, name) == value for name, value in pair) for figure in figures)


def test_training_shows_every_other_value():
    figures = list(training_figures("mllm", "medium", 0, 1500))
    for attribute in ATTRIBUTES:
        assert {getattr(figure, attribute.name) for figure in figures} >= set(attribute.medium)


def test_a_gallery_has_a_few_near_duplicates_and_no_equal_nuisance():
    samples = collection("corpus")
    repeated = len(samples) - len({sample.figure for sample in samples})
    assert 0.02 <= repeated / len(samples) <= 0.04
    assert len({sample.nuisance for sample in samples}) == len(samples)


def test_members_of_a_family_share_a_base_and_have_many_one_change_siblings():
    samples = collection("corpus", images=188)
    figures = sorted({sample.figure for sample in samples})
    varied = [f.name for f in fields(Figure) if len({getattr(figure, f.name) for figure in figures}) > 1]
    assert len(varied) <= 7
    siblings = [sum(len(one.differences(other)) == 1 for other in figures) for one in figures]
    assert sum(siblings) / len(siblings) >= 8


def test_a_smaller_gallery_is_the_beginning_of_a_larger_one():
    assert collection("evaluation", images=300) == collection("evaluation", images=1500)[:300]


def test_draws_are_the_same_every_time():
    assert list(training_pairs("mllm", "hard", 3, 50)) == list(training_pairs("mllm", "hard", 3, 50))
    assert list(training_figures("mllm", "hard", 3, 50)) != list(training_figures("mllm", "hard", 4, 50))


def test_pairs_differ_by_few_attributes():
    pairs = list(training_pairs("second-mllm", "medium", 0, 400))
    few = sum(1 <= len(reference.differences(target)) <= 3 for reference, target in pairs)
    assert few >= 0.8 * len(pairs)
    assert all(reference != target for reference, target in pairs)


@pytest.mark.parametrize("wrong", [{"purpose": "mllm"}, {"seed": 3}, {"images": 0}, {"images": 3009}])
def test_a_collection_that_training_would_not_avoid_is_refused(wrong):
    with pytest.raises(UserError, match="choose one of corpus, development, evaluation"):
        collection(**{"purpose": "corpus"} | wrong)


def test_training_on_a_gallery_is_refused():
    with pytest.raises(UserError, match="choose one of mllm"):
        next(training_figures("evaluation", "medium", 0, 1))
