"""Near-duplicate groups hold copies of one picture, and tell siblings apart by colour."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from cirgen.components import Components
from cirgen.near_duplicates import BANDS, MAX_BITS, MAX_COLOR
from cirgen.pictures import color_hash, perceptual_hash
from cirgen.stages.grouping import near_duplicate_groups

Figure = tuple[dict[str, str], Image.Image]
WORLD = Path(__file__).parents[2] / "cirgen" / "world"


def hashes(images: list[Image.Image]) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
    structure = np.array([int(perceptual_hash(image), 16) for image in images], np.uint64)
    colors = np.array([list(bytes.fromhex(color_hash(image))) for image in images], np.uint8)
    return structure, colors


@st.composite
def collections(draw: st.DrawFn) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
    """A few pictures, and copies of them with some bits and colours moved: every distance around the limits."""
    count = draw(st.integers(1, 24))
    structure, colors = [], []
    bases = [(draw(st.integers(0, 2**64 - 1)), draw(st.integers(0, 255))) for _ in range(3)]
    for _ in range(count):
        bits, level = draw(st.sampled_from(bases))
        for bit in draw(st.lists(st.integers(0, 63), max_size=6)):
            bits ^= 1 << bit
        cells = np.full(96, level)
        cells[draw(st.integers(0, 95))] += draw(st.integers(-12, 12))
        structure.append(bits)
        colors.append(np.clip(cells, 0, 255))
    return np.array(structure, np.uint64), np.array(colors, np.uint8)


def slow_groups(structure: NDArray[np.uint64], colors: NDArray[np.uint8]) -> list[int]:
    """Return the groups by comparing all pairs."""
    group = list(range(len(structure)))
    for left, right in itertools.combinations(group[:], 2):
        bits = (int(structure[left]) ^ int(structure[right])).bit_count()
        apart = np.abs(colors[left].astype(int) - colors[right].astype(int)).max()
        if bits <= MAX_BITS and apart <= MAX_COLOR:
            old, new = max(group[left], group[right]), min(group[left], group[right])
            group = [new if label == old else label for label in group]
    return group


@settings(max_examples=150, deadline=None)
@given(collections())
def test_groups_are_what_comparing_all_pairs_finds(pictures: tuple[NDArray[np.uint64], NDArray[np.uint8]]) -> None:
    assert near_duplicate_groups(*pictures).tolist() == slow_groups(*pictures)


@settings(max_examples=100, deadline=None)
@given(collections(), st.randoms())
def test_groups_are_a_partition_that_no_order_changes(
    pictures: tuple[NDArray[np.uint64], NDArray[np.uint8]], dice: object
) -> None:
    structure, colors = pictures
    order = list(range(len(structure)))
    dice.shuffle(order)  # type: ignore[attr-defined]
    groups = near_duplicate_groups(structure, colors)
    shuffled = near_duplicate_groups(structure[order], colors[order])
    assert (groups[groups] == groups).all()  # the name of a group is one of its members
    assert (groups <= np.arange(len(groups))).all()  # the first one
    back = {position: order[shuffled[place]] for place, position in enumerate(order)}
    for left, right in itertools.combinations(range(len(groups)), 2):
        assert (groups[left] == groups[right]) == (back[left] == back[right])


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 30).flatmap(lambda n: st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)))))
def test_components_do_not_depend_on_how_edges_arrive(edges: list[tuple[int, int]]) -> None:
    count = max((max(edge) for edge in edges), default=0) + 1
    at_once, one_by_one = Components(count), Components(count)
    if edges:
        at_once.join(*np.array(edges).T)
    for left, right in reversed(edges):
        one_by_one.join(np.array([right]), np.array([left]))
        one_by_one.smallest()
    assert at_once.smallest().tolist() == one_by_one.smallest().tolist()


def test_bands_cover_every_bit_once() -> None:
    bits = [bit for first, width in BANDS for bit in range(first, first + width)]
    assert bits == list(range(64))
    assert len(BANDS) == MAX_BITS + 1


@pytest.mark.timeout(60)
def test_twenty_thousand_pictures_of_one_structure_do_not_take_all_pairs() -> None:
    count, dice = 20_000, np.random.default_rng(0)
    structure = np.zeros(count, np.uint64)
    unlike = dice.integers(0, 256, (count, 96), dtype=np.uint8)
    assert (near_duplicate_groups(structure, unlike) == np.arange(count)).all()
    alike = dice.integers(100, 105, (count, 96), dtype=np.uint8)
    assert not near_duplicate_groups(structure, alike).any()


# Measured on the shipped figures; their table of truth serves this measurement alone


@pytest.fixture(scope="module")
def figures() -> list[Figure]:
    table = pq.read_table(WORLD / "truth" / "attributes.parquet").to_pylist()
    return [(row, Image.open(WORLD / "images" / f"{row['image_id']}.png").convert("RGB")) for row in table[::2]]


def test_figures_that_differ_in_one_attribute_are_not_grouped(
    figures: list[Figure],
) -> None:
    structure, colors = hashes([image for _, image in figures])
    groups = near_duplicate_groups(structure, colors)
    names = [name for name in figures[0][0] if name not in ("image_id", "level", "family")]
    values = np.array([[row[name] for name in names] for row, _ in figures])
    siblings = alike = grouped = 0
    for left in range(len(values)):
        near = np.flatnonzero((values[left + 1 :] != values[left]).sum(axis=1) == 1) + left + 1
        siblings += len(near)
        alike += int((np.bitwise_count(structure[near] ^ structure[left]) <= MAX_BITS).sum())
        grouped += int((groups[near] == groups[left]).sum())
    assert siblings > 1_000
    assert alike > 0  # grey structure alone would group some
    assert grouped <= siblings / 1_000


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def scaled(image: Image.Image, factor: float) -> Image.Image:
    return image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.LANCZOS)


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "jpeg 90": lambda image: jpeg(image, 90),
    "jpeg 50": lambda image: jpeg(image, 50),
    "jpeg 30": lambda image: jpeg(image, 30),
    "half": lambda image: scaled(image, 0.5),
    "three quarters": lambda image: scaled(image, 0.75),
    "double": lambda image: scaled(image, 2),
    "half, then jpeg 50": lambda image: jpeg(scaled(image, 0.5), 50),
}


@pytest.mark.parametrize("copy", COPIES)
def test_copies_of_a_picture_are_grouped_with_it(copy: str, figures: list[Figure]) -> None:
    originals = [image for _, image in figures[::10]]
    structure, colors = hashes([*originals, *map(COPIES[copy], originals)])
    groups = near_duplicate_groups(structure, colors)
    together = groups[: len(originals)] == groups[len(originals) :]
    assert together.mean() >= 0.98
