"""The last sentence says what was found, and no more than was found."""

from __future__ import annotations

import re

import numpy as np
import pytest
from made_outcomes import made_results

from cirgen_benchmark.verdict.statistics import Estimate
from cirgen_benchmark.verdict.words import per_cent, points, sentence

RNG = np.random.default_rng(0)
HALF = 100.0 * RNG.integers(0, 2, (5, 900))


def said(human: float, corpus: float, queries: int, indicative: bool = False, noise: float = 0.0) -> str:
    """Return the sentence about arms whose recalls differ by corpus - human points in every seed."""
    hits = HALF[:, :queries]
    others = RNG.normal(0, noise, hits.shape)
    return sentence(made_results({"human": hits + human, "corpus": hits + corpus + others}, indicative=indicative))


def test_a_sure_gain_is_a_help() -> None:
    told = said(0, 6, 900, noise=30)
    assert re.match(r"This corpus helped: recall@10 changed by \+\d\.\d points \[\d+\.\d, \d+\.\d\]\. ", told)


def test_a_sure_loss_is_harm() -> None:
    assert said(6, 0, 900, noise=30).startswith("This corpus did harm: recall@10 changed by -")


def test_a_difference_that_is_surely_small_is_no_help() -> None:
    told = said(0, 0.05, 900, noise=5)
    assert re.match(r"This corpus did not help: recall@10 changed by .*, at most 0\.\d\. 5 seeds", told)


def test_a_difference_that_may_be_anything_is_not_told() -> None:
    told = said(0, 2, 80, noise=60)
    assert told.startswith("Too few queries or seeds to tell: recall@10 changed by ")
    assert "which may be chance" in told


def test_few_references_tell_nothing_however_sure_the_bootstrap_is() -> None:
    """Five queries that all gain are a bootstrap of no doubt, and a coin that fell five times on one side."""
    for change in (-50, 0, 50):
        told = said(0, change, 40)
        assert re.match(r"Too few queries to tell: .*, and 50 different references are the least\. 5 seeds", told)


def test_no_change_in_few_queries_is_not_no_help() -> None:
    """Of 300 references, one in a hundred may gain without one being among them: 0.99 to the 300 is 5 %."""
    assert said(0, 0, 300).startswith("Too few queries or seeds to tell: recall@10 changed by +0.0 points [0.0, 0.0]")
    assert said(0, 0, 400).startswith("This corpus did not help: recall@10 changed by +0.0 points [0.0, 0.0]")


def test_how_much_was_asked_ends_the_sentence() -> None:
    assert said(0, 1, 40).endswith(" 5 seeds, 40 queries of 40 references.")
    assert said(0, 1, 40, indicative=True).endswith(" 5 seeds, 40 queries of 40 references; indicative only.")


def test_one_seed_is_told_to_be_one() -> None:
    one = np.array([[100.0]])
    told = sentence(made_results({"human": one, "corpus": one}, indicative=False))
    assert told.endswith(
        " 1 seed, 1 query of 1 reference; what another seed would give is not known; indicative only."
    )


def test_without_a_question_there_is_no_verdict() -> None:
    results = made_results({"human": HALF, "corpus": HALF}, verdict=None)
    assert sentence(results) == "The preset asks no question that a verdict could answer."


@pytest.mark.parametrize(
    ("estimate", "words"),
    [
        (Estimate(3.14, -1.0, 5.55, 0.1), "+3.1 points [-1.0, 5.5]"),
        (Estimate(-0.04, -0.04, 0.0, 1.0), "+0.0 points [0.0, 0.0]"),
        (Estimate(-12.0, -20.26, -3.0, 0.001), "-12.0 points [-20.3, -3.0]"),
    ],
)
def test_differences_have_a_sign_and_nothing_has_none(estimate: Estimate, words: str) -> None:
    assert points(estimate) == words


def test_figures_are_per_cent_with_their_interval() -> None:
    assert per_cent(Estimate(41.25, 38.0, 44.149, 0.0)) == "41.2 [38.0, 44.1]"
