"""What the card promises to somebody who does not believe it."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cirgen.publish.card import code, score_rows
from cirgen.publish.origins import source_folder
from cirgen.run_folder import Run
from cirgen.stages.export import export
from cirgen.yaml_text import read_yaml
from runs import make_run, with_recipe


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return make_run(tmp_path)


def _card(run: Run, **sections: object) -> str:
    run = with_recipe(run, **sections)
    export(run)
    return (run.dataset / "README.md").read_text(encoding="utf8")


def _words(text: str) -> str:
    return " ".join(text.replace("\n>", "\n").split())


TOYS = {"images": {"kind": "folder", "path": "cirgen:images"}}
SMALL = {"encoder": {"model": "cirgen:filter-encoder"}, "mllm": {"model": "cirgen:mllm"}}


@pytest.mark.parametrize("sections", [{}, TOYS, SMALL, TOYS | SMALL])
def test_no_card_claims_that_filters_work(run: Run, sections: dict[str, object]) -> None:
    words = _words(_card(run, **sections))
    assert "claims work" not in words and "filters work" not in words
    assert "By how much they do is not known from this dataset alone" in words


def test_a_card_of_toy_figures_says_what_runs_and_names_the_command_that_counts_what_is_right(run: Run) -> None:
    words = _words(_card(run, **TOYS, **SMALL))
    assert "rendered toy figures of cirgen's embedded world, and small models that ship with cirgen" in words
    assert "counted by `cirgen world truth path/to/dataset`" in words
    assert "It says nothing about photographs" in words


def test_a_card_of_other_pictures_says_that_the_small_models_do_not_know_them(run: Run) -> None:
    words = _words(_card(run, **SMALL))
    assert "made it (mllm, encoder). They were shown rendered toy figures and nothing else" in words
    assert "cirgen world truth" not in words
    assert "nobody real is shown" not in words


def test_every_sample_is_shown_with_the_file_names_of_its_pictures(run: Run) -> None:
    card = _card(run)
    table = [line for line in card.splitlines() if line.startswith("| a ")]
    names = {alias["source_id"] for [alias] in pq.read_table(run.catalog).column("aliases").to_pylist()}
    assert len(table) == 5
    for line in table:
        assert sum(f"<br>{name} |" in line for name in names) == 2


def test_the_way_to_find_a_picture_by_its_file_name_leads_to_it(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    card = _card(run)
    program = card.partition("### Ids")[2].split("```python\n")[1].partition("```")[0]
    program = program.replace('"path/to/dataset"', repr(str(run.dataset)))
    exec("from datasets import load_dataset\n" + program, {})
    name = program.partition('name = "')[2].partition('"')[0]
    [image_id] = [
        row["image_id"] for row in pq.read_table(run.catalog).to_pylist() if row["path"].endswith(f"/{name}")
    ]
    assert capsys.readouterr().out.strip().endswith(f"['{image_id}']")


def test_hard_negatives_are_explained_and_warned_of(run: Run) -> None:
    words = _words(_card(run))
    kinds = {
        negative["kind"]
        for row in pq.read_table(run.triplets).column("hard_negatives").to_pylist()
        for negative in row
    }
    assert all(f"- `{kind}`:" in words for kind in kinds)
    assert "up to 5 more" in words
    assert "checked by nobody: one may well fit the text too" in words
    assert "pictures *known* to answer the same query" in words


def test_every_score_column_is_explained_and_empty_ones_too(run: Run) -> None:
    words = _words(_card(run))
    assert "| `score_lint_words` | lint | length of the text | words, from 0 | 0, below `min_words`" in words
    assert "A score is empty where a filter before it had rejected the triplet" in words
    rows = score_rows(run, {"score_lint_meta_talk": "lint.meta-talk", "score_x_y": "x.y"})
    assert [row.note.meaning for row in rows] == ['talk about the images ("the second image")', "not described"]


def test_ids_are_told_apart(run: Run) -> None:
    words = _words(_card(run))
    for explained in ("- `image_id`: sha256 of the original", "- `sha256`: of the bytes", "- `group`: the smallest"):
        assert explained in words
    assert "- `sha256`" not in _words(_card(run, export={"images": "none"}))


@pytest.mark.parametrize(
    ("images", "folder"),
    [
        ({"kind": "folder", "path": "/home/me/cats/"}, "cats"),
        ({"kind": "folder", "path": "cirgen:images"}, "cirgen:images"),
        ({"kind": "folder", "path": "."}, "originals"),
        ({"kind": "manifest", "path": "/home/me/cats/all.csv"}, "cats"),
        ({"kind": "fashioniq", "root": "~/data/FashionIQ"}, "FashionIQ"),
    ],
)
def test_the_folder_of_the_originals_is_named_as_its_maker_called_it(
    run: Run, images: dict[str, str], folder: str
) -> None:
    assert source_folder(with_recipe(run, images=images)) == folder


def test_a_card_without_pictures_shows_how_to_join_the_originals(run: Run) -> None:
    assert 'images="path/to/images")[0]' in _card(run, export={"images": "none"})
    assert 'images="cirgen:images")[0]' in _card(run, **TOYS, export={"images": "none"})


@pytest.mark.parametrize(
    ("text", "span"),
    [("plain", "`plain`"), ("a`b", "``a`b``"), ("`a``", "``` `a`` ```"), ("a|b\n# c", "`a\\|b # c`")],
)
def test_nothing_closes_a_code_span(text: str, span: str) -> None:
    assert code(text) == span


HOSTILE = "x`y: z\n---\n# heading <script>alert(2)</script>"


def test_a_licence_is_one_line_of_text_wherever_it_stands(run: Run) -> None:
    card = _card(run, export={"license": HOSTILE, "images": "none"})
    licence = (run.dataset / "LICENSE").read_text(encoding="utf8")
    assert not [line for text in (card, licence) for line in text.splitlines() if line.startswith("# heading")]
    body = card.split("\n---\n", 1)[1]
    assert "<script>" not in body.split("```")[0] and "\\<script\\>" in body
    front = read_yaml(card.split("---\n")[1]).data
    assert re.fullmatch(r"[a-z0-9.+-]+", front["license_name"])


def test_a_card_names_the_labels_of_a_fit_and_not_where_they_lie(run: Run) -> None:
    rows = [row for row in pq.read_table(run.triplets).to_pylist() if row["status"] == "ok"]
    labels = run.folder / "mine" / "labels.parquet"
    labels.parent.mkdir()
    columns = {name: [row[name] for row in rows] for name in ("reference_id", "text", "target_id")}
    pq.write_table(pa.table({**columns, "good": [number % 3 > 0 for number in range(len(rows))]}), labels)
    card = _card(run, filter=[{"name": "similarity", "lower_fit": {"labels": str(labels), "keep": 0.9}}])
    assert "= labels labels.parquet keep 0.9 estimate point |" in card
    assert str(run.folder) not in card
