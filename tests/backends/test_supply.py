"""Rows are handed out in batches that fit, every row once, those about the same images together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import torch
from hypothesis import given
from hypothesis import strategies as st

from cirgen.backends.base import Request
from cirgen.backends.encoding import Tensors, Unreadable
from cirgen.backends.limits import Limits
from cirgen.backends.rows import Row
from cirgen.backends.supply import SHORTEST_SHARE, Supply

NEW_TOKENS = 8
Asked = tuple[int, int]
"""Image and length of a prompt."""


def read(asked: list[Asked]) -> Iterator[tuple[Request, Tensors | Unreadable]]:
    for place, (image, length) in enumerate(asked):
        request = Request(f"{place:04}", 0, "", (str(image),) if image else (), 0.0, 1.0, 0, NEW_TOKENS)
        yield request, {"input_ids": torch.zeros((1, length), dtype=torch.long)}


def batches(asked: list[Asked], size: int, tokens: int | None) -> list[list[Row]]:
    supply = Supply(read(asked), Limits(size, tokens), size)
    found = []
    while batch := supply.take(None, 0, 0):
        found.append(batch)
    return found


questions = st.lists(st.tuples(st.integers(0, 6), st.integers(1, 1_000)), max_size=60)


@given(questions, st.integers(1, 16), st.one_of(st.none(), st.integers(64, 3_000)))
def test_every_row_comes_once_in_a_batch_that_fits(asked: list[Asked], size: int, tokens: int | None) -> None:
    found = batches(asked, size, tokens)
    assert Counter(row.request.key for batch in found for row in batch) == Counter(
        f"{n:04}" for n in range(len(asked))
    )
    for batch in found:
        longest = max(row.length for row in batch)
        assert len({row.policy for row in batch}) == 1
        assert len(batch) <= size
        assert min(row.length for row in batch) >= SHORTEST_SHARE * longest
        if tokens is not None and len(batch) > 1:
            assert len(batch) * (longest + NEW_TOKENS) <= tokens


def test_prompts_of_like_length_about_an_image_share_a_batch() -> None:
    found = batches([(image, length) for image in range(1, 9) for length in (100, 90, 70, 10)], 6, None)
    for batch in found:
        if max(row.length for row in batch) > 10:
            assert set(Counter(row.request.image_ids for row in batch).values()) == {3}


def test_rows_that_are_put_back_are_still_together() -> None:
    supply = Supply(read([(image, length) for length in (100, 90) for image in (1, 2)]), Limits(4, None), 4)
    taken = supply.take(None, 0, 0)
    supply.put_back(taken)
    assert [row.request.key for row in supply.take(None, 0, 0)] == [row.request.key for row in taken]
