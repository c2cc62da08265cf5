"""What is asked of furniture in the published corpus: every slice of it, with all right answers."""

from __future__ import annotations

from collections import Counter

import pytest

from cirgen.world.build import Truth, read_truth
from cirgen.world.corpus.furniture import FAMILIES, FURNITURE
from cirgen.world.corpus.questions import Asker, Question
from cirgen.world.corpus.splits import splits, subject_of
from cirgen.world.furniture.families import collection
from cirgen.world.furniture.vocabulary import HELD_OUT_PAIRS
from cirgen.world.gallery import Gallery
from cirgen.world.truth import judge

EACH = 4


@pytest.fixture(scope="module")
def truth() -> Truth:
    return read_truth(FURNITURE.table)


@pytest.fixture(scope="module")
def asked(truth: Truth) -> list[Question]:
    members = [name for name, split in splits(truth, FAMILIES, FURNITURE.images).items() if split == "test"]
    return Asker(truth, members, "test", 0, FURNITURE).questions(EACH)


def test_a_run_of_furniture_is_known_by_its_pictures() -> None:
    assert subject_of("cirgen:furniture") is FURNITURE


def test_no_split_shares_a_combination_of_attributes_and_train_shows_no_unseen_pair() -> None:
    families = {number: split for split, members in FAMILIES.items() for number in members}
    members = collection("corpus")
    split_of = {member.item: families[member.family] for member in members}
    assert len(split_of) == len(members)
    assert not any(item.shows_held_out_pair() for item, split in split_of.items() if split == "train")
    for pair in HELD_OUT_PAIRS:
        showing = {split for item, split in split_of.items() if all(getattr(item, n) == v for n, v in pair)}
        assert len(showing) == 1, pair


def test_every_stratum_has_its_queries(asked: list[Question]) -> None:
    counts = Counter(name for question in asked for name in question.slices)
    assert all(counts[stratum] >= EACH for stratum in FURNITURE.strata), counts


def test_a_text_in_either_grammar_is_right_and_leads_to_every_picture_that_is_listed(
    truth: Truth, asked: list[Question]
) -> None:
    gallery = Gallery(truth.image_ids, truth.figures, truth.world)
    for question in asked:
        for text in (question.text, question.reworded):
            for target in question.targets:
                verdict = judge(gallery, question.reference, text, target)
                assert verdict.correct and verdict.exhaustive and verdict.unique, text
