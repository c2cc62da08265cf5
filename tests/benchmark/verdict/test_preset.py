"""A preset that could not answer its questions is refused, with every mistake named."""

from __future__ import annotations

from typing import Any

import pytest
from bench_runs import TINY_PRESET, tiny_preset
from pydantic import ValidationError

from cirgen_benchmark.verdict.plan import planned
from cirgen_benchmark.verdict.preset import Preset


def refused(**sections: Any) -> str:
    with pytest.raises(ValidationError) as raised:
        tiny_preset(**sections)
    return str(raised.value)


def curve(vary: str, arm: str, *values: float) -> dict[str, Any]:
    return {"curves": {"one": {"vary": vary, "values": values or (1, 2), "arms": (arm,)}}}


STEP = {"stage": "one", "on": "human"}
MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"arms": {"a": {"steps": ({**STEP, "stage": "three"},)}}}, "there is no stage 'three' (known: one, two)"),
    ({"arms": {"a": {"steps": ({**STEP, "on": "humans"},)}}}, "there is no data 'humans' (known: human, both)"),
    ({"verdict": "bank"}, "there is no contrast 'bank'"),
    ({"contrasts": {"c": {"question": "?", "plus": ("corpus",), "minus": ("b",)}}}, "there is no arm 'b'"),
    ({"human": None}, "there are no human triplets; give the section human"),
    ({"data": {"human": {}, "both": {"human": True}}}, "trains on nothing"),
    ({"data": {"human": {"human": True, "ratio": 2}, "both": {"human": True}}}, "ratio and pairs belong to corpus"),
    ({"data": {"human": {"human": True}, "both": {"corpus": "all", "ratio": 2}}}, "ratio is a share of the human"),
    ({"development": {"kind": "holdout"}}, "a holdout needs human triplets of a benchmark"),
    ({"seeds": (1, 2, 1)}, "a seed is given twice"),
    ({"seeds": (-1,)}, "greater than or equal to 0"),
    ({"splits": ("train", "test")}, "evaluation: the corpus's split test trains, too"),
    ({"splits": ("train", "validation")}, "development: the corpus's split validation trains, too"),
    (curve("human", "untrained"), "'untrained' trains on no human triplets; leave it out"),
    (curve("ratio", "human"), "'human' does not mix a corpus with human triplets"),
    (curve("negatives", "untrained"), "'untrained' has no stage with a bank"),
    (curve("human", "corpus", 10, 20.5), "human are counted, and 20.5 is no whole number"),
    ({"splits": ()}, "at least 1 item"),
    ({"splits": ("train", "train")}, "one is given twice"),
    ({"seeds": (2**31,)}, "less than or equal to 2147483647"),
    ({"human": {"kind": "world", "triplets": 10**8}}, "less than or equal to 10000"),
    ({"evaluation": {"kind": "world", "purpose": "evaluation", "each": 10**9}}, "less than or equal to 10000"),
    ({"contrasts": {"c": {"question": "?", "plus": ("corpus",), "minus": ("corpus",)}}}, "compare it with itself"),
    ({"contrasts": {"c": {"question": "?", "plus": ("human", "human"), "minus": ("corpus",)}}}, "comes twice"),
    ({"data": {"human": {"human": True}, "both": {"human": True, "corpus": "all", "ratio": 2, "count": 9}}}, "one of"),
    (curve("human", "corpus", 20, 20), "one is given twice"),
    ({"stages": {"one": {"steps": 1, "optimiser": {"betas": (0.9, 1.0)}}, "two": {"steps": 1}}}, "less than 1"),
    (curve("ratio", "nobody"), "there is no arm 'nobody'"),
]


@pytest.mark.parametrize(("sections", "message"), MISTAKES, ids=[message for _, message in MISTAKES])
def test_a_mistake_is_named(sections: dict[str, Any], message: str) -> None:
    assert message in refused(**sections)


def test_no_arm_is_called_like_a_point_of_a_curve() -> None:
    arms = {**TINY_PRESET["arms"], "corpus (people: 24)": {}}
    assert "arms.corpus (people: 24): curves.people calls a point so; rename one" in refused(arms=arms)


def test_points_of_a_curve_are_told_apart_however_near_they_are() -> None:
    preset = tiny_preset(**curve("human", "corpus", 1_000_001, 1_000_002))
    assert len({arm.name for arm in planned(preset)}) == 5


def test_an_interaction_takes_two_and_two() -> None:
    contrast = {"question": "?", "plus": ("corpus",), "minus": ("human",), "interaction": True}
    assert "two arms in plus and two in minus" in refused(contrasts={"corpus": contrast})


def test_choosing_the_best_step_needs_a_development_set() -> None:
    stages = {name: {**stage, "select": "best"} for name, stage in TINY_PRESET["stages"].items()}
    assert "stages.one: select best needs a development set" in refused(development=None, stages=stages)


def test_every_mistake_is_named_at_once() -> None:
    told = refused(verdict="bank", splits=("train", "test"), **curve("negatives", "untrained"))
    assert "no contrast 'bank'" in told
    assert "split test trains" in told
    assert "no stage with a bank" in told


WORLD = {"kind": "world", "purpose": "evaluation"}
FILES = {"kind": "fashioniq"}
CHOICES: list[tuple[dict[str, Any] | None, dict[str, Any], bool]] = [
    (None, WORLD, False),
    ({"kind": "world", "purpose": "development"}, WORLD, False),
    ({**WORLD, "images": 200, "each": 5}, WORLD, True),
    ({**WORLD, "collection": 1}, WORLD, False),
    (FILES, {**FILES, "reference": "remove", "gallery": "val_union"}, True),
    ({"kind": "cirr"}, FILES, False),
    ({"kind": "corpus", "split": "validation"}, {"kind": "corpus", "split": "test"}, False),
    ({"kind": "corpus", "split": "test"}, {"kind": "corpus", "split": "test"}, True),
]


@pytest.mark.parametrize(("development", "evaluation", "same"), CHOICES)
def test_choosing_on_the_reported_split_is_seen_however_it_is_asked(
    development: dict[str, Any] | None, evaluation: dict[str, Any], same: bool
) -> None:
    assert tiny_preset(development=development, evaluation=evaluation).selects_on_reported_split is same


@pytest.mark.parametrize(("seeds", "told", "indicative"), [(5, False, False), (5, True, True), (4, False, True)])
def test_few_seeds_are_indicative_whatever_the_preset_says(seeds: int, told: bool, indicative: bool) -> None:
    assert tiny_preset(seeds=tuple(range(seeds)), indicative=told).is_indicative is indicative


def test_steps_are_chosen_by_the_primary_metric_unless_another_is_named() -> None:
    assert tiny_preset().chosen_by == "recall@10"
    assert tiny_preset(select_by="recall@1").chosen_by == "recall@1"


def test_a_preset_reads_back_what_it_wrote() -> None:
    preset = tiny_preset()
    assert Preset.model_validate(preset.model_dump()) == preset
