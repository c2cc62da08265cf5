"""Copies on a Ray cluster: every row is answered once, whoever dies, and copies come and go with the work."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

pytest.importorskip("ray", reason="Ray is not installed: pip install 'cirgen[ray]'")

from cirgen.errors import UserError
from cirgen.executors.pool import MOST_FAILURES, Needs, Pool
from cirgen.executors.replica import Call, Embedded, Numbered, Replica
from cirgen.executors.settings import RaySettings
from cirgen.executors.tasks import Task
from cirgen.model_settings import Encoder

pytestmark = pytest.mark.long

CPUS = 3


class Toy(Replica):
    """A process that loads no model: a row that says `die` kills it, `fail` raises, `slow` takes its time."""

    def _load(self) -> ToyWork:
        if self._settings.model == "broken":
            raise UserError("there are no weights here")
        return ToyWork()


class ToyWork:
    """What a row says is done."""

    identity = ""

    def answers(self, call: Call, rows: Iterator[Numbered]) -> Iterator[Numbered]:
        for number, item in rows:
            if item == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            if item == "fail":
                raise RuntimeError("the row is too long")
            if item == "slow":
                time.sleep(0.05)
            there = item != "only here"
            yield number, Embedded("ok" if there else "image_error", "" if there else "no such file", os.getpid())


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    import ray

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(address="local", num_cpus=CPUS, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield ray
    ray.shutdown()


@pytest.fixture
def pool(cluster: Any) -> Iterator[Callable[..., Pool]]:
    made: list[Pool] = []

    def make(model: str = "toy", **settings: Any) -> Pool:
        fields = RaySettings(**settings)
        made.append(Pool(Encoder(model=model), "", Needs(1, 0), 4, fields, lambda: None, lambda _: None, Toy))
        return made[-1]

    yield make
    for one in made:
        one.close()


def asked(pool: Pool, items: Sequence[str], pack: Callable[[Task], Any] | None = None) -> dict[int, Any]:
    """Ask a pool for rows; return what became of each, by its place. None may come twice."""
    tasks = [Task(number, item, ("image",) if item.startswith("only") else ()) for number, item in enumerate(items)]
    found: dict[int, Any] = {}
    failed = lambda task, status, error: Embedded(status, error, None)  # noqa: E731
    for task, answer in pool.run("texts", (), iter(tasks), pack or (lambda task: task.item), failed):
        assert task.number not in found
        found[task.number] = answer
    return found


def test_every_row_is_answered_once_by_as_many_copies_as_the_cluster_holds(pool: Callable[..., Pool]) -> None:
    found = asked(pool(), ["slow"] * 150)
    assert sorted(found) == list(range(150))
    assert {answer.status for answer in found.values()} == {"ok"}
    assert 1 < len({answer.vector for answer in found.values()}) <= CPUS


def test_a_row_that_kills_its_process_three_times_fails_and_no_other_does(pool: Callable[..., Pool]) -> None:
    items = ["fine"] * 60
    items[17] = "die"
    found = asked(pool(), items)
    assert sorted(found) == list(range(60))
    assert [number for number, answer in found.items() if answer.status != "ok"] == [17]
    assert found[17].status == "engine_error"
    assert "died each time" in found[17].error


def test_a_row_that_the_model_cannot_bear_fails_with_its_reason(pool: Callable[..., Pool]) -> None:
    found = asked(pool(), ["fine", "fail", "fine"])
    assert [found[number].status for number in range(3)] == ["ok", "engine_error", "ok"]
    assert "the row is too long" in found[1].error


def test_a_process_that_somebody_kills_costs_no_row(pool: Callable[..., Pool]) -> None:
    one = pool()
    tasks = (Task(number, "slow") for number in range(200))
    killed: set[int] = set()
    count = 0
    for _, answer in one.run("texts", (), tasks, lambda task: task.item, lambda *_: None):
        count += 1
        assert answer is not None
        if len(killed) < 2 and answer.vector not in killed and count > 20 * (1 + len(killed)):
            os.kill(answer.vector, signal.SIGKILL)
            killed.add(answer.vector)
    assert count == 200
    assert len(killed) == 2


def test_a_model_that_fails_wherever_it_is_started_ends_the_run_with_its_reason(pool: Callable[..., Pool]) -> None:
    one = pool("broken")
    with pytest.raises(UserError, match=r"'broken' fails wherever it is started.*there are no weights here"):
        asked(one, ["fine"] * 3)
    assert MOST_FAILURES > 1


def test_a_picture_that_only_this_machine_can_read_travels_with_the_row(pool: Callable[..., Pool]) -> None:
    found = asked(pool(), ["only here", "fine"], lambda task: "fine" if task.by_value else task.item)
    assert found[0].status == "ok"


def test_a_picture_that_nobody_can_read_is_an_answer_with_the_reason_of_this_machine(
    pool: Callable[..., Pool],
) -> None:
    def pack(task: Task) -> str:
        if task.by_value:
            raise OSError("photo.png changed since ingest")
        return str(task.item)

    found = asked(pool(), ["only here", "fine"], pack)
    assert (found[0].status, found[0].error) == ("image_error", "photo.png changed since ingest")
    assert found[1].status == "ok"


def test_copies_stay_between_calls_and_go_when_they_are_idle(pool: Callable[..., Pool]) -> None:
    one = pool()
    first = asked(one, ["fine"])[0].vector
    assert asked(one, ["fine"])[0].vector == first
    assert len(one.copies) == 1
    now = time.monotonic()
    assert one.release_idle(now, 60.0, 0) == 0
    assert one.release_idle(now + 61, 60.0, 1) == 0
    assert one.release_idle(now + 61, 60.0, 0) == 1
    assert one.copies == []


def test_a_caller_that_reads_no_further_leaves_no_rows_behind(pool: Callable[..., Pool]) -> None:
    one = pool(max_replicas=1)
    answers = one.run("texts", (), (Task(n, "slow") for n in range(1000)), lambda task: task.item, lambda *_: None)
    next(answers)
    answers.close()
    found = asked(one, ["fine"] * 3)
    assert len(found) == 3


def test_rows_are_read_no_further_ahead_than_copies_have_use_for(pool: Callable[..., Pool]) -> None:
    one = pool(max_replicas=1)
    read = [0]

    def tasks() -> Iterator[Task]:
        for number in range(10_000):
            read[0] += 1
            yield Task(number, "slow")

    answers = one.run("texts", (), tasks(), lambda task: task.item, lambda *_: None)
    for _ in range(50):
        next(answers)
    answers.close()
    assert read[0] <= 50 + 3 * one.held
