"""Embeddings of a corpus's pictures and texts, each content encoded once on this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cirgen.audit.cache import KEY, Cache
from cirgen.audit.catalog import Catalog
from cirgen.audit.corpus import Corpus, content_key
from cirgen.encoders.transformers import TransformersEncoder
from cirgen.model_settings import Encoder
from cirgen.progress import Progress

VECTOR = pa.schema([pa.field("vector", pa.list_(pa.float32()))])
BATCHES = 16
"""Forward passes between two writes of the cache."""
DECODERS = 2

Vectors = NDArray[np.float32]


class Embedded(NamedTuple):
    """A corpus as one encoder sees it; every row has length 1."""

    encoder: str
    """As the user named it."""
    content: str
    """Hash of its files."""
    images: Vectors
    """[len(catalog.ids), d]"""
    texts: Vectors
    """[different texts, d]"""


def embed(model: str, corpus: Corpus, catalog: Catalog, texts: Sequence[str], progress: Progress) -> Embedded:
    """Encode the pictures of a catalog and some texts.

    Raises:
        UserError: there is no such encoder, or it has no image and text features.
    """
    encoder = TransformersEncoder(Encoder(model=model))
    by_key = dict(zip(catalog.keys, catalog.ids, strict=True))

    def pictures(keys: Sequence[str]) -> Vectors:
        with ThreadPoolExecutor(DECODERS) as pool:
            return encoder.images(list(pool.map(lambda key: corpus.open(by_key[key]), keys)))

    by_text = {content_key(text.encode("utf8", "surrogatepass")): text for text in texts}

    def written(keys: Sequence[str]) -> Vectors:
        return encoder.texts([by_text[key] for key in keys])

    size = encoder.batch_shape * BATCHES
    of_images = _Encoding(f"images-{encoder.identity}", pictures, size, f"Embed images, {model}", progress)
    of_texts = _Encoding(f"texts-{encoder.identity}", written, size, f"Embed texts, {model}", progress)
    return Embedded(model, encoder.files.content, of_images(list(catalog.keys)), of_texts(list(by_text)))


class _Encoding:
    def __init__(
        self, name: str, make: Callable[[Sequence[str]], Vectors], size: int, label: str, progress: Progress
    ) -> None:
        self._cache = Cache(name, VECTOR)
        self._make = make
        self._size = size
        self._label = label
        self._progress = progress

    def __call__(self, keys: list[str]) -> Vectors:
        """Return the vectors of some keys [len(keys), d], encoding those not seen before."""
        known = _by_key(self._cache.find(keys))
        todo = sorted(set(keys) - set(known))
        if not todo:
            return np.stack([known[key] for key in keys])
        with self._progress.step(self._label, len(todo)) as step:
            for start in range(0, len(todo), self._size):
                chunk = todo[start : start + self._size]
                made = self._make(chunk)
                self._cache.add(chunk, {"vector": list(made)})
                known |= dict(zip(chunk, made, strict=True))
                step.advance(len(chunk))
        return np.stack([known[key] for key in keys])


def _by_key(table: pa.Table) -> dict[str, Any]:
    if not table.num_rows:
        return {}
    flat = table.column("vector").combine_chunks().flatten().to_numpy(zero_copy_only=False)
    vectors = np.asarray(flat, dtype=np.float32).reshape(table.num_rows, -1)
    return dict(zip(table.column(KEY).to_pylist(), vectors, strict=True))
