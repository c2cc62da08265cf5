"""Figures of arms, contrasts and curves, worked out by hand beside."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from made_outcomes import Hits, made_results

from cirgen_benchmark.verdict.results import Contrast, Results
from cirgen_benchmark.verdict.statistics import Estimate

HUMAN = np.array([[100.0, 0.0, 0.0, 0.0], [100.0, 100.0, 0.0, 0.0]])
CORPUS = np.array([[100.0, 100.0, 0.0, 100.0], [100.0, 100.0, 100.0, 0.0]])
ANY_HITS = arrays.arrays(np.float64, (2, 6), elements=st.sampled_from([0.0, 100.0]))
FOUR = {
    "corpus": {"question": "?", "plus": ("a", "b"), "minus": ("c", "d")},
    "interaction": {"question": "?", "plus": ("a", "b"), "minus": ("c", "d"), "interaction": True},
}


def contrast(results: Results, name: str = "corpus", at: str = "last") -> Contrast:
    (found,) = (one for one in results.contrasts() if (one.name, one.at) == (name, at))
    return found


def test_an_arm_is_the_mean_over_seeds_and_queries() -> None:
    results = made_results({"human": HUMAN, "corpus": CORPUS})
    human, corpus = results.arms()
    assert (human.arm, human.primary.value, human.metrics["made.recall@10"]) == ("human", 37.5, 37.5)
    assert (corpus.primary.value, corpus.human, corpus.synthetic) == (75.0, 40, 20)
    assert human.primary.low <= 37.5 <= human.primary.high
    assert (results.queries, results.references) == (4, 4)


def test_unequal_training_is_told_and_the_base_model_is_not_trained() -> None:
    hits = {"human": HUMAN, "corpus": CORPUS}
    assert made_results(hits).notes == ()
    assert made_results(hits, steps={"human": 0}).notes == ()
    (told,) = made_results(hits, steps={"human": 40, "corpus": 1200}).notes
    assert told == "Arms of contrast corpus take 40 to 1,200 steps, which may be what differs."


def test_a_contrast_is_the_difference_of_the_means_query_by_query_and_seed_by_seed() -> None:
    found = contrast(made_results({"human": HUMAN, "corpus": CORPUS}))
    assert found.difference.value == pytest.approx(37.5)
    alike = contrast(made_results({"human": HUMAN, "corpus": HUMAN + 12.0}))
    assert alike.difference[:3] == pytest.approx((12.0, 12.0, 12.0))


@given(ANY_HITS, ANY_HITS, ANY_HITS, ANY_HITS)
def test_contrasts_of_four_arms_are_the_means_and_the_difference_of_differences(
    a: Hits, b: Hits, c: Hits, d: Hits
) -> None:
    results = made_results({"a": a, "b": b, "c": c, "d": d}, contrasts=FOUR)
    means = [one.mean() for one in (a, b, c, d)]
    assert contrast(results).difference.value == pytest.approx((means[0] + means[1] - means[2] - means[3]) / 2)
    expected = (means[0] - means[2]) - (means[1] - means[3])
    assert contrast(results, "interaction").difference.value == pytest.approx(expected)


@given(ANY_HITS, ANY_HITS)
def test_what_is_asked_the_other_way_round_has_the_opposite_answer(one: Hits, other: Hits) -> None:
    there, back = ({"human": one, "corpus": other}, {"human": other, "corpus": one})
    forward, backward = (contrast(made_results(hits)).difference for hits in (there, back))
    assert forward.value == pytest.approx(-backward.value)
    assert (forward.low, forward.high) == pytest.approx((-backward.high, -backward.low))
    assert forward.p == pytest.approx(backward.p)


@given(ANY_HITS)
def test_an_arm_compared_with_itself_is_no_difference(hits: Hits) -> None:
    assert contrast(made_results({"human": hits, "corpus": hits})).difference == Estimate(0.0, 0.0, 0.0, 1.0)


def test_parts_count_alike_whatever_their_size() -> None:
    hits = np.array([[100.0, 0.0, 0.0, 0.0, 0.0]] * 2)
    results = made_results({"human": hits, "corpus": hits}, parts={"dress": 1, "shirt": 4})
    assert results.arms()[0].primary.value == pytest.approx(50.0)
    assert results.arms()[0].metrics["made.recall@10"] == pytest.approx(50.0)


def test_a_metric_of_one_part_is_about_the_queries_of_that_part() -> None:
    whole = made_results({"human": HUMAN, "corpus": CORPUS}, parts={"dress": 1, "shirt": 3}, references=2)
    (outcome, *_) = whole.outcomes
    figure = type(outcome.primary)({"shirt": outcome.primary.values["shirt"]})
    outcomes = [type(one)(**{**vars(one), "primary": type(figure)({"shirt": one.primary.values["shirt"]})})
                for one in whole.outcomes]  # fmt: skip
    results = Results(whole.preset, outcomes)
    assert (results.queries, results.references) == (3, 2)
    assert results.arms()[0].primary.value == pytest.approx(HUMAN[:, 1:].mean())


def test_queries_that_do_not_count_are_left_out() -> None:
    hole = np.array([[np.nan, 0.0, 0.0, 0.0]] * 2)
    results = made_results({"human": HUMAN + hole, "corpus": CORPUS + hole})
    assert results.queries == 3
    assert results.arms()[0].primary.value == pytest.approx(HUMAN[:, 1:].mean())


def test_queries_about_one_reference_make_it_less_sure() -> None:
    hits = np.tile(100.0 * np.random.default_rng(0).integers(0, 2, 30), (3, 8))
    alone = made_results({"human": hits, "corpus": hits}).arms()[0].primary
    shared = made_results({"human": hits, "corpus": hits}, references=30).arms()[0].primary
    assert shared.high - shared.low == pytest.approx(8**0.5 * (alone.high - alone.low), rel=0.1)


@given(ANY_HITS)
def test_no_interval_of_a_recall_leaves_what_a_recall_can_be(hits: Hits) -> None:
    for arm in made_results({"human": hits, "corpus": hits}).arms():
        assert 0 <= arm.primary.low <= arm.primary.value <= arm.primary.high <= 100


def test_an_arm_without_a_chosen_step_stands_at_its_last_where_others_stand_at_their_best() -> None:
    """The untrained model has one step, which no development set chose."""
    results = made_results({"human": HUMAN, "corpus": CORPUS}, best={"corpus": CORPUS[::-1] / 2})
    assert [(arm.arm, arm.at) for arm in results.arms()] == [("human", "last"), ("corpus", "last"), ("corpus", "best")]
    assert contrast(results, at="best").difference.value == pytest.approx(CORPUS.mean() / 2 - HUMAN.mean())
    assert contrast(results, at="last").difference.value == pytest.approx(CORPUS.mean() - HUMAN.mean())


def test_where_nothing_was_chosen_there_is_no_best() -> None:
    results = made_results({"human": HUMAN, "corpus": CORPUS})
    assert results.ats() == ("last",)
    assert {one.at for one in results.contrasts()} == {"last"}


def test_primary_contrasts_are_corrected_for_one_another_and_others_are_not() -> None:
    rng = np.random.default_rng(1)
    hits = {name: 100.0 * rng.integers(0, 2, (4, 80)) for name in "abcd"}
    asked = {"question": "?", "minus": ("a",)}
    alone = {f"{name} alone": {**asked, "plus": (name,)} for name in "bcd"}
    primary = {name: {**asked, "plus": (name,), "primary": True} for name in "bcd"}
    results = made_results(hits, contrasts={**primary, **alone}, verdict="b")
    plain = {name: contrast(results, f"{name} alone").p for name in "bcd"}
    smallest = min(plain, key=plain.__getitem__)
    assert contrast(results, smallest).p == pytest.approx(min(1.0, 3 * plain[smallest]))
    assert all(contrast(results, name).p >= plain[name] for name in plain)
    assert [one.primary for one in results.contrasts()] == [True] * 3 + [False] * 3


def test_the_verdict_is_the_presets_contrast_at_the_last_step() -> None:
    results = made_results({"human": HUMAN, "corpus": CORPUS}, best={"corpus": CORPUS})
    assert results.verdict() == contrast(results)
    assert made_results({"human": HUMAN, "corpus": CORPUS}, verdict=None).verdict() is None


def test_points_of_curves_are_no_arms() -> None:
    hits = {"human": HUMAN, "corpus": CORPUS, "corpus (people: 24)": HUMAN, "corpus (people: 48)": CORPUS}
    steps = ({"stage": "one", "on": "human"}, {"stage": "two", "on": "both"})
    results = made_results(
        hits,
        arms={"human": {"steps": ()}, "corpus": {"steps": steps}},
        curves={"people": {"vary": "human", "values": (24, 48), "arms": ("corpus",)}},
    )
    assert [arm.arm for arm in results.arms()] == ["human", "corpus"]
    assert [(p.curve, p.arm, p.value, p.primary.value) for p in results.curves()] == [
        ("people", "corpus", 24, HUMAN.mean()),
        ("people", "corpus", 48, CORPUS.mean()),
    ]


def test_the_first_seed_is_the_presets_first() -> None:
    results = made_results({"human": HUMAN, "corpus": CORPUS})
    assert results.first("corpus").seed == 0
    assert results.arms()[0].steps == (3, 4)
