"""Embeddings: each unique picture and each unique text encoded once, stored by key, read as a memory map."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from cirgen.backends.base import ImageReader
from cirgen.encoders.transformers import TransformersEncoder
from cirgen.errors import UserError
from cirgen.keys import KEY_SCHEME, digest
from cirgen.run_folder import Run
from cirgen.shards import atomic_path, write_rows
from cirgen.store import quoted, stream

_PLAN = pa.schema([pa.field("key", pa.string()), pa.field("image_id", pa.string())])
BATCHES_PER_READ = 8


class RunEmbeddings:
    """Embeddings of a run's encoder, from the store where they are there."""

    def __init__(self, run: Run, encoder: TransformersEncoder) -> None:
        self._run = run
        self._encoder = encoder
        self.identity = encoder.identity
        self._rows: dict[str, int] | None = None
        self._vectors: NDArray[np.float32] | None = None

    def images(self, image_ids: Sequence[str]) -> NDArray[np.float32]:
        """Return image embeddings [len(image_ids), d]."""
        if self._rows is None or self._vectors is None:
            ids = pq.read_table(self._run.catalog, columns=["image_id"]).column("image_id").to_pylist()
            self._rows = {image_id: row for row, image_id in enumerate(ids)}
            self._vectors = np.load(self._run.image_vectors, mmap_mode="r")
        return np.asarray(self._vectors[[self._rows[image_id] for image_id in image_ids]])

    def texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return text embeddings [len(texts), d]; texts never seen are encoded and stored."""
        keys = [digest("embed-text", KEY_SCHEME, text, self.identity) for text in texts]
        stored = self._stored(keys)
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in stored}
        if new:
            vectors = self._encoder.texts(list(new.values()))
            with self._run.store.writer("embed") as writer:
                for key, vector in zip(new, vectors, strict=True):
                    writer.write(_row(key, vector))
            stored |= dict(zip(new, vectors, strict=True))
        return np.stack([stored[key] for key in keys])

    def _stored(self, keys: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        with self._run.store.connect() as connection:
            current = self._run.store.current(connection, "embed")
            query = f"SELECT key, vector FROM {current} WHERE list_contains(?, key) AND status = 'ok'"
            found = connection.execute(query, [list(dict.fromkeys(keys))]).fetchall()
        return {key: np.asarray(vector, dtype=np.float32) for key, vector in found}


def embed(run: Run, encoder: TransformersEncoder, images: ImageReader, captions: Path | None = None) -> None:
    """Encode the pictures of the catalog that have no embedding yet, then write the matrices that pairing reads.

    Args:
        captions: where a signal needs them, also embed first captions (Parquet with `text`, in catalog order).
    """
    plan = run.derived / "embed_plan.parquet"
    write_rows(plan, _plan(run, encoder.identity), _PLAN)
    _encode_missing(run, encoder, images, plan)
    _write_matrix(run, plan)
    if captions is not None:
        texts = pq.read_table(captions).column("text").to_pylist()
        save_matrix(run.caption_vectors, RunEmbeddings(run, encoder).texts(texts))


def _plan(run: Run, identity: str) -> Iterator[dict[str, Any]]:
    for batch in pq.ParquetFile(run.catalog).iter_batches(columns=["image_id"]):
        for image_id in batch.column("image_id").to_pylist():
            yield {"key": digest("embed-image", KEY_SCHEME, image_id, identity), "image_id": image_id}


def _encode_missing(run: Run, encoder: TransformersEncoder, images: ImageReader, plan: Path) -> None:
    total = sum(batch.num_rows for batch in run.store.missing(plan, "embed"))
    if not total:
        return
    rows = itertools.chain.from_iterable(batch.to_pylist() for batch in run.store.missing(plan, "embed"))
    with (
        ThreadPoolExecutor(2) as decoders,
        run.store.writer("embed") as writer,
        run.progress.step("Embed images", total) as step,
    ):
        while chunk := list(itertools.islice(rows, encoder.batch_shape * BATCHES_PER_READ)):
            pictures = list(decoders.map(lambda row: _open(images, row["image_id"]), chunk))
            for row, vector in zip(chunk, encoder.images(pictures), strict=True):
                writer.write(_row(row["key"], vector, row["attempt"]))
            step.advance(len(chunk))


def _open(images: ImageReader, image_id: str) -> Any:
    try:
        return images.open(image_id)
    except OSError as error:
        raise UserError(
            f"An image can no longer be read ({error}); run again to take its folder in afresh."
        ) from error


def _row(key: str, vector: NDArray[np.float32], attempt: int = 0) -> dict[str, Any]:
    return {"key": key, "attempt": attempt, "status": "ok", "error": "", "vector": vector}


def _write_matrix(run: Run, plan: Path) -> None:
    with run.store.connect() as connection:
        current = run.store.current(connection, "embed")
        planned = f"read_parquet({quoted(str(plan))})"
        query = f"SELECT c.vector FROM {planned} AS p JOIN {current} AS c USING (key) ORDER BY p.image_id"
        parts = [_matrix(batch.column("vector")) for batch in stream(connection, query)]
    save_matrix(run.image_vectors, np.concatenate(parts))


def _matrix(vectors: pa.ListArray) -> NDArray[np.float32]:
    return np.asarray(vectors.flatten().to_numpy(zero_copy_only=False), dtype=np.float32).reshape(len(vectors), -1)


def save_matrix(path: Path, matrix: NDArray[np.float32]) -> None:
    """Write a matrix as an atomic `.npy` file."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.save(file, matrix)
