"""Recipe files: every mistake at once, each with its line; overrides; names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cirgen.changes import read_recipe, save_recipe
from cirgen.errors import UserError
from cirgen.recipe import Recipe
from cirgen.recipe_errors import RecipeErrors
from cirgen.recipe_file import load_recipe, recipe_names
from cirgen.yaml_text import write_yaml

GOOD = """\
# To run: cirgen run small.yaml
name: small
images:
  kind: folder
  path: pictures
mllm: {model: cirgen:mllm}
encoder:
  model: cirgen:filter-encoder
filter:
  - name: lint
    min_words: 1
  - name: duplicate
"""


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def write_file(text: str = GOOD) -> Path:
        path = tmp_path / "small.yaml"
        path.write_text(text, encoding="utf8")
        return path

    return write_file


def problems(path: Path, *overrides: str) -> tuple[str, ...]:
    with pytest.raises(RecipeErrors) as caught:
        load_recipe(path, overrides)
    return caught.value.problems


def test_a_good_recipe_loads_with_its_text_and_path(write: Any) -> None:
    path = write()
    loaded = load_recipe(path)
    assert loaded.recipe.name == "small"
    assert (loaded.text, loaded.path) == (GOOD, path)


def test_every_mistake_is_told_at_once_with_its_line_and_a_suggestion(write: Any) -> None:
    text = GOOD.replace("path: pictures", "pth: pictures").replace("min_words: 1", "min_words: few")
    found = problems(write(text + "caption:\n  promts: [x]\nseed: 1.5\n"))
    assert found == (
        "small.yaml:3: images.path: is missing; add it",
        "small.yaml:5: images.pth: unknown key (did you mean 'path'?)",
        "small.yaml:11: filter.0.min_words: must be a whole number, not 'few'",
        "small.yaml:14: caption.promts: unknown key (did you mean 'prompts'?)",
        "small.yaml:15: seed: must be a whole number, not 1.5",
    )


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("kind: folder", "kind: foldr", 3, "did you mean 'folder'?"),
        ("name: duplicate", "nam: duplicate", 12, "needs the key 'name'"),
        ("name: duplicate", "name: dublicate", 12, "did you mean 'duplicate'?"),
        ("mllm: {model: cirgen:mllm}", "mllm: cirgen:mllm", 6, "must be a mapping of keys"),
        ("mllm: {model: cirgen:mllm}", "mllm: {model: m, dtype: float8}", 6, "'float32'"),
        ("name: small", "name: a name", 2, "letters, digits"),
        ("  path: pictures", "  path: pictures\n  path: others", 6, "is given twice"),
        ("  path: pictures", "  path: pictures\n  kind: folder", 6, "images.kind: is given twice"),
        ("mllm:", "pair: {signals: [{kind: rank}]}\nmllm:", 6, "a rank window needs both lower and upper"),
    ],
)
def test_a_mistake_names_its_line_and_its_fix(write: Any, old: str, new: str, line: int, words: str) -> None:
    assert old in GOOD
    (problem,) = [p for p in problems(write(GOOD.replace(old, new))) if words in p]
    assert problem.startswith(f"small.yaml:{line}: ")


def test_a_key_with_no_near_name_lists_the_known_ones(write: Any) -> None:
    (problem,) = problems(write(GOOD + "caption: {zzz: 1}\n"))
    assert "known: prompts, words, samples, sampling" in problem


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n- b\n", "is a list"),
        ("", "is empty"),
        ("name: [a\nimages: b\n", "not YAML"),
        ("a: b: c\n", "small.yaml:1: this is not YAML"),
    ],
)
def test_what_is_no_recipe_at_all_is_said_so(write: Any, text: str, message: str) -> None:
    (problem,) = problems(write(text))
    assert message in problem


def test_overrides_read_their_value_as_yaml_and_reach_into_lists(write: Any) -> None:
    overrides = ["filter.0.min_words=3", "caption.prompts=[caption-attributes]", "llm.model=cirgen:mllm", "seed=7"]
    recipe = load_recipe(write(), overrides).recipe
    assert recipe.filter[0].model_dump()["min_words"] == 3
    assert recipe.caption.prompts == ("caption-attributes",)
    assert recipe.llm is not None
    assert recipe.seed == 7


def test_an_override_may_hold_an_equals_sign(write: Any) -> None:
    recipe = load_recipe(write(), ["images.path=a=b"]).recipe
    assert recipe.images.model_dump()["path"] == "a=b"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("caption.wrds=3", "--set: caption.wrds: unknown key (did you mean 'words'?)"),
        ("filter.7.min_words=3", "--set: filter.7: there is nothing to set"),
        ("name.x=3", "--set: name.x: there is nothing to set, since name is 'small'"),
        ("caption.words=many", "--set: caption.words: must be a whole number, not 'many'"),
    ],
)
def test_a_wrong_override_is_told_like_a_wrong_line(write: Any, override: str, message: str) -> None:
    assert problems(write(), override)[0].startswith(message)


@pytest.mark.parametrize("override", ["words", "=3", "caption.words=[3"])
def test_an_override_that_cannot_be_read_shows_the_way(write: Any, override: str) -> None:
    with pytest.raises(UserError, match="--set"):
        load_recipe(write(), [override])


def test_shipped_recipes_are_found_by_name_and_by_relative_path(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("demo", "demo.yaml", "recipes/demo.yaml", "./recipes/demo.yaml"):
        assert load_recipe(name).recipe.name == "demo"
    assert load_recipe("spn4cir/cirr-clip").recipe.name == "spn4cir-cirr-clip"


def test_a_file_of_the_users_goes_before_a_shipped_one(tmp_path: Path, monkeypatch: Any, write: Any) -> None:
    monkeypatch.chdir(tmp_path)
    write().rename(tmp_path / "demo.yaml")
    assert load_recipe("demo.yaml").recipe.name == "small"


def test_an_unknown_recipe_offers_a_near_name() -> None:
    with pytest.raises(UserError, match=r"No recipe is called 'dmo' \(did you mean 'demo'\?\)"):
        load_recipe("dmo")


def test_the_resolved_recipe_of_a_run_reads_back_as_it_was(tmp_path: Path) -> None:
    for name in recipe_names():
        recipe = load_recipe(name).recipe
        save_recipe(tmp_path, recipe)
        assert read_recipe(tmp_path) == recipe.resolved()
        assert Recipe.model_validate(read_recipe(tmp_path)) == recipe


_VALUES = st.fixed_dictionaries(
    {
        "name": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True),
        "seed": st.integers(-(2**40), 2**40),
        "images": st.fixed_dictionaries({"kind": st.just("folder"), "path": st.text(min_size=1, max_size=20)}),
        "encoder": st.fixed_dictionaries({"model": st.text(min_size=1, max_size=20)}),
        "caption": st.fixed_dictionaries({}, optional={"words": st.integers(1, 99), "samples": st.integers(1, 9)}),
        "modify": st.fixed_dictionaries(
            {}, optional={"intents": st.dictionaries(st.text(min_size=1, max_size=9), st.floats(0.001, 9), min_size=1)}
        ),
    }
)


@settings(deadline=None)
@given(_VALUES)
@example({"name": "a", "images": {"kind": "folder", "path": "\x85ø\u2028"}, "encoder": {"model": "x" * 99 + " y"}})
def test_any_recipe_survives_the_way_through_its_file(tmp_path_factory: Any, values: dict[str, Any]) -> None:
    folder = tmp_path_factory.mktemp("recipe")
    path = folder / "any.yaml"
    path.write_text(write_yaml(values), encoding="utf8")
    recipe = load_recipe(path).recipe
    save_recipe(folder, recipe)
    assert Recipe.model_validate(read_recipe(folder)) == recipe == Recipe.model_validate(values)
