"""Repeats, reversals, leaks and degrees, counted on rows that can be read at a glance."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cirgen
from cirgen.audit.corpora.open import Options, open_corpus
from cirgen.audit.corpus import Corpus, Facts, Row
from cirgen.audit.degrees import degrees_section, gini, top_share
from cirgen.audit.figures import Section
from cirgen.audit.leaks import coverage, leaks_section
from cirgen.audit.pairs import pairs_section

DATA = Path(cirgen.__file__).parents[2] / "shared" / "data"


def rows(*triplets: tuple[str, str, str]) -> list[Row]:
    return [Row(f"r{n}", "train", "g", a, text, b) for n, (a, text, b) in enumerate(triplets)]


def values(section: Section) -> dict[str, float]:
    return {figure.name: figure.value for figure in section.figures if figure.value is not None}


def test_repeats_and_reversals() -> None:
    found = values(
        pairs_section(
            rows(
                ("a", "make it red", "b"),
                ("a", "Make it red!", "b"),  # the same triplet
                ("a", "make it bright red", "b"),
                ("b", "make it red", "a"),  # the same text both ways
                ("a", "make it red", "c"),  # the same text to another target
                ("d", "one more button", "d"),
                ("e", "one more button", "f"),
                ("f", "one button less", "e"),
            ),
            {},
            "no pictures",
        )
    )
    assert found["pairs"] == 6
    assert found["pair_again"] == pytest.approx(100 * 2 / 8)
    assert found["triplet_again"] == pytest.approx(100 * 1 / 8)
    assert found["nearly_again"] == pytest.approx(100 * 2 / 8)
    assert found["reversed"] == pytest.approx(100 * 6 / 8)  # all but a to c, and d, which leads to itself
    assert found["reversed_text"] == pytest.approx(100 * 3 / 8)
    assert found["text_of_many"] == pytest.approx(100 * 3 / 8)
    assert found["itself"] == pytest.approx(100 / 8)


def test_pairs_of_near_duplicates_need_groups() -> None:
    said = rows(("a", "x", "b"), ("a2", "y", "b"), ("a", "z", "a2"))
    without = pairs_section(said, {}, "there are no pictures")
    assert {f.name: f.absent for f in without.figures if f.absent} == {
        "within_group": "there are no pictures",
        "pair_near_again": "there are no pictures",
    }
    found = values(pairs_section(said, {"a": "a", "a2": "a", "b": "b"}, ""))
    assert [found["within_group"], found["pair_near_again"]] == pytest.approx([100 / 3, 100 / 3])


def test_degrees_count_unused_images_too() -> None:
    said = rows(("a", "x", "b"), ("a", "y", "c"), ("b", "z", "c"))
    found = values(degrees_section(Corpus("made", "made", tuple(said), {"g": tuple("abcd")})))
    assert (found["references"], found["reference_max"], found["targets"], found["target_max"]) == (2, 2, 2, 2)
    assert found["unused"] == 25
    assert found["reference_gini"] == pytest.approx(gini([2, 1, 0, 0]))
    assert found["target_top"] == pytest.approx(100 * 2 / 3)


degrees = st.lists(st.integers(0, 50), min_size=1, max_size=30).filter(any)


@given(degrees, st.integers(1, 9))
def test_the_gini_coefficient_is_half_the_relative_mean_difference_and_has_no_scale(found: list[int], n: int) -> None:
    pairs = [abs(one - other) for one in found for other in found]
    assert gini(found) == pytest.approx(np.mean(pairs) / (2 * np.mean(found)))
    assert gini([n * degree for degree in found]) == pytest.approx(gini(found))
    assert 0 <= gini(found) < 1


@given(st.integers(1, 9), st.integers(1, 30))
def test_equal_degrees_have_no_gini_coefficient(degree: int, images: int) -> None:
    assert gini([degree] * images) == pytest.approx(0)
    assert top_share(np.full(images, degree)) == pytest.approx(1 / images)


def test_a_leak_is_the_share_of_the_captions_content_words() -> None:
    assert coverage("make the dog brown", "a brown dog on the grass") == pytest.approx(2 / 3)
    assert coverage("Dogs!", "a dog") == 1
    assert np.isnan(coverage("anything", "it is the one"))


def test_leaks_are_measured_where_captions_are_known() -> None:
    said = rows(("a", "a brown dog on grass", "b"), ("b", "a cat", "a"), ("c", "a cat", "d"))
    facts = {"a": Facts("a white cat"), "b": Facts("a brown dog on the grass")}
    found = values(leaks_section(Corpus("made", "made", tuple(said), {"g": tuple("abcd")}, facts)))
    assert found["target_mean"] == pytest.approx(100 * (1 + 0.5) / 2)
    assert found["target_full"] == 50
    assert found["reference_mean"] == 0


def test_without_captions_the_reason_names_the_option() -> None:
    section = leaks_section(Corpus("made", "made", tuple(rows(("a", "x", "b"))), {"g": ("a", "b")}))
    assert all("--column target_caption=NAME" in figure.absent for figure in section.figures)


def test_pairs_and_degrees_of_the_real_cirr_are_those_of_a_plain_count() -> None:
    if not (DATA / "cirr").is_dir():
        pytest.skip(f"the annotation files of CIRR are not in {DATA / 'cirr'}")
    captions = json.loads((DATA / "cirr" / "captions" / "cap.rc2.val.json").read_text(encoding="utf8"))
    pairs = [(row["reference"], row["target_hard"]) for row in captions]
    corpus = open_corpus(str(DATA / "cirr"), Options(split="val"))
    found = values(pairs_section(corpus.triplets, {}, "no pictures"))
    assert found["pairs"] == len(set(pairs)) == 4181
    both = sum(pair[::-1] in set(pairs) for pair in pairs)
    assert found["reversed"] == pytest.approx(100 * both / len(pairs))
    used = values(degrees_section(corpus))
    assert used["target_max"] == max(Counter(target for _, target in pairs).values())
    assert used["references"] == len({reference for reference, _ in pairs})


def test_images_of_a_split_whose_targets_are_withheld_are_not_unused() -> None:
    said = (*rows(("a", "x", "b")), Row("t", "test", "test", "c", "y", ""))
    found = values(degrees_section(Corpus("made", "made", said, {"g": ("a", "b"), "test": ("c", "d", "e")})))
    assert (found["unused"], found["references"]) == (0, 1)
