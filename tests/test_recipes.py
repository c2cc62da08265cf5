"""The recipes that ship."""

from __future__ import annotations

import pytest

from cirgen.recipe_checks import check_recipe
from cirgen.recipe_file import find_recipe, load_recipe, recipe_names

SPN4CIR = {
    # paper's base model and data: rank window, pairs kept, templates, words asked for (released commands)
    "fashioniq-tgcir": ((10_000, 19_999), None, ("spn-target",), 10),
    "cirr-tgcir": ((10_000, 14_999), None, ("spn-instead", "spn-unlike"), 10),
    "fashioniq-clip": ((10_000, 19_999), None, ("spn-target",), 4),
    "cirr-clip": ((10_000, 14_999), None, ("spn-instead", "spn-unlike"), 8),
    "fashioniq-blip": (None, 3_000, ("spn-target",), 10),
    "cirr-blip": (None, None, ("spn-instead", "spn-unlike"), 10),
    "fashioniq-blip2": (None, 6_000, ("spn-target",), 10),
    "cirr-blip2": (None, None, ("spn-instead", "spn-unlike"), 10),
    "fashioniq-zs": (None, None, ("spn-target",), 5),
    "cirr-zs": (None, None, ("spn-instead", "spn-unlike"), 10),
    "fashioniq-cc3m": (None, None, ("spn-target",), 10),
    "cirr-cc3m": (None, None, ("spn-instead", "spn-unlike"), 10),
}


@pytest.mark.parametrize("name", recipe_names())
def test_every_shipped_recipe_is_valid(name: str) -> None:
    check_recipe(load_recipe(name), files=False)


@pytest.mark.parametrize("name", recipe_names())
def test_every_shipped_recipe_opens_with_its_command_and_its_purpose(name: str) -> None:
    first, second = find_recipe(name).read_text(encoding="utf8").splitlines()[:2]
    assert first.startswith(f"# To run: cirgen run recipes/{name}.yaml")
    assert second.startswith("# ")
    assert second.endswith(".")


def test_the_demo_needs_nothing_but_what_ships() -> None:
    check_recipe(load_recipe("demo"))


def test_the_folder_recipe_becomes_valid_with_a_path() -> None:
    check_recipe(load_recipe("folder", ["images.path=cirgen:images"]))


def test_all_configurations_of_the_paper_are_there() -> None:
    assert {name.removeprefix("spn4cir/") for name in recipe_names() if name.startswith("spn4cir/")} == set(SPN4CIR)


@pytest.mark.parametrize("name", SPN4CIR)
def test_a_configuration_of_the_paper_has_its_settings(name: str) -> None:
    window, kept, templates, words = SPN4CIR[name]
    recipe = load_recipe(f"spn4cir/{name}").recipe
    (signal,) = recipe.pair.signals
    assert (signal.kind, signal.lower, signal.upper) == (("rank", *window) if window else ("random", None, None))
    assert signal.per_image == 1
    assert recipe.pair.max_pairs == kept
    assert recipe.modify.prompts == templates
    assert recipe.modify.fallback_tokens == 77
    assert recipe.caption.words == words
    assert recipe.filter == ()
