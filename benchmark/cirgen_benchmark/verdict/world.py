"""Benchmark data of the embedded worlds: human-like triplets, queries with every right answer, exact truth.

Everything here reads the attributes of the pictures. That is for measuring: nothing of it reaches what generates or
filters a corpus. Texts come from the second grammar, which no model was trained on: rules wrote them, no person did.
"""

from __future__ import annotations

import io
import random
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from PIL import Image

from cirgen.keys import digest
from cirgen.progress import Progress, Silent
from cirgen.resources import cache_folder
from cirgen.shards import atomic_path
from cirgen.world.build import IMAGES, TABLE, read_truth, shipped, shipped_furniture, shipped_table
from cirgen.world.families import Sample, collection
from cirgen.world.gallery import Gallery
from cirgen.world.pairs import draw_pairs
from cirgen.world.render import SIZE, render_many
from cirgen.world.truth import judge
from cirgen.world.vocabulary import Level
from cirgen.world.worlds import FIGURES, World
from cirgen_benchmark.data.corpus import CorpusRow
from cirgen_benchmark.data.human import HumanTriplets
from cirgen_benchmark.images import ImageCollection, PixelImages
from cirgen_benchmark.triplets import Triplet

EDITS = 3
"""Queries have one, two or three edits, as many of each."""
HASH_KEY = b"pictures"
"""Of the hash of all pictures, in the footer of a file of them."""


class PngImages(PixelImages):
    """Pictures held as the bytes of their files in memory, about 2 KB each."""

    def __init__(self, pngs: dict[str, bytes]) -> None:
        super().__init__()
        self._pngs = pngs

    @property
    def ids(self) -> Sequence[str]:
        """Every image id, in the order they were given."""
        return tuple(self._pngs)

    def open(self, image_id: str) -> Image.Image:
        """Decode one picture."""
        return Image.open(io.BytesIO(self._pngs[image_id])).convert("RGB")

    @property
    def files(self) -> Mapping[str, bytes]:
        """The file of every picture, by image id."""
        return self._pngs


@dataclass(frozen=True)
class WorldCollection:
    """A gallery of an embedded world: its figures, or pieces of furniture, and their pictures by image id."""

    figures: dict[str, Any]
    families: dict[str, int]
    images: ImageCollection
    world: World = FIGURES

    @cached_property
    def ids(self) -> list[str]:
        """Every image id, in the order of the collection."""
        return list(self.figures)

    def same(self, image_id: str) -> tuple[str, ...]:
        """Return the other images with the attributes of this one: right wherever it is."""
        return tuple(name for name in self._twins[self.figures[image_id]] if name != image_id)

    @cached_property
    def _twins(self) -> dict[Any, list[str]]:
        found: dict[Any, list[str]] = {}
        for name, figure in self.figures.items():
            found.setdefault(figure, []).append(name)
        return found


def shipped_collection() -> WorldCollection:
    """Return the figures that ship with cirgen, which the demo's corpus is made of."""
    return _collection_in(shipped(), "png")


def furniture_collection(purpose: str) -> WorldCollection:
    """Return a collection of furniture: `corpus`, `development` or `evaluation`.

    Raises:
        UserError: this installation has none.
    """
    return _collection_in(shipped_furniture(purpose), "webp")


def _collection_in(folder: Path, suffix: str) -> WorldCollection:
    truth = read_truth(folder / TABLE)
    files = {image_id: (folder / IMAGES / f"{image_id}.{suffix}").read_bytes() for image_id in truth.image_ids}
    figures = dict(zip(truth.image_ids, truth.figures, strict=True))
    families = dict(zip(truth.image_ids, truth.families, strict=True))
    return WorldCollection(figures, families, PngImages(files), truth.world)


def drawn_collection(
    purpose: str, level: Level = "medium", seed: int = 0, images: int = 1500, *, progress: Progress | None = None
) -> WorldCollection:
    """Draw a collection, or read the pictures that were drawn before on this machine.

    Raises:
        UserError: there is no such collection, or the packages that draw are missing.
    """
    samples = collection(purpose, level, seed, images)
    pngs = _pictures(samples, f"{purpose} figures", progress or Silent())
    names = [sha256(png).hexdigest() for png in pngs]
    figures = {name: sample.figure for name, sample in zip(names, samples, strict=True)}
    families = {name: sample.family for name, sample in zip(names, samples, strict=True)}
    return WorldCollection(figures, families, PngImages(dict(zip(names, pngs, strict=True))))


def _pictures(samples: Sequence[Sample], label: str, progress: Progress) -> list[bytes]:
    path = cache_folder("world") / f"{_drawing(samples)}.parquet"
    known = _read(path, len(samples)) if path.is_file() else None
    if known is not None:
        return known
    pngs: list[bytes] = []
    with progress.step(f"draw {label}", len(samples)) as step:
        for png in render_many((sample.figure, sample.nuisance) for sample in samples):
            pngs.append(png)
            step.advance()
    _write(path, pngs)
    return pngs


def _drawing(samples: Sequence[Sample]) -> str:
    """Return the hash of everything that decides a picture: figures, nuisance, size, and the packages that draw."""
    from importlib.metadata import version

    packages = [(name, version(name)) for name in ("dicebear-core", "dicebear-styles", "resvg_py", "pillow")]
    return digest("drawing", SIZE, packages, [(astuple(sample.figure), list(sample.nuisance)) for sample in samples])


def _read(path: Path, count: int) -> list[bytes] | None:
    """Return pictures that were drawn before; None where the disk damaged them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
        pngs = [bytes(png) for png in table.column("png").to_pylist()]
    except (pa.ArrowException, OSError, KeyError, TypeError):
        return None
    written = (table.schema.metadata or {}).get(HASH_KEY)
    return pngs if len(pngs) == count and written == _hash(pngs) else None


def _hash(pngs: Sequence[bytes]) -> bytes:
    return digest("pngs", [sha256(png).hexdigest() for png in pngs]).encode()


def _write(path: Path, pngs: list[bytes]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with atomic_path(path) as temporary:
        table = pa.table({"png": pa.array(pngs, pa.binary())})
        pq.write_table(table.replace_schema_metadata({HASH_KEY: _hash(pngs)}), temporary)


@dataclass(frozen=True)
class WorldQuery:
    """A query of the embedded world, with every right answer."""

    reference: str
    text: str
    target: str
    positives: tuple[str, ...]
    """Other images with the target's attributes."""
    edits: int
    held_out: bool
    """Whether either image shows a pair of values that no training showed together."""


def world_queries(world: WorldCollection, each: int, seed: int) -> list[WorldQuery]:
    """Return `each` queries of one, of two and of three edits, with exact, exhaustive texts of the second grammar."""
    figures, families = list(world.figures.values()), list(world.families.values())
    rng = random.Random(f"queries {seed}")
    found = []
    for pair in draw_pairs(figures, families, each, seed, world.world.edits):
        reference, target = world.ids[pair.reference], world.ids[pair.target]
        one, other = figures[pair.reference], figures[pair.target]
        text = world.world.reworded(one, other, rng)
        if text is None:
            raise ValueError(f"no text leads from {reference} to {target}")
        unseen = one.shows_held_out_pair() or other.shows_held_out_pair()
        found.append(WorldQuery(reference, text, target, world.same(target), pair.edits, unseen))
    return found


def human_like(world: WorldCollection, count: int, seed: int) -> HumanTriplets:
    """Return `count` triplets as people would write them; fewer are the beginning of more."""
    queries = world_queries(world, -(-count // EDITS), seed)[:count]
    triplets = tuple(Triplet(q.reference, q.target, (q.text,), q.positives) for q in queries)
    return HumanTriplets(triplets, world.images)


class Truth:
    """What the attributes say of a corpus's rows, among the images of that corpus.

    Raises:
        UserError: a corpus of other images than those that ship with cirgen.
    """

    def __init__(self, image_ids: Sequence[str]) -> None:
        self._gallery = Gallery.load(shipped_table(image_ids), only=image_ids)

    def good(self, row: CorpusRow) -> bool:
        """Whether the triplet is good: correct, exhaustive, unique and composed."""
        triplet = row.triplet
        return judge(self._gallery, triplet.reference, triplet.texts[0], triplet.target).good

    def rewritten(self, row: CorpusRow) -> Triplet | None:
        """Return the triplet with an exact text of the grammar that the generator learned; None for equal figures."""
        triplet = row.triplet
        rng = random.Random(f"truth {row.triplet_id}")
        reference, target = self._gallery.figure(triplet.reference), self._gallery.figure(triplet.target)
        text = self._gallery.world.change(reference, target, rng)
        if text is None:
            return None
        return Triplet(
            triplet.reference, triplet.target, (text,), triplet.positives, triplet.hard_negatives, "synthetic"
        )
