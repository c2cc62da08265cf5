"""The recipes that ship.

`python tests/test_recipes.py` writes the filtered twins of SPN4CIR's recipes again, after a change of an original.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cirgen.prompts import load_prompt
from cirgen.recipe_checks import check_recipe
from cirgen.recipe_file import find_recipe, load_recipe, recipe_names

MIDDLE_OF_FASHIONIQ, MIDDLE_OF_CIRR = (10_000, 19_999), (10_000, 14_999)
BOTH = ("spn-instead", "spn-unlike")
TARGET = ("spn-target",)
SPN4CIR = {
    # released commands: ranks, pairs kept, references of human triplets alone, templates, words, name of the file
    "fashioniq-tgcir": (MIDDLE_OF_FASHIONIQ, None, True, TARGET, 10, "tgcir"),
    "cirr-tgcir": (MIDDLE_OF_CIRR, None, False, BOTH, 10, "tgcir"),
    "fashioniq-clip": (MIDDLE_OF_FASHIONIQ, None, True, TARGET, 4, "clip"),
    "cirr-clip": (MIDDLE_OF_CIRR, None, False, BOTH, 8, "clip"),
    "fashioniq-blip": (None, 3_000, True, TARGET, 10, "blip"),
    "cirr-blip": (None, None, False, BOTH, 10, "blip"),
    "fashioniq-blip2": (None, 6_000, True, TARGET, 10, "blip2"),
    "cirr-blip2": (None, None, True, BOTH, 10, "blip2"),
    "fashioniq-zs": (None, None, False, TARGET, 5, "zs"),
    "cirr-zs": (None, None, False, BOTH, 10, "zs"),
    "fashioniq-cc3m": (None, None, False, TARGET, 10, None),
    "cirr-cc3m": (None, None, False, BOTH, 10, None),
}
CC3M_PARTS = {"fashioniq-cc3m": (0, 64, 128, 192), "cirr-cc3m": (0, 32, 64, 96, 128, 160, 192)}


@pytest.mark.parametrize("name", recipe_names())
def test_every_shipped_recipe_is_valid(name: str) -> None:
    check_recipe(load_recipe(name), files=False)


@pytest.mark.parametrize("name", recipe_names())
def test_every_shipped_recipe_opens_with_its_command_and_its_purpose(name: str) -> None:
    first, second = find_recipe(name).read_text(encoding="utf8").splitlines()[:2]
    assert first.startswith(f"# To run: cirgen run recipes/{name}.yaml")
    assert second.startswith("# ")
    assert second.endswith(".")


@pytest.mark.parametrize("name", ["demo", "demo-spn4cir"])
def test_the_demos_need_nothing_but_what_ships(name: str) -> None:
    check_recipe(load_recipe(name))


def test_the_papers_way_differs_from_the_demo_in_pairs_texts_and_filters_alone() -> None:
    demo, paper = (load_recipe(name).recipe for name in ("demo", "demo-spn4cir"))
    ours, theirs = demo.resolved(), paper.resolved()
    assert {field for field in ours if ours[field] != theirs[field]} == {"name", "pair", "modify", "filter"}
    assert {field for field in ours["pair"] if ours["pair"][field] != theirs["pair"][field]} == {"signals"}
    per_image = [sum(signal.per_image for signal in recipe.pair.signals) for recipe in (demo, paper)]
    assert per_image == [2, 2], "3,000 pairs of 1,500 images"
    assert [load_prompt(name).task for name in paper.modify.prompts] == ["template", "template"]
    assert paper.filter == ()


def test_the_papers_way_keeps_the_papers_window_to_scale() -> None:
    (signal,) = load_recipe("demo-spn4cir").recipe.pair.signals
    images_of_cirr = 16_939
    window = [percent * images_of_cirr / 100 for percent in (signal.lower or 0, signal.upper or 0)]
    assert window == pytest.approx([10_000, 15_000], abs=2)


def test_the_folder_recipe_becomes_valid_with_a_path() -> None:
    check_recipe(load_recipe("folder", ["images.path=cirgen:images"]))


def test_all_configurations_of_the_paper_are_there_each_with_its_filtered_twin() -> None:
    names = {name.removeprefix("spn4cir/") for name in recipe_names() if name.startswith("spn4cir/")}
    assert names == {*SPN4CIR, *map(twin_name, SPN4CIR)}


@pytest.mark.parametrize("name", SPN4CIR)
def test_a_configuration_of_the_paper_has_its_settings(name: str) -> None:
    window, kept, given, templates, words, tag = SPN4CIR[name]
    recipe = load_recipe(f"spn4cir/{name}").recipe
    assert recipe.name == f"spn4cir-{name}"
    assert recipe.seed == 42
    (signal,) = recipe.pair.signals
    assert (signal.kind, signal.lower, signal.upper) == (("rank", *window) if window else ("random", None, None))
    assert (signal.per_image, signal.by, signal.same_category) == (1, "image", False)
    assert recipe.pair.max_pairs == kept
    assert (recipe.pair.references == "given") is given
    assert recipe.modify.prompts == templates
    assert recipe.modify.fallback_tokens == 77
    assert recipe.caption.words == words
    assert recipe.filter == ()
    assert (recipe.export.validation, recipe.export.test) == (0, 0)
    assert [layout.tag for layout in recipe.export.layouts] == [tag]


@pytest.mark.parametrize("name", SPN4CIR)
def test_a_configuration_of_the_paper_looks_at_the_papers_images(name: str) -> None:
    recipe = load_recipe(f"spn4cir/{name}").recipe
    images = recipe.images.model_dump()
    if name in CC3M_PARTS:
        assert images["parts"] == tuple(f"part_{number}" for number in CC3M_PARTS[name])
    else:
        assert (images["kind"], images["split"]) == (name.partition("-")[0], "train")
        assert images["only_in_triplets"]
    by_category = images["kind"] == "fashioniq"
    assert recipe.caption.prompts == ("spn-caption-category" if by_category else "spn-caption-image",)


@pytest.mark.parametrize("name", SPN4CIR)
def test_what_brings_the_behaviour_of_the_released_code_back_can_be_set(name: str) -> None:
    recipe = load_recipe(f"spn4cir/{name}")
    settings = [
        setting.replace("'", "").rstrip(",") for setting in re.findall(r"=> ([\w.]+=(?:'.*?'|\S+))", recipe.text)
    ]
    assert len(settings) == recipe.text.count("=> ") > 1
    for setting in settings:
        assert load_recipe(f"spn4cir/{name}", [setting]).recipe != recipe.recipe


# Twins: a recipe inherits nothing, so each is written out whole, from its original

FILTERS = """\
filter:
  - name: lint
  - name: duplicate
  - name: similarity
    upper_percentile: 99
  - name: reference_leak
    max_share: 0.5
    max_tail: null                  # two of the templates are made of what it measures
  - name: agreement
    min_target_percentile: 5
  - name: diversity
"""
ITS_TEXT_IS_A_CAPTION = """\
#
# Mind that its text is the caption of the target: it names no change, and finds the target by itself. Filters that
# look for that reject all of its rows, by design; the report says how many and why.
"""


def twin_name(name: str) -> str:
    return f"{name}-filtered"


def twin(name: str) -> str:
    """Return the text of the filtered twin of one of the paper's recipes."""
    command, _, *rest = find_recipe(f"spn4cir/{name}").read_text(encoding="utf8").splitlines()
    head = [
        command.replace(name, twin_name(name)),
        f"# The filtered twin of {name}.yaml: the same triplets, less what the filters reject.",
        "#",
        f"# After a run of the original nothing is captioned again: cp -r runs/spn4cir-{name}/store",
        f"# runs/spn4cir-{twin_name(name)}/ before the first run of this.",
    ]
    if load_recipe(f"spn4cir/{name}").recipe.modify.prompts == TARGET:
        head += ITS_TEXT_IS_A_CAPTION.splitlines()
    return "\n".join([*head, *(_twin_line(line, name) for line in rest)]) + "\n"


def _twin_line(line: str, name: str) -> str:
    if line.startswith("filter: []"):
        return FILTERS.rstrip()
    return f"name: spn4cir-{twin_name(name)}" if line.startswith("name: ") else line


def twin_path(name: str) -> Path:
    return find_recipe(f"spn4cir/{name}").with_name(f"{twin_name(name)}.yaml")


@pytest.mark.parametrize("name", SPN4CIR)
def test_a_filtered_twin_differs_from_its_original_in_name_and_filter_alone(name: str) -> None:
    one, other = (load_recipe(f"spn4cir/{each}").recipe.resolved() for each in (name, twin_name(name)))
    assert {field for field in one if one[field] != other[field]} == {"name", "filter"}
    assert other["name"] == twin_name(one["name"])
    assert [settings["name"] for settings in other["filter"]] == [
        settings.model_dump()["name"] for settings in load_recipe("folder").recipe.filter
    ], "what any folder of pictures is filtered by"


@pytest.mark.parametrize("name", SPN4CIR)
def test_a_filtered_twin_is_written_from_its_original(name: str) -> None:
    assert twin_path(name).read_text(encoding="utf8") == twin(name), "write it again: python tests/test_recipes.py"


if __name__ == "__main__":
    for written in SPN4CIR:
        twin_path(written).write_text(twin(written), encoding="utf8")
