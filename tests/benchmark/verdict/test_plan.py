"""Every arm of a preset is planned with its numbers; a point of a curve differs from its arm in one of them alone."""

from __future__ import annotations

from typing import Any

from bench_runs import TINY_PRESET, tiny_preset

from cirgen_benchmark.verdict.plan import PlannedArm, planned

CURVES: dict[str, Any] = {
    "people": {"vary": "human", "values": (12, 24), "arms": ("human", "corpus")},
    "ratio": {"vary": "ratio", "values": (0.5, 1), "arms": ("corpus",), "human": 20},
    "more people": {"vary": "ratio", "values": (0.5, 1), "arms": ("corpus",), "human": 40},
    "negatives": {"vary": "negatives", "values": (2, 8), "arms": ("human", "corpus")},
}


def points(curve: str) -> list[PlannedArm]:
    return [arm for arm in planned(tiny_preset(curves=CURVES)) if arm.curve == curve]


def arm(name: str) -> PlannedArm:
    return next(one for one in planned(tiny_preset()) if one.name == name)


def differences(one: PlannedArm, other: PlannedArm) -> set[str]:
    """Return the dotted names of all numbers in which the steps of two arms differ."""
    leaves = [_leaves([step._asdict() for step in each.steps]) for each in (one, other)]
    return {name for name in leaves[0].keys() | leaves[1].keys() if leaves[0].get(name) != leaves[1].get(name)}


def _leaves(value: Any, name: str = "") -> dict[str, Any]:
    if hasattr(value, "model_dump"):
        return _leaves(value.model_dump(), name)
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = dict(enumerate(value)).items()
    else:
        return {name: value}
    return {key: leaf for part, below in items for key, leaf in _leaves(below, f"{name}.{part}").items()}


def test_arms_come_in_the_order_of_the_preset_and_then_the_points() -> None:
    names = [one.name for one in planned(tiny_preset())]
    assert names == ["untrained", "human", "corpus", "corpus (people: 24)", "corpus (people: 48)"]


def test_steps_have_the_numbers_of_their_stage_and_their_data() -> None:
    one, two = arm("corpus").steps
    assert (one.name, one.stage.loss, one.data.corpus) == ("one", "in_batch", None)
    assert (two.name, two.stage.loss, two.data.corpus) == ("two", "bank", "accepted")
    assert arm("untrained").steps == ()


def test_a_curve_over_people_varies_their_number_in_every_step_and_nothing_else() -> None:
    few, many = (one for one in points("people") if one.of == "corpus")
    assert differences(few, many) == {".0.data.human", ".1.data.human"}
    assert [step.data.human for step in few.steps] == [12, 12]
    assert differences(few, arm("corpus")) == {".0.data.human", ".1.data.human"}


def test_a_curve_over_the_ratio_varies_it_where_the_corpus_is() -> None:
    low, high = points("ratio")
    assert differences(low, high) == {".1.data.ratio"}
    assert [step.data.human for step in low.steps] == [20, 20]
    assert (low.steps[1].data.ratio, high.steps[1].data.ratio) == (0.5, 1)


def test_a_curve_over_negatives_varies_the_bank_alone() -> None:
    few, many = (one for one in points("negatives") if one.of == "human")
    assert differences(few, many) == {".1.stage.bank.negatives"}
    assert differences(few, arm("human")) == {".1.stage.bank.negatives"}


def test_points_of_every_curve_have_names_of_their_own() -> None:
    names = [one.name for one in planned(tiny_preset(curves=CURVES))]
    assert len(names) == len(set(names)) == len(TINY_PRESET["arms"]) + 4 + 2 + 2 + 4
