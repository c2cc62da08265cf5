"""Each unique text and picture is encoded once, and read back to the last bit."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cirgen.compaction import compact
from cirgen.encoders.transformers import TransformersEncoder
from cirgen.images import RunImages
from cirgen.keyed_vectors import KeyedVectors, write_matrix
from cirgen.model_settings import Encoder
from cirgen.run_folder import Run
from cirgen.stages.embed import RunEmbeddings, embed
from runs import make_run

TEXTS = [f"make it {color}" for color in ("red", "teal", "blue", "gold", "green")]


class Recorded(TransformersEncoder):
    """The embedded encoder, with a record of what it was asked."""

    def __init__(self) -> None:
        super().__init__(Encoder(model="cirgen:filter-encoder", batch_shape=2))
        self.seen: list[str] = []
        self.pictures = 0

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        self.seen += texts
        return super().texts(texts)

    def images(self, images: Sequence[Image.Image]) -> np.ndarray:
        self.pictures += len(images)
        return super().images(images)


@pytest.fixture(scope="module")
def encoder() -> Recorded:
    return Recorded()


@pytest.fixture
def run(tmp_path: Path, encoder: Recorded) -> Run:
    encoder.seen.clear()
    encoder.pictures = 0
    return make_run(tmp_path)


def test_a_text_is_encoded_once_however_often_it_is_expected(run: Run, encoder: Recorded) -> None:
    embeddings = RunEmbeddings(run, encoder)
    embeddings.expect(iter([*TEXTS, *TEXTS]))
    assert sorted(encoder.seen) == sorted(TEXTS)
    found = embeddings.texts([*TEXTS, TEXTS[0]])
    assert (found[:-1] == TransformersEncoder.texts(encoder, TEXTS)).all()
    assert (found[-1] == found[0]).all()
    encoder.seen.clear()
    compact(run.store, many=0)
    again = RunEmbeddings(run, encoder)
    again.expect(iter(["make it pink", *TEXTS]))
    assert encoder.seen == ["make it pink"]
    assert (again.texts(TEXTS) == found[:-1]).all()


def test_many_small_questions_make_no_small_shards(run: Run, encoder: Recorded) -> None:
    embeddings = RunEmbeddings(run, encoder)
    embeddings.expect(iter(TEXTS))
    for text in TEXTS:
        embeddings.texts([text])
    assert len(run.store.shards("embed")) == 1


def test_a_text_nobody_expected_is_an_error_that_names_the_attribute(run: Run, encoder: Recorded) -> None:
    embeddings = RunEmbeddings(run, encoder)
    for expected in ([], TEXTS):
        embeddings.expect(iter(expected))
        with pytest.raises(ValueError, match="`embeds`"):
            embeddings.texts(["make it pink"])


def test_pictures_and_captions_are_rows_of_memory_maps_in_catalog_order(run: Run, encoder: Recorded) -> None:
    images = RunImages(run.catalog, run.store.root / "ingest")
    captions = run.derived / "captions.parquet"
    ids = sorted(map(bytes.decode, images._ids.tolist()))
    _write_captions(captions, [TEXTS[number % 5] for number in range(len(ids))])
    embed(run, encoder, images, captions)
    assert encoder.pictures == len(ids)
    assert sorted(encoder.seen) == sorted(TEXTS)
    vectors = np.load(run.image_vectors, mmap_mode="r")
    assert (vectors == TransformersEncoder.images(encoder, [images.open(image_id) for image_id in ids])).all()
    spoken = np.load(run.caption_vectors, mmap_mode="r")
    assert (spoken == TransformersEncoder.texts(encoder, [TEXTS[number % 5] for number in range(len(ids))])).all()
    assert (RunEmbeddings(run, encoder).images(ids[::-1]) == vectors[::-1]).all()
    embed(run, encoder, images, captions)
    assert encoder.pictures == len(ids)


def _write_captions(path: Path, texts: list[str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"text": texts}), path)


def test_a_matrix_that_lacks_a_row_is_never_written(tmp_path: Path) -> None:
    part = np.asarray([0, 2]), np.ones((2, 4), dtype=np.float32)
    with pytest.raises(ValueError, match="lacks 1 of 3 rows"):
        write_matrix(tmp_path / "m.npy", 3, [part])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS cannot take room in advance")
def test_a_matrix_has_its_room_on_disk_before_it_is_mapped(tmp_path: Path) -> None:
    """A process that writes to a map of a file without room is killed by the kernel, without a word."""
    shape = (1_000, 256)

    def part() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        yield np.arange(1), np.ones((1, shape[1]), dtype=np.float32)
        (file,) = tmp_path.iterdir()
        assert file.stat().st_blocks * 512 >= 4 * shape[0] * shape[1]
        yield np.arange(1, shape[0]), np.ones((shape[0] - 1, shape[1]), dtype=np.float32)

    write_matrix(tmp_path / "m.npy", shape[0], part())
    assert np.load(tmp_path / "m.npy").shape == shape


def test_a_key_without_a_vector_is_an_error(tmp_path: Path) -> None:
    table = KeyedVectors(np.asarray(["b", "d"], dtype="S64"), np.eye(2, dtype=np.float32))
    assert (table.of(["d", "b", "d"]) == np.eye(2)[[1, 0, 1]]).all()
    for absent in "ace":
        with pytest.raises(KeyError, match=absent):
            table.of(["b", absent])
