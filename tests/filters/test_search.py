"""What comes before a target, against a search that compares everything with everything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cirgen.filters import search
from cirgen.filters.search import Ahead, ahead_of_target
from cirgen.keys import draw
from cirgen.schemas import TRIPLET
from deciding import Plane, gallery, triplets

NAMES = [f"i{number:02d}" for number in range(40)]
GROUPS = {"i03": "i02", "i04": "i02", "i31": "i30"}


class Drawn:
    """Embeddings of whole numbers, so that many cosines are equal; each name has its own by content."""

    def __init__(self, seed: int) -> None:
        self.identity = f"drawn {seed}"
        self._seed = seed

    def images(self, image_ids: Sequence[str]) -> np.ndarray:
        return np.stack([self._vector(name) for name in image_ids])

    texts = images

    def expect(self, texts: Iterable[str]) -> None:
        """Every text has its vector already."""

    def _vector(self, name: str) -> np.ndarray:
        vector = np.asarray([round(3 * draw(self._seed, name, place)) for place in range(4)], dtype=np.float32) + 0.5
        return vector / np.linalg.norm(vector)


ENCODERS = (Drawn(1), Drawn(2))
ROW = st.fixed_dictionaries(
    {
        "reference_id": st.sampled_from(NAMES[:20]),
        "target_id": st.sampled_from([*NAMES[20:], "i02", "i03"]),
        "text": st.sampled_from(["make it red", "a hat", "remove it"]),
    }
)
ROWS = st.lists(ROW, min_size=1, max_size=12)


def batch(rows: list[dict[str, Any]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(triplets(*rows), schema=TRIPLET)


def whole(vector: np.ndarray) -> list[int]:
    """Return an embedding as whole numbers of 2**-24, whose products and sums Python does not round."""
    return [round(float(part) * 2**24) for part in vector]


def cosine(one: Sequence[int], other: Sequence[int]) -> int:
    return sum(mine * its for mine, its in zip(one, other, strict=True))


def one_by_one(row: dict[str, Any]) -> list[Any]:
    """Return text, image and both of each encoder, then agreed and candidates."""
    group = GROUPS.get(row["target_id"], row["target_id"])
    others = [name for name in NAMES if GROUPS.get(name, name) != group and name != row["reference_id"]]
    kinds: list[list[int]] = [[], [], []]
    agreed = set(others)
    for encoder in ENCODERS:
        text, reference, target = (
            *map(whole, encoder.texts([row["text"]])),
            *map(whole, encoder.images([row["reference_id"], row["target_id"]])),
        )
        ahead: list[set[str]] = [set(), set(), set()]
        for name in others:
            image = whole(encoder.images([name])[0])
            pairs = [(cosine(one, image), cosine(one, target)) for one in (text, reference)]
            pairs.append((pairs[0][0] + pairs[1][0], pairs[0][1] + pairs[1][1]))
            for place, (mine, its) in enumerate(pairs):
                ahead[place] |= {name} if mine >= its else set()
        for counts, found in zip(kinds, ahead, strict=True):
            counts.append(len(found))
        agreed &= ahead[2]
    return [*kinds, len(agreed), len(others) + 1]


@given(rows=ROWS)
@settings(max_examples=40, deadline=None)
def test_a_streamed_search_finds_what_comparing_everything_finds(rows: list[dict[str, Any]]) -> None:
    found = ahead_of_target(batch(rows), ENCODERS, gallery(NAMES, GROUPS))
    for place, row in enumerate(rows):
        assert [part[..., place].tolist() for part in found] == one_by_one(row)


@given(rows=ROWS, queries=st.integers(1, 13), pictures=st.integers(1, 41), order=st.randoms())
@settings(deadline=None)
def test_neither_blocks_nor_companions_nor_their_order_change_a_count(
    rows: list[dict[str, Any]], queries: int, pictures: int, order: Any
) -> None:
    whole = ahead_of_target(batch(rows), ENCODERS, gallery(NAMES, GROUPS))
    places = order.sample(range(len(rows)), len(rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "QUERIES", queries)
        patch.setattr(search, "PICTURES", pictures)
        parts = [ahead_of_target(batch([rows[place]]), ENCODERS, gallery(NAMES, GROUPS)) for place in places]
        together = ahead_of_target(batch([rows[place] for place in places]), ENCODERS, gallery(NAMES, GROUPS))
    for name in Ahead._fields:
        alone = np.concatenate([getattr(part, name) for part in parts], axis=-1)
        assert alone.tolist() == getattr(together, name).tolist() == getattr(whole, name)[..., places].tolist()


def test_a_picture_that_is_as_near_as_the_target_comes_before_it() -> None:
    rows = [{"reference_id": "0", "text": "80", "target_id": "40"}]
    found = ahead_of_target(batch(rows), [Plane()], gallery(["0", "40", "10", "70"]))
    again = ahead_of_target(batch(rows), [Plane()], gallery(["0", "40", "10", "70", "040"]))
    assert (found.text.item(), again.text.item()) == (1, 2)
    assert (found.image.item(), again.image.item()) == (1, 2)
    assert (found.both.item(), again.both.item()) == (0, 1)


def test_a_near_duplicate_of_the_target_counts_for_nobody() -> None:
    rows = [{"reference_id": "0", "text": "80", "target_id": "40"}]
    found = ahead_of_target(batch(rows), [Plane()], gallery(["0", "40", "70", "71"], {"71": "40"}))
    assert (found.text.item(), found.candidates.item()) == (1, 2)


def test_a_picture_that_the_gallery_lacks_is_an_error_and_no_rank() -> None:
    rows = [{"reference_id": "0", "text": "80", "target_id": "41"}]
    with pytest.raises(KeyError, match="41"):
        ahead_of_target(batch(rows), [Plane()], gallery(["0", "40"]))
