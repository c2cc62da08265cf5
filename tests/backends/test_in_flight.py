"""Every item is worked on once, so many at a time, and what is done is never lost to somebody else's error."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cirgen.backends.in_flight import in_flight


class Work:
    """Waits as long as its item says, in milliseconds; a negative one fails."""

    def __init__(self) -> None:
        self.now = self.most = self.ended = self.called_off = 0

    async def __call__(self, item: int) -> int:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(abs(item) / 1000)
        except asyncio.CancelledError:
            self.called_off += 1
            raise
        finally:
            self.now -= 1
        if item < 0:
            raise ValueError(item)
        return item

    async def end(self) -> None:
        self.ended += 1


@given(st.lists(st.integers(0, 3), max_size=40), st.integers(1, 8))
def test_every_item_has_one_answer_with_so_many_under_way_and_none_read_ahead(items: list[int], most: int) -> None:
    work, read, answered = Work(), 0, 0

    def reading() -> Iterator[int]:
        nonlocal read
        for item in items:
            read += 1
            assert read - answered <= most
            yield item

    found = []
    for answer in in_flight(reading(), work, most, work.end):
        answered += 1
        found.append(answer)
    assert sorted(found) == sorted(items)
    assert (work.most <= most, work.ended) == (True, 1)


def test_an_error_comes_after_what_was_done_before_it_and_calls_off_the_rest() -> None:
    work = Work()
    found = []
    with pytest.raises(ValueError, match="-20"):
        for answer in in_flight([0, 5, -20, 60_000], work, 4, work.end):
            found.append(answer)
    assert found == [0, 5]
    assert (work.called_off, work.ended, work.now) == (1, 1, 0)


def test_who_reads_no_further_calls_off_what_is_under_way() -> None:
    work = Work()
    answers = in_flight([0, 60_000, 60_000], work, 3, work.end)
    assert next(answers) == 0
    answers.close()
    assert (work.ended, work.now) == (1, 0)


def test_an_error_of_who_asks_calls_off_what_is_under_way() -> None:
    work = Work()

    def broken() -> Iterator[int]:
        yield 60_000
        raise KeyError("the plan cannot be read")

    with pytest.raises(KeyError):
        list(in_flight(broken(), work, 3, work.end))
    assert (work.ended, work.now) == (1, 0)
