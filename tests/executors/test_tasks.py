"""Rows that go out again when whoever had them died: none is lost, and only the one that kills fails."""

from __future__ import annotations

import itertools
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from cirgen.executors.tasks import GROUP, MOST_DEATHS, MOST_MOVES, Task, Waiting


@given(
    rows=st.integers(1, 200),
    killers=st.sets(st.integers(0, 199), max_size=4),
    workers=st.integers(1, 5),
    held=st.integers(1, 64),
)
def test_every_row_is_answered_but_those_that_kill(rows: int, killers: set[int], workers: int, held: int) -> None:
    killers = {number for number in killers if number < rows}
    waiting = Waiting(Task(number, number) for number in range(rows))
    with_whom: list[list[Task]] = [[] for _ in range(workers)]
    alone = [False] * workers
    answered: list[int] = []
    failed: list[int] = []
    deaths: Counter[int] = Counter()
    for _ in range(100 * rows + 1000):
        waiting.read_ahead(held)
        for worker in range(workers):
            if not alone[worker]:
                parcel = waiting.take(max(1, held - len(with_whom[worker])), len(with_whom[worker]))
                with_whom[worker] += parcel.tasks
                alone[worker] = parcel.alone
        if not any(with_whom):
            break
        for worker, tasks in enumerate(with_whom):
            with_whom[worker], alone[worker] = [], False
            deadly = [task.number for task in tasks if task.number in killers]
            if deadly:
                deaths.update(deadly)
                failed += [task.number for task in waiting.died(tasks)]
            else:
                answered += [task.number for task in tasks]
    assert sorted(answered) == sorted(set(range(rows)) - killers)
    assert sorted(failed) == sorted(killers)
    assert all(count == MOST_DEATHS for count in deaths.values())


def test_rows_are_read_only_as_far_ahead_as_asked() -> None:
    read: list[int] = []

    def tasks() -> list[Task]:
        for number in range(100):
            read.append(number)
            yield Task(number, number)  # type: ignore[misc]

    waiting = Waiting(tasks())  # type: ignore[arg-type]
    waiting.read_ahead(10)
    waiting.read_ahead(10)
    assert len(read) == len(waiting) == 10


@given(st.lists(st.integers(1, 5), max_size=30), st.integers(1, 12))
def test_rows_about_the_same_images_go_to_the_same_copy(sizes: list[int], most: int) -> None:
    images = [(f"image-{place}",) for place, size in enumerate(sizes) for _ in range(size)]
    waiting = Waiting(Task(number, number, ids) for number, ids in enumerate(images))
    waiting.read_ahead(len(images))
    parcels = []
    while len(waiting):
        parcels.append(waiting.take(most, 0).tasks)
    assert [task.number for parcel in parcels for task in parcel] == list(range(len(images)))
    for parcel, following in itertools.pairwise(parcels):
        assert most <= len(parcel) <= 2 * most
        assert parcel[-1].image_ids != following[0].image_ids or len(parcel) == 2 * most


def test_rows_without_images_go_out_as_many_as_asked() -> None:
    waiting = Waiting(Task(number, number) for number in range(10))
    waiting.read_ahead(10)
    assert len(waiting.take(4, 0).tasks) == 4


def test_suspects_go_alone_to_those_who_hold_nothing() -> None:
    waiting = Waiting(Task(number, number) for number in range(100))
    waiting.read_ahead(100)
    assert not waiting.died(waiting.take(40, 0).tasks)
    assert not waiting.take(5, held=1).alone
    parcel = waiting.take(5, held=0)
    assert parcel.alone
    assert len(parcel.tasks) == GROUP


def test_rows_that_went_down_with_a_machine_are_not_suspected_unless_it_happens_again_and_again() -> None:
    waiting = Waiting([Task(0, "row")])
    waiting.read_ahead(1)
    for _ in range(MOST_MOVES):
        parcel = waiting.take(1, 0)
        assert not parcel.alone
        assert not waiting.moved(parcel.tasks)
    assert [task.item for task in waiting.moved(waiting.take(1, 0).tasks)] == ["row"]
    assert not len(waiting)
