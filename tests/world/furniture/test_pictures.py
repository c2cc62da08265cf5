"""The pictures of furniture that come with a checkout are what their tables say, and were drawn to be told apart."""

from __future__ import annotations

from hashlib import sha256

import pyarrow.parquet as pq
import pytest
from PIL import Image

from cirgen.world.build import IMAGES, TABLE, read_truth, shipped_furniture
from cirgen.world.furniture.families import COLLECTIONS, collection
from cirgen.world.furniture.render import LEAST_CHANGED, LICENSE, SIDE
from cirgen.world.furniture.vocabulary import kinds
from cirgen.world.worlds import FURNITURE

MEGABYTES = 3.0
"""All pictures of all collections together stay below."""


@pytest.mark.parametrize("purpose", COLLECTIONS)
def test_a_picture_is_named_by_its_bytes_and_has_one_row(purpose: str) -> None:
    files = {path.stem: path for path in (shipped_furniture(purpose) / IMAGES).glob("*.webp")}
    truth = read_truth(shipped_furniture(purpose) / TABLE)
    assert sorted(files) == truth.image_ids
    for name, path in files.items():
        assert sha256(path.read_bytes()).hexdigest() == name
    with Image.open(files[truth.image_ids[0]]) as first:
        assert (first.format, first.size) == ("WEBP", (SIDE, SIDE))


@pytest.mark.parametrize("purpose", COLLECTIONS)
def test_a_collection_shows_its_families_whole(purpose: str) -> None:
    truth = read_truth(shipped_furniture(purpose) / TABLE)
    assert truth.world is FURNITURE
    wanted = {(member.item, member.family) for member in collection(purpose)}
    assert set(zip(truth.figures, truth.families, strict=True)) == wanted


@pytest.mark.parametrize("purpose", COLLECTIONS)
def test_another_colour_of_either_part_was_seen_in_every_picture_and_its_maker_is_named(purpose: str) -> None:
    rows = pq.read_table(shipped_furniture(purpose) / TABLE.with_name("origins.parquet")).to_pylist()
    creators = {kind.model: kind.creator for kind in kinds().values()}
    assert len(rows) == len(collection(purpose))
    for row in rows:
        assert min(row["changed_large"], row["changed_small"]) >= LEAST_CHANGED
        assert row["license"] == LICENSE and row["creator"] == creators[row["model"]]


def test_pictures_are_small_enough_for_a_clone() -> None:
    files = [path for purpose in COLLECTIONS for path in (shipped_furniture(purpose) / IMAGES).iterdir()]
    assert sum(path.stat().st_size for path in files) < MEGABYTES * 1e6
