"""The pictures of a corpus that can be read, with the hashes that compare them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from cirgen.audit.cache import KEY, Cache
from cirgen.audit.corpus import Corpus, content_key
from cirgen.fingerprints import Fingerprints, of_table
from cirgen.pictures import color_hash, decode, perceptual_hash, pixel_hash
from cirgen.progress import Progress
from cirgen.stages.grouping import near_duplicate_groups

HASHES = ("pixel", "structure", "color")
AT_ONCE = 512  # pictures hashed between two writes of the cache
DECODERS = 2
CACHE_NAME = "pictures-1"
"""Raise the number when a hash is made another way."""


class Hashes(NamedTuple):
    """What compares one picture with others; all in hex."""

    pixel: str
    structure: str
    """Perceptual hash of 64 bits."""
    color: str
    """Colour layout of 96 bytes."""


class Catalog(NamedTuple):
    """Pictures by id, in the order of `ids`."""

    ids: tuple[str, ...]
    keys: tuple[str, ...]
    """Hash of the bytes of each."""
    hashes: tuple[Hashes, ...]
    absent: tuple[str, ...]
    """Images without a file."""
    broken: tuple[str, ...]
    """Images whose file cannot be decoded."""

    def fingerprints(self) -> Fingerprints:
        """Return what finds these pictures elsewhere, in the order of `ids`."""
        columns = {
            "sha256": list(self.keys),
            "pixel_hash": [one.pixel for one in self.hashes],
            "perceptual_hash": [one.structure for one in self.hashes],
            "color_hash": [one.color for one in self.hashes],
        }
        return of_table(pa.table(columns), "catalog", Path("catalog"))

    def groups(self) -> dict[str, str]:
        """Return each image's near-duplicate group, called by its first image."""
        found = self.fingerprints()
        firsts = near_duplicate_groups(found.structure, found.colors)
        return {image_id: self.ids[first] for image_id, first in zip(self.ids, firsts, strict=True)}


def catalog(corpus: Corpus, progress: Progress) -> Catalog:
    """Hash every picture of the galleries that there is."""
    assert corpus.pictures is not None
    wanted = {*corpus.image_ids, *(i for row in corpus.rows for i in (row.reference, row.target) if i)}
    there = sorted(image_id for image_id in wanted if corpus.pictures.has(image_id))
    keys, lost = _keys(corpus, there, progress)
    cache = Cache(CACHE_NAME, pa.schema([pa.field(name, pa.string()) for name in HASHES]))
    known = {row[KEY]: Hashes(*(row[name] for name in HASHES)) for row in cache.find(keys.values()).to_pylist()}
    todo = {key: image_id for image_id, key in keys.items() if key not in known}
    undecodable = set()
    with progress.step("Hash pictures", len(todo)) as step, ThreadPoolExecutor(DECODERS) as pool:
        items = iter(sorted(todo.items()))
        while chunk := list(islice(items, AT_ONCE)):
            made = dict(zip(chunk, pool.map(lambda item: _hashed(corpus, item[1]), chunk), strict=True))
            good = {key: found for (key, _), found in made.items() if found is not None}
            undecodable |= {key for (key, _), found in made.items() if found is None}
            cache.add(list(good), {name: [getattr(found, name) for found in good.values()] for name in HASHES})
            known |= good
            step.advance(len(chunk))
    ids = tuple(image_id for image_id in there if keys.get(image_id) in known)
    broken = (*lost, *(image_id for image_id in there if keys.get(image_id) in undecodable))
    return Catalog(
        ids,
        tuple(keys[i] for i in ids),
        tuple(known[keys[i]] for i in ids),
        tuple(sorted(wanted - set(there))),
        tuple(sorted(broken)),
    )


def _keys(corpus: Corpus, image_ids: list[str], progress: Progress) -> tuple[dict[str, str], list[str]]:
    """Return the hash of each file's bytes, and the images whose file cannot be read."""
    keys: dict[str, str] = {}
    with progress.step("Read pictures", len(image_ids)) as step:
        for image_id, key in _read(corpus, image_ids):
            if key:
                keys[image_id] = key
            step.advance()
    return keys, [image_id for image_id in image_ids if image_id not in keys]


def _read(corpus: Corpus, image_ids: list[str]) -> Iterator[tuple[str, str]]:
    assert corpus.pictures is not None
    for image_id in image_ids:
        try:
            yield image_id, content_key(corpus.pictures.read(image_id))
        except OSError:
            yield image_id, ""


def _hashed(corpus: Corpus, image_id: str) -> Hashes | None:
    try:
        return hashes_of(corpus.pictures.read(image_id))  # type: ignore[union-attr]
    except OSError:
        return None


def hashes_of(data: bytes) -> Hashes:
    """Return the hashes of a picture file; raises OSError where it cannot be decoded."""
    image = decode(data).image
    return Hashes(pixel_hash(image), perceptual_hash(image), color_hash(image))
