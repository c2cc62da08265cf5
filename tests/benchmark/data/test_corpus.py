"""A corpus that `cirgen run` wrote is training data: its texts and its pictures, whatever its folder is called."""

from __future__ import annotations

import shutil
from pathlib import Path

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
