"""Embeddings: each unique picture and each unique text encoded once, stored by key, read as a memory map.

1. A plan (Parquet) lists what needs a vector: its key, and its row in the matrix to be read.
2. What the store lacks is encoded and committed.
3. The matrix is written in one pass over the store, row by row, and memory-mapped by whoever reads it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from cirgen.backends.base import ImageReader
from cirgen.encoders.base import Encoder, Vector
from cirgen.keyed_vectors import KEY_TYPE, KeyedVectors, write_keys, write_matrix
from cirgen.keys import KEY_SCHEME, digest
from cirgen.parquet_sql import rows_of
from cirgen.run_folder import Run
from cirgen.shards import write_rows
from cirgen.store import stream

IMAGE_PLAN = pa.schema([("key", pa.string()), ("row", pa.int64()), ("image_id", pa.string())])
TEXT_PLAN = pa.schema([("key", pa.string()), ("row", pa.int64()), ("text", pa.string())])

Encode = Callable[[Iterable[str]], Iterator[tuple[str, Vector]]]


class RunEmbeddings:
    """Embeddings of one encoder, memory-mapped.

    Args:
        run: has a catalog, and image embeddings of its own encoder.
        encoder: of the texts.
        images: given where it is not the run's encoder: opens the pictures, which are then embedded when first asked
            for.
    """

    def __init__(self, run: Run, encoder: Encoder, images: ImageReader | None = None) -> None:
        self._run = run
        self._encoder = encoder
        self._opens = images
        self.identity = encoder.identity
        self._images: KeyedVectors | None = None
        self._texts: KeyedVectors | None = None

    def images(self, image_ids: Sequence[str]) -> NDArray[np.float32]:
        """Return image embeddings [len(image_ids), d]."""
        if self._images is None:
            ids = pq.read_table(self._run.catalog, columns=["image_id"]).column("image_id")
            vectors = np.load(self._image_vectors(), mmap_mode="r")
            self._images = KeyedVectors(ids.to_numpy().astype(KEY_TYPE), vectors)
        return self._images.of(image_ids)

    def _image_vectors(self) -> Path:
        """Return the matrix of all pictures, made now where this is another encoder than the run's."""
        if self._opens is None:
            return self._run.image_vectors
        plan, vectors = (
            self._run.derived / f"{name}-{self.identity[:16]}" for name in ("embed_plan", "image_vectors")
        )
        _embed_images(self._run, self._encoder, self._opens, plan.with_suffix(".parquet"), vectors.with_suffix(".npy"))
        return vectors.with_suffix(".npy")

    def expect(self, texts: Iterable[str]) -> None:
        """Encode and store the texts not seen before, all texts that `texts` will be asked for until the next call."""
        self._texts = None
        with self._run.scratch() as folder:  # what is asked of this process alone; a map outlives its file's name
            plan = folder / "texts.parquet"
            count = _write_distinct(self._run, folder, plan, _text_plan(texts, self.identity))
            if not count:
                return
            _encode_texts(self._run, self._encoder, plan)
            vectors, keys = folder / "vectors.npy", folder / "keys.npy"
            _write_vectors(self._run, plan, count, vectors)
            write_keys(keys, count, _columns(plan, "key"))
            self._texts = KeyedVectors(np.load(keys, mmap_mode="r"), np.load(vectors, mmap_mode="r"))

    def texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the embeddings of texts that were expected [len(texts), d].

        Raises:
            ValueError: nobody said that texts are to be embedded, or not these.
        """
        if self._texts is None:
            raise ValueError("no text is expected; name the columns that a filter embeds in its `embeds`")
        try:
            return self._texts.of([_text_key(text, self.identity) for text in texts])
        except KeyError as error:
            raise ValueError("a text was not expected; name its column in the filter's `embeds`") from error


def embed(run: Run, encoder: Encoder, images: ImageReader, captions: Path | None = None) -> None:
    """Encode the pictures of the catalog that have no embedding yet, then write the matrices that pairing reads.

    Args:
        run: has a catalog.
        encoder: of the run.
        images: opens the pictures.
        captions: where a signal needs them, also embed first captions (Parquet with `text`, in catalog order).
    """
    _embed_images(run, encoder, images, run.embed_plan, run.image_vectors)
    if captions is not None:
        plan = run.derived / "caption_vectors_plan.parquet"
        count = write_rows(plan, _text_plan(_column(captions, "text"), encoder.identity), TEXT_PLAN)
        _encode_texts(run, encoder, plan)
        _write_vectors(run, plan, count, run.caption_vectors)


def _embed_images(run: Run, encoder: Encoder, images: ImageReader, plan: Path, vectors: Path) -> None:
    count = write_rows(plan, _image_plan(run, encoder.identity), IMAGE_PLAN)
    _encode_images(run, encoder, images, plan)
    _write_vectors(run, plan, count, vectors)


def _columns(path: Path, name: str) -> Iterator[list[str]]:
    for batch in pq.ParquetFile(path).iter_batches(columns=[name]):
        yield batch.column(name).to_pylist()


def _column(path: Path, name: str) -> Iterator[str]:
    return itertools.chain.from_iterable(_columns(path, name))


def _image_plan(run: Run, identity: str) -> Iterator[dict[str, Any]]:
    for row, image_id in enumerate(_column(run.catalog, "image_id")):
        yield {"key": digest("embed-image", KEY_SCHEME, image_id, identity), "row": row, "image_id": image_id}


def _text_plan(texts: Iterable[str], identity: str) -> Iterator[dict[str, Any]]:
    for row, text in enumerate(texts):
        yield {"key": _text_key(text, identity), "row": row, "text": text}


def _text_key(text: str, identity: str) -> str:
    return digest("embed-text", KEY_SCHEME, text, identity)


def _write_distinct(run: Run, scratch: Path, path: Path, planned: Iterator[dict[str, Any]]) -> int:
    """Write a text plan with each text once, sorted and numbered by key; return how many there are."""
    unsorted = scratch / "unsorted.parquet"
    write_rows(unsorted, planned, TEXT_PLAN)
    query = f"SELECT key, first(text) AS text FROM {rows_of(unsorted)} GROUP BY key ORDER BY key"
    with run.store.connect() as connection:
        rows = itertools.chain.from_iterable(batch.to_pylist() for batch in stream(connection, query))
        return write_rows(path, ({**fields, "row": row} for row, fields in enumerate(rows)), TEXT_PLAN)


def _encode_images(run: Run, encoder: Encoder, images: ImageReader, plan: Path) -> None:
    _encode_missing(run, plan, "image_id", lambda ids: encoder.embed_images(ids, images), "Embed images")


def _encode_texts(run: Run, encoder: Encoder, plan: Path) -> None:
    _encode_missing(run, plan, "text", encoder.embed_texts, "Embed texts")


def _encode_missing(run: Run, plan: Path, column: str, encode: Encode, label: str) -> None:
    """Encode what the store lacks; `column` of the plan, which no two keys share, holds what is encoded."""
    total = run.store.count_missing(plan, "embed")
    if not total:
        return
    asked: dict[str, dict[str, Any]] = {}

    def missing() -> Iterator[str]:
        for batch in run.store.missing(plan, "embed"):
            for row in batch.to_pylist():
                asked[row[column]] = row
                yield row[column]

    with run.store.writer("embed") as writer, run.progress.step(label, total) as step:
        for name, vector in encode(missing()):
            row = asked.pop(name)
            writer.write(_row(row["key"], vector, row["attempt"]))
            step.advance()


def _row(key: str, vector: NDArray[np.float32], attempt: int = 0) -> dict[str, Any]:
    return {"key": key, "attempt": attempt, "status": "ok", "error": "", "vector": vector}


def _write_vectors(run: Run, plan: Path, rows: int, path: Path) -> None:
    """Write the matrix of a plan: which rows are current is settled without their vectors, which are read once."""
    planned = rows_of(plan)
    with run.store.connect() as connection:
        stored = run.store.rows(connection, "embed")
        current = run.store.current(connection, "embed", among=planned)
        query = f"""
            WITH chosen AS MATERIALIZED (
                SELECT p.row, key, c.attempt, c.row_hash FROM {planned} AS p JOIN {current} AS c USING (key)
            )
            SELECT w.row, s.vector FROM {stored} AS s JOIN chosen AS w USING (key, attempt, row_hash)
        """
        write_matrix(path, rows, map(_part, stream(connection, query)))


def _part(batch: pa.RecordBatch) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    vectors = batch.column("vector").flatten().to_numpy(zero_copy_only=False)
    return batch.column("row").to_numpy(), np.asarray(vectors, dtype=np.float32).reshape(batch.num_rows, -1)
