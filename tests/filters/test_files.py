"""Of files that a filter names the content decides: it enters the recipe's hash, the path does not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cirgen.filters.files import file_contents, with_file_contents
from cirgen.keys import recipe_hash
from cirgen.progress import Silent
from cirgen.recipe import Recipe
from cirgen.recipe_checks import check_recipe
from cirgen.recipe_errors import RecipeErrors
from cirgen.recipe_file import load_recipe
from ingest_runs import fill
from tiny_classifiers import save

LIST = "kinds: {age: {alone: [ancient]}}"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIRGEN_CACHE", str(tmp_path / "cache"))


def recipe(*filters: str) -> Recipe:
    return load_recipe("demo", [f"filter=[{', '.join(filters)}]"]).recipe


def hash_of(of: Recipe) -> str:
    return recipe_hash(with_file_contents(of.resolved(), file_contents(of.filter, Silent())), {}, {})


def test_the_same_words_at_another_path_are_the_same_recipe_and_other_words_are_not(tmp_path: Path) -> None:
    here, there = tmp_path / "here.yaml", tmp_path / "there.yaml"
    here.write_text(LIST)
    shutil.copy(here, there)
    before = hash_of(recipe(f"{{name: people, words: '{here}'}}"))
    assert hash_of(recipe(f"{{name: people, words: '{there}'}}")) == before
    assert hash_of(recipe("{name: people}")) != before
    here.write_text(LIST.replace("ancient", "antique"))
    assert hash_of(recipe(f"{{name: people, words: '{here}'}}")) != before


def test_the_same_benchmark_at_another_path_is_the_same_recipe_and_a_larger_one_is_not(tmp_path: Path) -> None:
    one, other = fill(tmp_path / "one", 3), fill(tmp_path / "other", 3)
    before = hash_of(recipe(f"{{name: decontamination, against: ['{one}']}}"))
    assert hash_of(recipe(f"{{name: decontamination, against: ['{other}']}}")) == before
    fill(other, 4)
    assert hash_of(recipe(f"{{name: decontamination, against: ['{other}']}}")) != before


def test_the_same_classifier_at_another_path_is_the_same_recipe(tmp_path: Path) -> None:
    shutil.copytree(save(tmp_path / "one"), tmp_path / "other")
    hashes = [
        hash_of(recipe(f"{{name: contradiction, max_target: 0.5, classifier: {{model: '{path}', {more}}}}}"))
        for path, more in (
            (tmp_path / "one", ""),
            (tmp_path / "other", "device: cpu"),
            (tmp_path / "one", "tokens: 64"),
        )
    ]
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{name: people, words: none.yaml}", "The word list none.yaml cannot be read"),
        ("{name: unsafe, words: none.txt}", "The list none.txt cannot be read"),
        (
            "{name: decontamination, against: [nowhere]}",
            "There is nothing at nowhere; correct decontamination.against",
        ),
        (
            "{name: contradiction, max_target: 0.5, classifier: {model: ./nli}}",
            "filter.0.classifier.model: There is no model folder at nli",
        ),
    ],
)
def test_validate_tells_files_that_are_not_there(text: str, message: str) -> None:
    loaded = load_recipe("demo", [f"filter=[{text}]"])
    check_recipe(loaded, files=False)
    with pytest.raises(RecipeErrors, match=message):
        check_recipe(loaded)


def test_validate_reads_a_word_list(tmp_path: Path) -> None:
    (tmp_path / "words.yaml").write_text("kinds: {hair: {alone: [blond]}}")
    loaded = load_recipe("demo", [f"filter=[{{name: people, words: '{tmp_path}/words.yaml'}}]"])
    with pytest.raises(RecipeErrors, match="is wrong"):
        check_recipe(loaded)
