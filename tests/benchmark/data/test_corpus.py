"""A corpus that `cirgen run` wrote is training data: its texts and its pictures, whatever its folder is called."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bench_runs import REASON, world_corpus

from cirgen.errors import UserError
from cirgen.world.build import IMAGES, shipped
from cirgen_benchmark.data.corpus import Corpus


@pytest.fixture(scope="module")
def corpus(corpus_folder: Path) -> Corpus:
    return Corpus(corpus_folder)


def published(folder: Path, config: str, split: str = "train") -> list[dict[str, object]]:
    """Return the rows of a split as they lie on disk."""
    rows: list[dict[str, object]] = pq.read_table(sorted((folder / config).glob(f"{split}-*"))).to_pylist()
    return rows


def test_accepted_rows_are_the_published_triplets(corpus: Corpus, corpus_folder: Path) -> None:
    rows = published(corpus_folder, "triplets")
    assert [row.triplet_id for row in corpus.accepted] == [row["triplet_id"] for row in rows]
    for found, row in zip(corpus.accepted, rows, strict=True):
        assert (found.triplet.reference, found.triplet.target) == (row["reference_id"], row["target_id"])
        assert found.triplet.origin == "synthetic"
        assert (found.change_type, found.reason) == (row["change_type"], "")
        assert found.similarity == pytest.approx(row["score_similarity_cosine"])


def test_every_row_has_its_own_text(corpus: Corpus, corpus_folder: Path) -> None:
    """Also a rejected row of a pair that has accepted texts, which the published row lists beside its own."""
    for config, found in (("triplets", corpus.accepted), ("rejected", corpus.rejected)):
        texts = {row["triplet_id"]: row["text"] for row in published(corpus_folder, config)}
        assert all(row.triplet.texts == (texts[row.triplet_id],) for row in found)
    beside = [row for row in published(corpus_folder, "rejected") if row["texts"]]
    assert beside


def test_rejected_rows_say_why_and_those_without_a_text_are_left_out(corpus: Corpus, corpus_folder: Path) -> None:
    rows = published(corpus_folder, "rejected")
    failed = [row for row in rows if not row["text"]]
    assert failed
    assert len(corpus.rejected) == len(rows) - len(failed)
    assert {row.reason for row in corpus.rejected} == {REASON}


def test_a_corpus_without_rejected_rows_has_none(scratch: Path) -> None:
    assert Corpus(world_corpus(scratch / "accepted only", each=3, rejected=False)).rejected == ()


def test_splits_name_whose_triplets_train(corpus: Corpus, corpus_folder: Path) -> None:
    both = Corpus(corpus_folder, ("train", "validation"))
    held = corpus.of_split("validation")
    assert {row.triplet_id for row in both.accepted} == {row.triplet_id for row in (*corpus.accepted, *held.accepted)}
    assert not {row.triplet_id for row in corpus.accepted} & {row.triplet_id for row in held.accepted}


def test_pictures_open_by_id_and_equal_pixels_are_equal_content(corpus: Corpus) -> None:
    triplet = corpus.accepted[0].triplet
    assert {triplet.reference, triplet.target} <= set(corpus.images.ids)
    assert corpus.images.open(triplet.target).mode == "RGB"
    assert corpus.images.content(triplet.reference) != corpus.images.content(triplet.target)
    assert corpus.images.group(triplet.reference) == triplet.reference
    with pytest.raises(KeyError):
        corpus.images.open("nowhere")


def test_the_fingerprint_is_of_the_content_not_of_the_folder(
    corpus: Corpus, corpus_folder: Path, scratch: Path
) -> None:
    elsewhere = shutil.copytree(corpus_folder, scratch / "another name")
    assert Corpus(elsewhere).fingerprint == corpus.fingerprint


def test_the_fingerprint_changes_with_whatever_can_train(corpus: Corpus, corpus_folder: Path, scratch: Path) -> None:
    found = {corpus.fingerprint, Corpus(corpus_folder, ("train", "validation")).fingerprint}
    for number, (config, column) in enumerate(
        [("triplets", "text"), ("rejected", "text"), ("triplets", "reference_id")]
    ):
        folder = shutil.copytree(corpus_folder, scratch / f"changed {number}")
        (path,) = (folder / config).glob("train-*")
        table = pq.read_table(path)
        values = table[column].to_pylist()
        changed = [*values[1:], values[0]]
        place = table.column_names.index(column)
        pq.write_table(table.set_column(place, table.schema.field(column), [changed]), path)
        found.add(Corpus(folder).fingerprint)
    assert len(found) == 5


def test_pictures_may_lie_elsewhere(corpus: Corpus, scratch: Path) -> None:
    """A corpus of photos whose licence is not known goes without them; the bench is told where they are."""
    folder = world_corpus(scratch / "without images", images="none")
    with pytest.raises(UserError, match="goes without its images"):
        _ = Corpus(folder).images
    found = Corpus(folder, images=shipped() / IMAGES)
    assert found.fingerprint == corpus.fingerprint
    assert found.images.content(found.images.ids[0]) == corpus.images.content(corpus.images.ids[0])


def edited(corpus_folder: Path, folder: Path, **cells: object) -> Path:
    """Copy a corpus whose first training triplet has other cells."""
    shutil.copytree(corpus_folder, folder)
    (path,) = (folder / "triplets").glob("train-*")
    table = pq.read_table(path)
    rows = table.to_pylist()
    pq.write_table(pa.Table.from_pylist([{**rows[0], **cells}, *rows[1:]], schema=table.schema), path)
    return folder


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        ({"text": ""}, "have no text"),
        ({"text": " \n"}, "have no text"),
        ({"text": None}, "have no text"),
        ({"triplet_id": None}, "of triplets/train lack an id"),
        ({"reference_id": None}, "of triplets/train lack an id"),
        ({"target_id": ..., "reference_id": ...}, "ask for their own reference"),
    ],
)
def test_rows_that_are_no_triplets_are_counted_and_named(
    cells: dict[str, object], told: str, corpus_folder: Path, tmp_path: Path
) -> None:
    first = published(corpus_folder, "triplets")[0]
    cells = {name: first["target_id"] if value is ... else value for name, value in cells.items()}
    folder = edited(corpus_folder, tmp_path / "edited", **cells)
    name = cells.get("triplet_id", first["triplet_id"])
    with pytest.raises(UserError) as raised:
        _ = Corpus(folder).accepted
    assert f"1 of 75 rows of the corpus '{folder}' {told}, such as triplet {name}; leave them out" in str(raised.value)


def test_a_triplet_id_is_of_one_row(corpus_folder: Path, tmp_path: Path) -> None:
    second = published(corpus_folder, "triplets")[1]["triplet_id"]
    folder = edited(corpus_folder, tmp_path / "edited", triplet_id=second)
    with pytest.raises(UserError, match=r"2 of 75 rows .* have the triplet_id of another, such as triplet"):
        _ = Corpus(folder).accepted


def test_a_similarity_that_is_no_number_is_none(corpus_folder: Path, tmp_path: Path) -> None:
    corpus = Corpus(edited(corpus_folder, tmp_path / "edited", score_similarity_cosine=float("nan")))
    assert corpus.accepted[0].similarity is None
    assert corpus.fingerprint


def test_a_changed_file_is_read_even_where_its_folder_and_its_card_are_the_same(
    corpus_folder: Path, tmp_path: Path
) -> None:
    """`datasets` keeps what it has read by the folder's name and card alone."""
    for number, text in enumerate(("add a red hat", "add a tan hat")):
        folder = edited(corpus_folder, tmp_path / str(number) / "dataset", text=text)
        assert Corpus(folder).accepted[0].triplet.texts == (text,)
    (path,) = (folder / "triplets").glob("train-*")
    again = edited(folder, tmp_path / "again", text="add a wet hat")
    shutil.copy(next((again / "triplets").glob("train-*")), path)
    assert Corpus(folder).accepted[0].triplet.texts == ("add a wet hat",)


def test_files_that_the_card_does_not_describe_are_told(corpus_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(corpus_folder, tmp_path / "cut")
    (path,) = (folder / "triplets").glob("train-*")
    pq.write_table(pq.read_table(path).slice(0, 3), path)
    with pytest.raises(
        UserError, match=r"The files of the corpus .* are not those that its card describes .*NonMatching"
    ):
        _ = Corpus(folder).accepted
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match=r"The files of the corpus .* export or download it again"):
        _ = Corpus(folder).accepted


def test_a_picture_that_is_not_there_is_told(corpus_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(corpus_folder, tmp_path / "hole")
    (path,) = (folder / "images").glob("train-*")
    table = pq.read_table(path)
    rows = table.to_pylist()
    pq.write_table(pa.Table.from_pylist([{**rows[0], "image": None}, *rows[1:]], schema=table.schema), path)
    with pytest.raises(
        UserError, match=f"The corpus holds no picture of image {rows[0]['image_id']}; export it again"
    ):
        Corpus(folder).images.open(rows[0]["image_id"])


CARD = """---
configs:
- config_name: triplets
  data_files:
  - split: train
    path: triplets/train.parquet
---
"""


def test_no_such_corpus_split_or_column_is_said_in_one_sentence(corpus_folder: Path, scratch: Path) -> None:
    with pytest.raises(UserError, match="There is no corpus at"):
        _ = Corpus(scratch / "nowhere").accepted
    with pytest.raises(UserError, match="has no triplets/holdout; it has triplets: train, validation, test"):
        _ = Corpus(corpus_folder, ("holdout",)).accepted
    foreign = scratch / "foreign"
    (foreign / "triplets").mkdir(parents=True)
    texts = pq.read_table(sorted((corpus_folder / "triplets").glob("train-*"))).select(["text"])
    pq.write_table(texts, foreign / "triplets" / "train.parquet")
    (foreign / "README.md").write_text(CARD)
    with pytest.raises(UserError, match="lacks the columns reference_id, target_id, triplet_id in triplets/train"):
        _ = Corpus(foreign).accepted


def test_the_home_folder_may_be_written_as_a_tilde(corpus_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(corpus_folder.parent))
    corpus = Corpus("~/dataset")
    assert corpus.accepted
    assert corpus.rejected
