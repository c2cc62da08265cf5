"""`benchmark/PAPER.md`: published figures that add up, and a command for every row that is empty."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cirgen.filters.registry import FILTERS
from cirgen.recipe_file import load_recipe, recipe_names
from cirgen_benchmark.protocols.cirr import LISTED
from cirgen_benchmark.verdict.preset_file import load_preset

TEXT = (Path(__file__).parents[2] / "benchmark" / "PAPER.md").read_text(encoding="utf8")
FAMILIES = ("clip", "tgcir", "blip", "blip2", "zs")
BENCHMARKS = ("fashioniq", "cirr")
TYPO = "54.92"


def section(title: str) -> str:
    """Return a section's text, by the beginning of its title."""
    return next(part for part in TEXT.split("\n## ") if part.startswith(title))


def rows(title: str) -> list[list[str]]:
    """Return the rows of a section's first table, as cells without footnotes."""
    lines = re.split(r"\n\n(?!\|)", section(title).split("\n|---", 1)[1], maxsplit=1)[0].splitlines()[1:]
    cells = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    return [[re.sub(r" ?\[\^\w+\]", "", cell) for cell in row] for row in cells]


def published(title: str) -> list[list[str]]:
    return [row for row in rows(title) if row[1] == "published"]


def mean(*values: str) -> float:
    return sum(map(float, values)) / len(values)


def test_every_average_of_fashioniq_follows_from_its_parts_but_for_the_typo() -> None:
    found = published("FashionIQ")
    assert len(found) == 8
    for row in found:
        near, far = zip(*(cell.split(" / ") for cell in row[2:5]), strict=True)
        printed = "54.72" if row[5] == TYPO else row[5]
        assert [mean(*near), mean(*far)] == pytest.approx([float(printed), float(row[6])], abs=0.02)
        assert mean(printed, row[6]) == pytest.approx(float(row[7]), abs=0.02)
    assert [row[0] for row in found if row[5] == TYPO] == ["SPRC"]


def test_every_average_of_cirr_follows_from_its_parts() -> None:
    found = published("CIRR, test1")
    assert len(found) == 9
    for row in found:
        assert mean(row[3], row[6]) == pytest.approx(float(row[9]), abs=0.02)


@pytest.mark.parametrize("title", ["FashionIQ", "CIRR, test1", "CIRR, val"])
def test_every_row_of_the_paper_has_one_of_ours(title: str) -> None:
    ours = {row[0].removesuffix(", architecture only") for row in rows(title) if row[1] == "ours"}
    theirs = {row[0] for row in rows(title) if row[1] != "ours"}
    assert theirs <= ours
    only = {row[0] for row in rows(title) if "architecture only" in row[0]}
    assert only == {"TG-CIR, architecture only", "SPRC, architecture only"}


def test_figures_of_val_never_stand_beside_figures_of_test1() -> None:
    assert {row[1] for row in rows("CIRR, val")} == {"ours", "third party"}
    assert {row[1] for row in rows("CIRR, test1")} == {"ours", "published"}


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_every_row_has_the_commands_that_make_its_corpus_and_its_figures(benchmark: str) -> None:
    runs = re.findall(r"`cirgen run spn4cir/(\S+) --set (images\.\w+)=", TEXT)
    named = {name for name, _ in runs if name.startswith(benchmark)}
    assert named == {f"{benchmark}-{family}" for family in (*FAMILIES, "cc3m")}
    for name, field in runs:
        recipe = load_recipe(f"spn4cir/{name}", [f"{field}=somewhere"]).recipe
        assert f"runs/{recipe.name}/dataset" in TEXT
    presets = re.findall(r"cirgen bench (\S+) --preset (\S+) --set root=", TEXT)
    assert {preset for _, preset in presets if preset.endswith(benchmark)} == {
        f"spn4cir-{family}-{benchmark}" for family in FAMILIES
    }
    assert {dataset for dataset, _ in presets if benchmark in dataset} == {
        f"runs/spn4cir-{name}/dataset" for name in named
    }


def test_the_commands_of_cirr_write_what_the_server_of_test1_takes_for_the_arms_of_both_rows() -> None:
    for family in FAMILIES:
        sent = load_preset(f"spn4cir-{family}-cirr").submissions
        assert sent is not None
        assert sent.arms == (("corpus, bank",) if family == "zs" else ("stage one", "corpus, bank"))
    assert all(f"`cirr.test1.{metric}.json`" in TEXT for metric in LISTED)


def test_the_table_of_filters_has_every_recipe_and_every_filter_of_the_twins() -> None:
    header = re.search(r"\| recipe \| rows \| kept \|(.*)\|\n", section("What filtering")) or pytest.fail("no table")
    filters = [cell.strip() for cell in header[1].split("|")]
    twin = load_recipe("spn4cir/cirr-clip-filtered").recipe
    assert filters == [getattr(settings, FILTERS.tag) for settings in twin.filter]
    names = {row[0].strip("`") for row in rows("What filtering")}
    originals = {name.removeprefix("spn4cir/") for name in recipe_names() if name.startswith("spn4cir/")}
    assert names == {name for name in originals if not name.endswith("-filtered")} | {"demo-spn4cir"}


def test_what_filtering_removed_adds_up() -> None:
    filled = [row for row in rows("What filtering") if row[1]]
    assert filled
    for row in filled:
        every, kept, *removed = (int(cell.replace(",", "")) for cell in row[1:])
        assert every == kept + sum(removed)
