"""Filters that ask a model: what they ask, what they make of the answers, and what a failed answer means."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cirgen.filters.candidates import distractors, shuffled
from cirgen.filters.claims import Claim, split
from cirgen.filters.round_trip import LETTERS
from cirgen.filters.tools import Belief, Question, Reading, Tools
from cirgen.schemas import TRIPLET
from deciding import Opinion, make_filter, triplets

NEAR = [{"image_id": f"n{number}", "kind": "mined"} for number in range(5)]
ROW = {"reference_id": "r", "target_id": "t", "text": "make the hat red", "hard_negatives": NEAR}


class Told(Opinion):
    """Answers as a test says, and remembers what it was asked."""

    def __init__(
        self,
        belief: Callable[[Question, Sequence[str]], Belief] | None = None,
        reading: Callable[[Question, str], Reading] | None = None,
    ) -> None:
        self._belief, self._reading = belief, reading
        self.asked: list[Question] = []

    def choose(self, questions: Sequence[Question], options: Sequence[str]) -> list[Belief]:
        self.asked += questions
        assert self._belief
        return [self._belief(question, options) for question in questions]

    def read(self, answers: Sequence[tuple[Question, str]]) -> list[Reading]:
        self.asked += [question for question, _ in answers]
        assert self._reading
        return [self._reading(*answer) for answer in answers]


def sure(of: str, options: Sequence[str]) -> Belief:
    return Belief("ok", "", tuple(float(option == of) for option in options), 1.0)


def score(name: str, asker: Opinion, rows: list[dict[str, Any]], observed: str = "", **settings: Any) -> list[Any]:
    part = make_filter(name, **settings)
    batch = pa.RecordBatch.from_pylist(rows, schema=TRIPLET)
    if part.observes:
        batch = batch.append_column("observed", pa.array([observed] * len(rows)))
    return part.score(batch, Tools(asker=asker))


def test_the_judge_shows_what_was_observed_and_what_is_said_and_both_images() -> None:
    asker = Told(lambda question, options: Belief("ok", "", (0.8, 0.2), 0.9))
    (found,) = score("judge", asker, triplets(ROW), "make the hat blue", min_yes=0.5)
    (question,) = asker.asked
    assert question.image_ids == ("r", "t")
    assert "make the hat blue" in question.rendered
    assert "make the hat red" in question.rendered
    assert found.values == {"yes": 0.8, "mass": 0.9}
    assert found.detail == "make the hat blue"


def test_the_first_step_of_the_judge_never_sees_the_text() -> None:
    question = make_filter("judge", min_yes=0.5).question(triplets(ROW)[0])
    assert question.image_ids == ("r", "t")
    assert "hat" not in question.rendered


def test_the_judge_of_one_step_observes_nothing() -> None:
    part = make_filter("judge", min_yes=0.5, observe=None, prompt="judge-change")
    assert not part.observes
    assert set(part.prompts()) == {"prompt"}
    asker = Told(lambda question, options: sure("no", options))
    (found,) = score("judge", asker, triplets(ROW), min_yes=0.5, observe=None, prompt="judge-change")
    assert found.values["yes"] == 0


@pytest.mark.parametrize(
    ("answer", "claims"),
    [
        ("target: make the hat red", [Claim("make the hat red", absolute=True)]),
        ("Target: a; BOTH: b", [Claim("a", absolute=True), Claim("b", absolute=False)]),
        ("one more ball\n\n target:  a hat ", [Claim("one more ball", absolute=False), Claim("a hat", absolute=True)]),
        (" ; ;\n", []),
        (
            "- target: a hat\n2) both: one more ball",
            [Claim("a hat", absolute=True), Claim("one more ball", absolute=False)],
        ),
        ("* **target**: a hat", [Claim("a hat", absolute=True)]),
        ("two more balls", [Claim("two more balls", absolute=False)]),
        ("target:", [Claim("target:", absolute=False)]),
        ("the target: is red", [Claim("the target: is red", absolute=False)]),
    ],
)
def test_claims_are_read_with_their_marks(answer: str, claims: list[Claim]) -> None:
    assert split(answer) == claims


def test_a_claim_on_the_target_alone_never_shows_the_reference() -> None:
    asker = Told(lambda question, options: sure("true", options))
    (found,) = score("claims", asker, triplets(ROW), "target: a red hat; both: one more ball", min_true=0.5)
    assert [question.image_ids for question in asker.asked] == [("t",), ("r", "t")]
    assert found.values == {"claims": 2, "relative": 0.5, "true": 1, "false": 0, "unsupported": 0}


def test_the_weakest_claim_decides() -> None:
    beliefs = iter([(0.9, 0.05, 0.05), (0.2, 0.7, 0.1), (0.6, 0.1, 0.3)])
    asker = Told(lambda question, options: Belief("ok", "", next(beliefs), 1.0))
    (found,) = score("claims", asker, triplets(ROW), "a; b; c", min_true=0.5)
    assert (found.values["true"], found.values["false"], found.values["unsupported"]) == (0.2, 0.7, 0.3)
    assert found.detail == "a (0.90); b (0.20); c (0.60)"


def test_a_text_that_comes_apart_into_nothing_is_a_row_with_its_reason() -> None:
    (found,) = score("claims", Told(), triplets(ROW), " ; ", min_true=0.5)
    assert (found.status, found.values) == ("parse_error", {})


def test_changes_are_counted_and_listed_without_another_question() -> None:
    asker = Told()
    (found,) = score("change_count", asker, triplets(ROW), "target: a red hat; both: one more ball", max_changes=2)
    assert (found.values, found.detail) == ({"changes": 2, "relative": 0.5}, "a red hat; one more ball")
    assert not asker.asked


def test_changes_that_cannot_be_counted_are_a_row_with_its_reason() -> None:
    (found,) = score("change_count", Told(), triplets(ROW), " ; ", max_changes=2)
    assert (found.status, found.values) == ("parse_error", {})


def test_counting_changes_shows_the_model_no_image() -> None:
    question = make_filter("change_count", max_changes=2).question(ROW)
    assert question.image_ids == ()
    assert question == make_filter("claims", min_true=0.5).question(ROW)  # whoever asks second finds the answer


def knows(target: str) -> Callable[[Question, Sequence[str]], Belief]:
    return lambda question, options: sure(LETTERS[question.image_ids[1:].index(target)], options)


def test_who_knows_the_target_passes_every_order_and_a_favourite_letter_does_not() -> None:
    asker = Told(knows("t"))
    (found,) = score("round_trip", asker, triplets(ROW), min_passed=2)
    assert (found.values["passed"], found.values["share"]) == (3, 1)
    assert {question.image_ids[0] for question in asker.asked} == {"r"}
    assert {frozenset(question.image_ids[1:]) for question in asker.asked} == {frozenset({"t", "r", "n0", "n1"})}
    rows = triplets(*[{**ROW, "text": f"make hat number {number} red"} for number in range(60)])
    always_a = score("round_trip", Told(lambda question, options: sure("A", options)), rows, min_passed=2)
    passed = sum(one.values["passed"] for one in always_a)
    assert 20 < passed < 70  # of 180, a quarter by chance
    assert all(one.values["picked_a"] == 3 for one in always_a)
    part = make_filter("round_trip", min_passed=2)
    table = pa.table({name: [one.values[name] for one in always_a] for name in always_a[0].values})
    assert part.remarks(table) == [
        "Letters picked: A 100%, B 0%, C 0%, D 0%; the target stands behind each equally often."
    ]


def test_too_few_near_images_are_a_row_with_the_way_out() -> None:
    (found,) = score("round_trip", Told(), triplets({**ROW, "hard_negatives": NEAR[:1]}), min_passed=2)
    assert found.status == "parse_error"
    assert "raise pair.hard_negatives" in found.error


def test_a_text_that_fits_the_target_alone_has_the_whole_share() -> None:
    asker = Told(reading=lambda q, text: Reading("ok", "", -1.0 if q.image_ids[1] == "t" else -60.0, 4))
    (found,) = score("likelihood", asker, triplets(ROW), min_share=0.5)
    assert found.values["share"] == pytest.approx(1)
    assert (found.values["whole"], found.values["per_token"]) == (-1.0, -0.25)
    near = [("r", one) for one in ("r", "n0", "n1", "n2", "n3")]
    assert [question.image_ids for question in asker.asked] == [("r", "t"), ("t", "r"), *near]


def test_a_text_that_fits_another_image_far_better_is_no_overflow() -> None:
    asker = Told(reading=lambda q, text: Reading("ok", "", -5000.0 if q.image_ids[1] == "t" else -1.0, 4))
    (found,) = score("likelihood", asker, triplets(ROW), min_share=0.5)
    assert found.values["share"] == pytest.approx(0, abs=1e-300)


def test_without_others_the_target_has_the_whole_share() -> None:
    asker = Told(reading=lambda q, text: Reading("ok", "", -3.0, 4))
    (found,) = score("likelihood", asker, triplets(ROW), min_text=-4, others=0)
    assert found.values["share"] == 1
    assert [question.image_ids for question in asker.asked] == [("r", "t"), ("t", "r")]


def test_a_text_told_the_wrong_way_round_is_more_probable_the_other_way() -> None:
    asker = Told(reading=lambda q, text: Reading("ok", "", -1.0 if q.image_ids == ("t", "r") else -4.0, 4))
    (found,) = score("likelihood", asker, triplets(ROW), min_forward=0.5, others=0)
    assert found.values["forward"] == pytest.approx(1 / (1 + math.e**3))


@pytest.mark.parametrize("status", ["image_error", "oom", "engine_error"])
def test_one_failed_answer_fails_its_triplet_and_no_other(status: Any) -> None:
    rows = triplets(ROW, {**ROW, "reference_id": "broken"})

    def belief(question: Question, options: Sequence[str]) -> Belief:
        return Belief(status, "no", (), 0.0) if "broken" in question.image_ids else sure(options[0], options)

    def reading(question: Question, text: str) -> Reading:
        return Reading(status, "no", 0.0, 0) if "broken" in question.image_ids else Reading("ok", "", -1.0, 2)

    for name, settings in {
        "judge": {"min_yes": 0.5},
        "claims": {"min_true": 0.5},
        "round_trip": {"min_passed": 2},
        "likelihood": {"min_share": 0.5},
    }.items():
        whole, broken = score(name, Told(belief, reading), rows, "both: a", **settings)
        assert (whole.status, broken.status, broken.values, broken.error) == ("ok", status, {}, "no"), name


def test_a_filter_may_bring_its_own_model_and_its_own_words() -> None:
    part = make_filter("judge", min_yes=0.5, model={"model": "cirgen:mllm", "batch_size": 3})
    model = part.model()
    assert model is not None
    assert model.model == "cirgen:mllm"
    assert make_filter("judge", min_yes=0.5).model() is None
    one, two = (
        make_filter("judge", min_yes=0.5, **settings).scoring()
        for settings in ({}, {"observe": None, "prompt": "judge-change"})
    )
    assert one != two


@given(st.lists(st.sampled_from("abcdert"), max_size=8), st.integers(0, 6))
def test_distractors_are_never_the_target_never_twice_and_begin_with_the_reference(names: str, most: int) -> None:
    row = {**ROW, "hard_negatives": [{"image_id": name, "kind": "mined"} for name in names]}
    found = distractors(row, most)
    assert len(found) == len(set(found)) <= most
    assert "t" not in found
    assert not found or found[0] == "r"


@given(st.lists(st.text(min_size=1), min_size=1, max_size=6, unique=True), st.integers(0, 5), st.randoms())
def test_an_order_belongs_to_the_triplet_and_the_turn(names: list[str], turn: int, rng: Any) -> None:
    assert shuffled(names, ROW, turn) == shuffled(rng.sample(names, len(names)), ROW, turn)
    assert sorted(shuffled(names, ROW, turn)) == sorted(names)


@given(st.lists(st.floats(-200, 0), min_size=6, max_size=6))
def test_shares_of_a_likelihood_stay_within_bounds(values: list[float]) -> None:
    by_image = dict(zip(("t", "r", "n0", "n1", "n2", "n3"), values, strict=True))
    asker = Told(reading=lambda q, text: Reading("ok", "", by_image[q.image_ids[1]], 4))
    (found,) = score("likelihood", asker, triplets(ROW), min_share=0.5)
    expected = 1 / sum(math.exp(value - values[0]) for value in values)
    assert found.values["share"] == pytest.approx(expected)
    assert 0 <= found.values["share"] <= 1


def test_a_share_among_nobody_is_no_bound() -> None:
    with pytest.raises(ValueError, match="set others to 1 at least"):
        make_filter("likelihood", min_share=0.5, others=0)
