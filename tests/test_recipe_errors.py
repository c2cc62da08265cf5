"""Whatever a recipe holds, it is a recipe that runs can be keyed by, or sentences with the line of each mistake."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cirgen.filters.registry import FILTERS
from cirgen.keys import digest
from cirgen.recipe import Recipe
from cirgen.recipe_errors import RecipeErrors
from cirgen.recipe_file import load_recipe
from cirgen.yaml_text import read_yaml, write_yaml

WHOLE = {
    **load_recipe("demo").recipe.resolved(),
    "pair": {"signals": [{"kind": "neighbours"}, {"kind": "rank", "lower": 1, "upper": 9}]},
    "filter": [
        {"name": "lint"},
        {"name": "duplicate"},
        {"name": "similarity", "upper": 0.9},
        {"name": "reference_leak", "max_share": 0.5},
        {"name": "agreement", "min_target_percentile": 5},
        {"name": "diversity"},
        {"name": "near_duplicate"},
        {"name": "target_leak", "max_share": 0.8},
        {"name": "people"},
        {"name": "language"},
        {"name": "decontamination", "against": ["list.parquet"]},
        {"name": "shortcut", "min_text_rank": 11, "encoders": [{"model": "cirgen:judge-encoder"}]},
        {"name": "too_broad", "max_rivals": 9},
        {"name": "contradiction", "classifier": {"model": "an/nli"}, "max_target": 0.5},
        {"name": "unsafe", "classifier": {"model": "a/classifier"}, "labels": ["toxic"], "max_probability": 0.5},
        {"name": "likelihood", "min_share": 0.2, "model": {"model": "cirgen:mllm"}},
        {"name": "judge", "min_yes": 0.5},
        {"name": "claims", "min_true": 0.5},
        {"name": "change_count", "max_changes": 2},
        {"name": "round_trip", "min_passed": 2},
    ],
}
"""A recipe with every section and every filter."""


def places(data: Any, here: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield here
    children = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in children:
        yield from places(value, (*here, key))


def with_value(data: Any, place: tuple[str | int, ...], value: Any) -> Any:
    if not place:
        return value
    copy = dict(data) if isinstance(data, dict) else list(data)
    copy[place[0]] = with_value(copy[place[0]], place[1:], value)  # type: ignore[index, call-overload]
    return copy


def problems(tmp_path: Path, text: str, *overrides: str) -> tuple[str, ...]:
    path = tmp_path / "r.yaml"
    path.write_text(text, encoding="utf8")
    with pytest.raises(RecipeErrors) as caught:
        load_recipe(path, overrides)
    return caught.value.problems


WORDS = st.sampled_from(["name", "kind", "lint", "similarity", "folder", "lower", "upper", "path", "\ud800", "", "é"])
NUMBERS = st.integers(-3, 200) | st.floats() | st.just(10**30)
SCALARS = st.none() | st.booleans() | NUMBERS | WORDS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3), max_leaves=6
)
MUTATIONS = st.lists(st.tuples(st.sampled_from(list(places(WHOLE))), VALUES), min_size=1, max_size=3)


@settings(max_examples=150)
@given(MUTATIONS)
def test_any_value_anywhere_is_taken_or_refused_with_its_line(tmp_path_factory: Any, mutations: list[Any]) -> None:
    data: Any = WHOLE
    for place, value in sorted(mutations, key=lambda mutation: -len(mutation[0])):
        data = with_value(data, place, value)
    path = tmp_path_factory.mktemp("any") / "r.yaml"
    path.write_text(write_yaml(data), encoding="utf8")
    try:
        digest(load_recipe(path).recipe.resolved())
    except RecipeErrors as error:
        assert error.problems
        assert all(re.match(r"r\.yaml:\d+: .", problem) for problem in error.problems)
        str(error).encode()


FILTER_MISTAKES = [
    (
        {"name": "similarity"},
        "can reject nothing; set lower or lower_percentile or lower_fit, upper or upper_percentile or upper_fit",
    ),
    ({"name": "similarity", "lower": 0.9, "upper": 0.1}, "lower 0.9 is above upper 0.1"),
    ({"name": "similarity", "lower_percentile": 90, "upper_percentile": 10}, "lower_percentile 90 is above"),
    ({"name": "similarity", "upper": 1.5}, "must be at most 1"),
    ({"name": "agreement", "min_target": 0.1, "min_target_percentile": 5}, "two ways to say one thing; keep one"),
    ({"name": "agreement"}, "can reject nothing; set min_target or min_target_percentile"),
    ({"name": "agreement", "min_target": 4}, "must be at most 1"),
    ({"name": "agreement", "min_margin": -4}, "must be at least -2"),
    ({"name": "reference_leak", "max_share": 0.5, "max_share_percentile": 5}, "two ways to say one thing"),
    ({"name": "lint", "min_words": 40, "max_words": 3}, "min_words 40 is above max_words 3"),
    ({"name": "lint", "min_words": 41}, "min_words 41 is above max_words 40"),
]


@pytest.mark.parametrize(("settings_", "message"), FILTER_MISTAKES)
def test_a_contradiction_in_a_filter_is_told_with_its_line(
    tmp_path: Path, settings_: dict[str, Any], message: str
) -> None:
    text = write_yaml({**WHOLE, "filter": [{"name": "duplicate"}, settings_]})
    first = next(n for n, line in enumerate(text.splitlines(), 1) if "duplicate" in line) + 1
    (problem,) = problems(tmp_path, text)
    line = int(re.fullmatch(r"r\.yaml:(\d+): filter\.1.*", problem)[1])  # type: ignore[index]
    assert first <= line < first + len(settings_)
    assert message in problem


@pytest.mark.parametrize(("settings_", "message"), FILTER_MISTAKES[:4])
def test_a_contradiction_set_on_the_command_line_is_told_as_set(
    tmp_path: Path, settings_: dict[str, Any], message: str
) -> None:
    (problem,) = problems(tmp_path, write_yaml(WHOLE), f"filter.2={settings_}")
    assert problem.startswith("--set: filter.2")
    assert message in problem


def test_a_value_set_beside_its_percentile_is_told_as_set(tmp_path: Path) -> None:
    assert {settings_["name"] for settings_ in WHOLE["filter"]} == set(FILTERS.names)
    (problem,) = problems(tmp_path, write_yaml(WHOLE), "filter.4.min_target=0.1")
    assert problem.endswith("filter.4: min_target and min_target_percentile are two ways to say one thing; keep one")


MISTAKES = [
    ("pair.signals.0.lower=.nan", "pair.signals.0.lower: must be a finite number"),
    ("modify.intents={any: .nan}", "modify.intents.any: must be a finite number"),
    ("modify.intents={any: .inf}", "modify.intents.any: must be a finite number"),
    ("modify.intents={any: 0}", "modify.intents.any: must be above 0"),
    ("modify.intents={any: -1}", "modify.intents.any: must be above 0"),
    ("caption.sampling.temperature=.inf", "caption.sampling.temperature: must be a finite number"),
    ("caption.sampling.ladder=[.nan]", "caption.sampling.ladder.0: must be a finite number"),
    ("caption.sampling.ladder=[0.5, -1.0]", "caption.sampling.ladder.1: must be at least 0"),
    ("caption.sampling.top_p=0", "caption.sampling.top_p: must be above 0"),
    ("caption.sampling.top_p=1.5", "caption.sampling.top_p: must be at most 1"),
    ("caption.sampling.max_new_tokens=0", "caption.sampling.max_new_tokens: must be at least 1"),
    ("mllm.batch_size=1000000000", "mllm.batch_size: must be at most 16384"),
    (
        "pair.signals.0={kind: neighbours, lower: 1, upper: 12}",
        "upper of a neighbours signal is a cosine from -1 to 1, not 12",
    ),
    ("pair.signals.0={kind: random, lower: -7}", "lower of a random signal is a cosine from -1 to 1, not -7"),
    (
        "pair.signals.0={kind: percentile, lower: -5, upper: 900}",
        "lower of a percentile signal is a percentile from 0 to 100, not -5",
    ),
    ("pair.signals.0={kind: percentile, lower: 9, upper: 3}", "lower 9 is above upper 3"),
    (
        "pair.signals.0={kind: rank, lower: 0, upper: 3}",
        "lower of a rank signal is a rank from 1 to 1,000,000,000, not 0",
    ),
    ("pair.signals.0={kind: rank, lower: 1.5, upper: 3}", "lower of a rank signal is a whole number, not 1.5"),
    ("export={validation: 0.95, test: 0.1}", "validation 0.95 and test 0.1 leave nothing to train on"),
    ("export={validation: 0.5, test: 0.5}", "leave nothing to train on"),
    (f"seed={2**63}", "seed: must be below 9223372036854775808"),
    ("images.columns={captoin: text}", "images.columns: unknown key"),
    ("images={kind: dataset, path: x, columns: {captoin: text}}", "images.columns.captoin: must be 'category', 'lic"),
    ("modify.intents={1: 2}", "modify.intents.1: should be a valid string"),
    ("\N{SUPERSCRIPT TWO}=3", "unknown key"),
    ('images.license="\\ud800"', "images.license: '\\ud800' is no Unicode text"),
]


@pytest.mark.parametrize(("override", "message"), MISTAKES)
def test_a_value_that_makes_no_sense_is_told_in_one_sentence(tmp_path: Path, override: str, message: str) -> None:
    (problem,) = problems(tmp_path, write_yaml(WHOLE), override)
    assert message in problem
    assert "\n" not in problem


def test_a_recipe_that_is_not_utf8_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_bytes(b"name: a\nimages: {kind: folder, path: caf\xe9}\n")
    with pytest.raises(RecipeErrors, match=r"^r\.yaml:2: this is no UTF-8 text"):
        load_recipe(tmp_path / "r.yaml")


def test_a_long_wrong_value_is_not_repeated_in_full(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, write_yaml({**WHOLE, "seed": ["x" * 1_000]}))
    assert len(problem) < 200


UNBOUNDED = {
    ("Signal", "lower"): "its range depends on the kind of signal, see Signal",
    ("Signal", "upper"): "as lower",
}


def numbers(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield every number within a JSON schema, whatever lists, mappings and choices it stands in."""
    if isinstance(schema, dict):
        if schema.get("type") in ("number", "integer"):
            yield schema
        for value in schema.values():
            yield from numbers(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from numbers(value)


def test_every_number_of_a_recipe_has_a_least_and_a_largest_value() -> None:
    schema = Recipe.model_json_schema()
    models = {"Recipe": schema, **schema["$defs"]}
    fields = {(model, name): field for model in models for name, field in models[model]["properties"].items()}
    assert len([field for field in fields.values() if any(numbers(field))]) > 30
    unbounded = {
        place
        for place, field in fields.items()
        for number in numbers(field)
        if not ({"minimum", "exclusiveMinimum"} & set(number) and {"maximum", "exclusiveMaximum"} & set(number))
    }
    assert unbounded == set(UNBOUNDED)


def test_the_recipe_of_these_tests_is_one() -> None:
    assert Recipe.model_validate(read_yaml(write_yaml(WHOLE)).data)
