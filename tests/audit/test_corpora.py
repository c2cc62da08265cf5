"""Every kind of corpus comes out as the same rows."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, DatasetDict, Features, Image, Value
from made_benchmarks import write_cirr, write_fashioniq, write_json
from PIL import Image as Pillow

from cirgen.audit.corpora.open import Options, corpus_name, open_corpus
from cirgen.audit.corpus import Corpus
from cirgen.errors import UserError
from cirgen.stages.export import export
from runs import make_run

COLORS = ("red", "green", "blue", "gold")


def png(color: str, side: int = 40) -> bytes:
    file = io.BytesIO()
    Pillow.new("RGB", (side, side), color).save(file, "PNG")
    return file.getvalue()


def read(name: str | Path, **options: Any) -> Corpus:
    return open_corpus(str(name), Options(**options))


def ends(corpus: Corpus) -> list[tuple[str, str, str]]:
    return [(row.reference, row.text, row.target) for row in corpus.rows]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = make_run(tmp_path_factory.mktemp("ours"))
    export(run)
    return run.dataset


def test_a_dataset_that_cirgen_wrote_has_captions_groups_licences_and_pictures(dataset: Path) -> None:
    corpus = read(dataset)
    assert len(corpus.rows) == 74 == len(corpus.triplets)
    assert {row.split for row in corpus.rows} == {"train", "validation", "test"}
    assert len(corpus.image_ids) == 13
    assert {facts.license for facts in corpus.facts.values()} == {"CC0-1.0"}
    assert sum(facts.caption == "a red ball" for facts in corpus.facts.values()) == 2
    assert len({facts.group for facts in corpus.facts.values()}) == 12
    assert corpus.open(corpus.rows[0].target).size[0] == 96
    assert [model.role for model in corpus.models] == ["mllm", "encoder"]
    assert set(corpus.files) == {
        path.relative_to(dataset).as_posix() for part in ("triplets", "images") for path in (dataset / part).iterdir()
    }


def test_of_one_split_the_gallery_is_the_images_that_its_rows_name(dataset: Path) -> None:
    corpus = read(dataset, split="test")
    assert {row.split for row in corpus.rows} == {"test"}
    assert len(corpus.image_ids) == 2 < len(read(dataset).image_ids)


def test_rejected_rows_can_be_audited_too(dataset: Path) -> None:
    corpus = read(dataset, config="rejected")
    assert {len(row.text.split()) for row in corpus.rows} >= {0, 1}
    assert corpus.name == "run, rejected"


def test_a_dataset_without_pictures_says_how_to_have_them(tmp_path: Path) -> None:
    run = make_run(tmp_path, export={"images": "none"})
    export(run)
    corpus = read(run.dataset)
    assert corpus.pictures is None
    assert "give `images` (--images)" in corpus.no_pictures
    with_originals = read(run.dataset, images=tmp_path / "images")
    assert with_originals.open(with_originals.rows[0].reference).size[0] == 96


def test_a_run_stands_for_its_dataset(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    (run.folder / "recipe.yaml").write_text("name: toys\n")
    with pytest.raises(UserError, match="has no dataset yet; go on with `cirgen run`"):
        read(run.folder)
    export(run)
    assert ends(read(run.folder)) == ends(read(run.dataset))
    assert corpus_name(str(run.dataset)) == corpus_name(str(run.folder)) == "run"


def test_fashioniq_has_a_gallery_for_each_category_of_a_split(tmp_path: Path) -> None:
    corpus = read(write_fashioniq(tmp_path))
    assert {name: len(gallery) for name, gallery in corpus.galleries.items()} == {
        "dress val": 14,
        "shirt val": 14,
        "toptee val": 14,
    }
    assert len(corpus.rows) == 27
    assert {row.text for row in corpus.rows} == {"is Red and has a longer Hem"}
    assert {row.text for row in read(tmp_path, captions="each").rows} == {"is Red.", "has a longer Hem,"}
    assert corpus.no_pictures == "this copy has no pictures in images/; fetch them, or name their folder with --images"


def test_fashioniq_with_holes_goes_on_with_what_is_there(tmp_path: Path) -> None:
    corpus = read(write_fashioniq(tmp_path))
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / f"{corpus.rows[0].reference}.jpg").write_bytes(png("red"))
    corpus = read(tmp_path)
    assert corpus.pictures is not None
    assert corpus.pictures.has(corpus.rows[0].reference) and not corpus.pictures.has(corpus.rows[0].target)


def test_withheld_targets_are_rows_without_one(tmp_path: Path) -> None:
    write_cirr(tmp_path)
    corpus = read(write_cirr(tmp_path, split="test1"))
    assert sum(not row.target for row in corpus.rows) == 12 == len(corpus.triplets)
    assert "The captions of train are not in this copy." in corpus.notes
    assert set(corpus.galleries) == {"val", "test1"}


def test_cirr_is_found_with_and_without_its_own_level(tmp_path: Path) -> None:
    write_cirr(tmp_path / "flat")
    write_cirr(tmp_path / "deep" / "cirr")
    assert ends(read(tmp_path / "flat")) == ends(read(tmp_path / "deep"))


@pytest.mark.parametrize(("kind", "splits"), [(write_fashioniq, "val"), (write_cirr, "val")])
def test_a_split_that_is_not_there_is_told(tmp_path: Path, kind: Any, splits: str) -> None:
    with pytest.raises(UserError, match=f"no captions of split 'train'; it has {splits}"):
        read(kind(tmp_path), split="train")


TRIPLETS = [("a", "make it red", "b"), ("b", "make it blue", "c")]


def write_table(path: Path, names: tuple[str, str, str], **more: list[Any]) -> Path:
    columns = dict(zip(names, map(list, zip(*TRIPLETS, strict=True)), strict=True))
    table = Dataset.from_dict({**columns, **more})
    save = {".json": table.to_json, ".jsonl": table.to_json, ".csv": table.to_csv, ".parquet": table.to_parquet}
    save[path.suffix](path)
    return path


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".csv"])
@pytest.mark.parametrize("names", [("reference", "text", "target"), ("candidate", "caption", "target_id")])
def test_a_table_of_ids_is_read_by_the_names_that_people_use(
    tmp_path: Path, suffix: str, names: tuple[str, str, str]
) -> None:
    corpus = read(write_table(tmp_path / f"table{suffix}", names))
    assert ends(corpus) == TRIPLETS
    assert corpus.image_ids == ("a", "b", "c")
    assert "name their folder with --images" in corpus.no_pictures


def test_a_list_of_objects_in_one_json_file_is_a_table(tmp_path: Path) -> None:
    rows = [{"reference": a, "text": text, "target": b} for a, text, b in TRIPLETS]
    assert ends(read(write_json(tmp_path / "table.json", rows))) == TRIPLETS


def test_other_column_names_are_told_and_can_be_named(tmp_path: Path) -> None:
    path = write_table(tmp_path / "table.parquet", ("from", "say", "to"), tone=["calm", "loud"])
    with pytest.raises(UserError, match="no column of its references; say which with --column reference=NAME, one of"):
        read(path)
    named = (("reference", "from"), ("text", "say"), ("target", "to"), ("change_type", "tone"))
    corpus = read(path, columns=named)
    assert ends(corpus) == TRIPLETS
    assert [row.change_type for row in corpus.rows] == ["calm", "loud"]
    with pytest.raises(UserError, match="no column 'form'; it has"):
        read(path, columns=(("reference", "form"),))
    with pytest.raises(UserError, match="--column knows no 'source'; write one of id, reference, text"):
        read(path, columns=(("source", "from"),))


def test_several_texts_of_a_pair_are_rows_of_their_own(tmp_path: Path) -> None:
    rows = [{"reference": "a", "text": ["make it red", "red, please"], "target": "b"}]
    corpus = read(write_json(tmp_path / "table.json", rows))
    assert ends(corpus) == [("a", "make it red", "b"), ("a", "red, please", "b")]
    assert len({row.row_id for row in corpus.rows}) == 2


def test_captions_of_a_table_serve_the_leaks(tmp_path: Path) -> None:
    captions = {"reference_caption": ["a dog", "a cat"], "target_caption": ["a cat", "a cow"]}
    corpus = read(write_table(tmp_path / "table.parquet", ("reference", "text", "target"), **captions))
    assert {name: facts.caption for name, facts in corpus.facts.items()} == {"a": "a dog", "b": "a cat", "c": "a cow"}


def test_pictures_of_a_table_of_ids_come_from_a_folder(tmp_path: Path) -> None:
    (tmp_path / "pictures" / "deep").mkdir(parents=True)
    (tmp_path / "pictures" / "a.png").write_bytes(png("red"))
    (tmp_path / "pictures" / "deep" / "b.jpg").write_bytes(png("blue"))
    corpus = read(write_table(tmp_path / "t.csv", ("reference", "text", "target")), images=tmp_path / "pictures")
    assert corpus.pictures is not None
    assert [corpus.pictures.has(name) for name in ("a", "b", "c")] == [True, True, False]
    assert corpus.open("b").getpixel((0, 0)) == (0, 0, 255)


def picture_table() -> Dataset:
    cells = [{"bytes": png(color), "path": None} for color in COLORS]
    columns = {"reference": cells[:3], "text": ["x", "y", "z"], "target": [*cells[1:3], cells[1]]}
    features = Features({"reference": Image(), "text": Value("string"), "target": Image()})
    return Dataset.from_dict(columns, features)


@pytest.mark.parametrize("saved", ["parquet", "save_to_disk"])
def test_pictures_in_cells_are_called_by_their_bytes_so_that_one_is_one(tmp_path: Path, saved: str) -> None:
    folder = tmp_path / "corpus"
    if saved == "parquet":
        folder.mkdir()
        picture_table().to_parquet(folder / "train-00000-of-00001.parquet")
    else:
        DatasetDict({"train": picture_table()}).save_to_disk(folder)
    corpus = read(folder)
    assert len(corpus.image_ids) == 3
    assert corpus.rows[0].target == corpus.rows[1].reference == corpus.rows[2].target
    assert corpus.open(corpus.rows[0].reference).getpixel((0, 0)) == (255, 0, 0)
    with pytest.raises(UserError, match="no split 'test'; it has train"):
        read(folder, split="test")


def test_what_is_no_corpus_is_said_in_one_sentence(tmp_path: Path) -> None:
    for path in (tmp_path / "gone", tmp_path / "empty", tmp_path / "notes.txt"):
        if path.name == "empty":
            path.mkdir()
        if path.suffix:
            path.write_text(json.dumps({}))
        with pytest.raises(UserError) as error:
            read(path)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("cell", ["2", '["2"]', "[2]", "[2.0]"])
def test_positives_of_a_table_are_names_and_never_letters(tmp_path: Path, cell: str) -> None:
    table = tmp_path / "table.csv"
    quoted = '"' + cell.replace('"', '""') + '"'
    table.write_text(f"reference,text,target,positives\n0,make it red,1,{quoted}\n", encoding="utf8")
    assert read(table).rows[0].positives == ("2",)


def test_ids_of_whole_numbers_stay_so_where_one_is_missing(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("id,reference,text,target\n0,6,make it red,7\n1,7,make it blue,\n", encoding="utf8")
    rows = read(table).rows
    assert [(row.row_id, row.reference, row.target) for row in rows] == [("0", "6", "7"), ("1", "7", "")]


def test_captions_that_are_numbers_are_texts(tmp_path: Path) -> None:
    row = {"reference": "0", "text": "a", "target": "1", "target_caption": 8}
    assert {facts.caption for facts in read(write_json(tmp_path / "table.json", [row])).facts.values()} == {"8"}


def test_a_table_without_rows_says_so(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("reference,text,target\n", encoding="utf8")
    with pytest.raises(UserError, match="no rows"):
        read(table)


def test_a_fashioniq_copy_without_one_kind_of_captions_names_the_file(tmp_path: Path) -> None:
    write_fashioniq(tmp_path)
    for path in (tmp_path / "captions").glob("cap.dress.*"):
        path.unlink()
    with pytest.raises(UserError, match=r"cap\.dress\."):
        read(tmp_path)
