"""No corpus tells where on whose machine it was made."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from cirgen.publish.places import public_name
from cirgen.recipe import Recipe
from cirgen.run_folder import Run
from cirgen.schemas import CATALOG, TRIPLET
from cirgen.shards import write_rows
from cirgen.stages.export import export
from runs import make_run, with_recipe

PART = st.text(st.characters(exclude_characters="/\\~:.", exclude_categories=["Cs", "Cc"]), min_size=1)


@given(st.sampled_from(["/", "~/", "~me/", "../", "C:\\", "file:///"]), st.lists(PART, min_size=1, max_size=4))
def test_of_a_place_on_this_machine_the_last_part_is_left(start: str, parts: list[str]) -> None:
    assert public_name(start + "/".join(parts)) == parts[-1]
    assert public_name(start + "/".join(parts) + "/") == parts[-1]


@pytest.mark.parametrize("name", ["cirgen:images", "me/model", "photos/cats", "./p.md", "https://a.org/b.png", "a"])
def test_names_that_lead_nowhere_on_this_machine_stay(name: str) -> None:
    assert public_name(name) == name


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run on absolute paths: pictures, the model and a prompt."""
    run = make_run(tmp_path)
    prompt = tmp_path / "mine.md"
    prompt.write_text(
        "---\nname: mine\nversion: 1\nauthor: me\nnote: mine\ntask: change\nimages: 2\nslots: []\n---\nWhat changes?\n"
    )
    rows = pq.read_table(run.catalog).to_pylist()
    for row in rows:
        row["aliases"][0] |= {"source_id": row["path"], "url": f"file://{row['path']}"}
    write_rows(run.catalog, rows, CATALOG)
    model = str(tmp_path / "models" / "mine-7b")
    triplets = pq.read_table(run.triplets).to_pylist()
    write_rows(run.triplets, [{**row, "model": model} for row in triplets], TRIPLET)
    return with_recipe(run, mllm={"model": model}, modify={"prompts": [str(prompt)]})


@pytest.mark.parametrize("images", ["embed", "none"])
def test_a_corpus_made_from_absolute_paths_names_none_of_them(run: Run, tmp_path: Path, images: str) -> None:
    run = with_recipe(run, export={"images": images})
    export(run)
    files = [path for path in run.dataset.rglob("*") if path.is_file()]
    leaks = [path.name for path in files if str(tmp_path) in _content(path)]
    assert leaks == []
    assert {path.name for path in files} >= {"README.md", "manifest.json", "recipe.yaml", "LICENSE"}


def _content(path: Path) -> str:
    if path.suffix == ".parquet":
        return str(pq.read_table(path).to_pydict())
    return path.read_bytes().decode("utf8", "replace")  # a picture of the card holds text chunks, too


def test_what_was_cut_is_still_named_by_its_last_part(run: Run) -> None:
    export(run)
    triplets = pq.read_table(run.dataset / "triplets").to_pylist()
    aliases = [alias for [alias] in pq.read_table(run.dataset / "images").column("aliases").to_pylist()]
    assert {row["model"] for row in triplets} == {"mine-7b"}
    assert {alias["source"] for alias in aliases} == {"images"}
    assert "red-box-0.png" in {alias["source_id"] for alias in aliases}
    card = (run.dataset / "README.md").read_text(encoding="utf8")
    assert "- `images`: 13" in card and "| mllm | `mine-7b` |" in card


def test_the_published_recipe_says_that_paths_were_cut_and_is_else_the_recipe(run: Run) -> None:
    export(run)
    text = (run.dataset / "recipe.yaml").read_text(encoding="utf8")
    assert "# Of paths on the machine that made it, only the last parts are here" in text
    published = Recipe.model_validate(YAML(typ="safe").load(text))
    cut = {"images": {"path": "images"}, "mllm": {"model": "mine-7b"}, "modify": {"prompts": ["mine.md"]}}
    whole = run.recipe.resolved()
    assert published.resolved() == {**whole, **{name: {**whole[name], **fields} for name, fields in cut.items()}}
