"""Copies of one model on a Ray cluster: rows out, answers back in any order, whatever dies meanwhile."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from cirgen import __version__
from cirgen.errors import UserError, one_line
from cirgen.executors.replica import Call, Numbered, Replica
from cirgen.executors.settings import RaySettings
from cirgen.executors.tasks import Task, Waiting
from cirgen.model_settings import Encoder, Model
from cirgen.schemas import Status

BATCHES_HELD = 20
"""Of rows that a copy has at most: as many as the transformers backend sorts, reads ahead and answers."""
BATCHES_WORTH = 2
"""Of waiting rows that are worth another copy: weights take time to load."""
MOST_FAILURES = 3
"""Copies that may fail in a row, without an answer of any, until the run stops."""
LOOK_SECONDS = 1.0
"""Between two looks at what the cluster holds, while nothing else happens."""
ROOM_SECONDS = 3.0
"""A first copy that finds no place for so long has other models, that nobody asks, give back theirs."""
NODE_DIED = "its node has died"
"""What Ray says of a process that went down with its machine, before it lists the machine as gone."""
READERS = 4
"""Threads that read pictures whose bytes must travel."""

Failed = Callable[[Task, Status, str], Any]
"""Makes the answer of a row that got none."""


@dataclass(eq=False)
class Copy:
    """One replica, as the driver knows it."""

    actor: Any
    starting: Any
    """Reference to its first sign of life; None once that has come."""
    node: str = ""
    giving: list[Any] = field(default_factory=list)
    """References to answers that are under way."""
    tasks: dict[int, Task] = field(default_factory=dict)
    """Rows that it has, by number."""
    alone: bool = False
    """Whether it has suspects, which nobody may join."""
    idle_since: float = field(default_factory=time.monotonic)


@dataclass
class Needs:
    """What a copy takes of the cluster."""

    cpus: float
    gpus: float

    def options(self) -> dict[str, Any]:
        """Return it as Ray's options of an actor; copies lie on as many machines as there are."""
        return {"num_cpus": self.cpus, "num_gpus": self.gpus, "scheduling_strategy": "SPREAD"}

    def held_by(self, resources: dict[str, float]) -> int:
        """Return how many copies a machine has room for."""
        rooms = [resources.get("CPU", 0.0) / self.cpus]
        if self.gpus:
            rooms.append(resources.get("GPU", 0.0) / self.gpus)
        return int(min(rooms) + 1e-9)


class Pool:
    """All copies of one model.

    Args:
        settings: of the model.
        identity: hash of what can change its answers.
        needs: of each copy.
        batch: rows that a copy answers together.
        ray_settings: how many copies.
        make_room: called while a first copy finds no place.
        say: prints one line for the user.
        replica: runs the model.
    """

    def __init__(
        self,
        settings: Model | Encoder,
        identity: str,
        needs: Needs,
        batch: int,
        ray_settings: RaySettings,
        make_room: Callable[[], None],
        say: Callable[[str], None],
        replica: type[Replica] = Replica,
    ) -> None:
        self._replica = replica
        self._settings = settings
        self._identity = identity
        self._needs = needs
        self._batch = batch
        self._ray_settings = ray_settings
        self._make_room = make_room
        self._say = say
        self._copies: list[Copy] = []
        self._lock = threading.RLock()
        self._busy = False
        self._calls = 0
        self._failures = 0
        self._by_value: set[str] = set()
        """Nodes that cannot read pictures where they lie."""
        self._told_waiting = False

    def run(
        self,
        kind: str,
        options: Sequence[str],
        tasks: Iterable[Task],
        pack: Callable[[Task], Any],
        failed: Failed,
    ) -> Iterator[tuple[Task, Any]]:
        """Yield every task with its answer, in any order.

        Args:
            kind: of the call.
            options: of the call.
            tasks: read as far ahead as copies have use for.
            pack: makes what travels; raises OSError where a picture cannot be read here.
            failed: makes the answer of a task that got none.

        Raises:
            UserError: copies fail one after the other.
        """
        with self._lock:
            if self._busy:
                raise RuntimeError("a pool works on one call at a time")
            self._busy = True
            self._calls += 1
        run = _Running(self, Call(self._calls, kind, tuple(options)), Waiting(tasks), pack, failed)  # type: ignore[arg-type]
        try:
            yield from run.answers()
        finally:
            with self._lock:
                self._end_call()
                self._busy = False

    def _end_call(self) -> None:
        """Let go of copies that still start, or that hold rows nobody asks for any more."""
        for copy in [copy for copy in self._copies if copy.starting is not None or copy.tasks]:
            self.kill(copy)
        for copy in self._copies:
            copy.idle_since = time.monotonic()

    @property
    def copies(self) -> list[Copy]:
        """All copies, those that start included."""
        return self._copies

    def start(self) -> None:
        """Start another copy; it comes to life when the cluster has room."""
        import ray

        options = {**self._needs.options(), "max_restarts": 0, "concurrency_groups": {"rows": 1, "model": 1}}
        replica = ray.remote(**options)(self._replica)
        threads = 0 if self._needs.gpus else max(1, int(self._needs.cpus))
        actor = replica.remote(self._settings, self._identity, __version__, threads)
        with self._lock:
            self._copies.append(Copy(actor, actor.ready.options(concurrency_group="model").remote()))

    def kill(self, copy: Copy) -> None:
        """End a copy."""
        import ray

        with self._lock:
            if copy in self._copies:
                self._copies.remove(copy)
        ray.kill(copy.actor)

    def release_idle(self, now: float, seconds: float, keep: int) -> int:
        """End copies that had no work for so long, down to `keep`, unless a call is under way; return how many."""
        with self._lock:
            if self._busy:
                return 0
            old = [copy for copy in self._copies if now - copy.idle_since >= seconds]
            ended = old[: max(0, len(self._copies) - keep)]
            for copy in ended:
                self.kill(copy)
        return len(ended)

    def close(self) -> None:
        """End all copies."""
        with self._lock:
            for copy in list(self._copies):
                self.kill(copy)

    @property
    def held(self) -> int:
        """Rows that a copy has at most."""
        return BATCHES_HELD * self._batch

    @property
    def batch(self) -> int:
        """Rows that a copy answers together."""
        return self._batch

    def wanted(self, rows: int) -> int:
        """Return how many copies so many rows are worth."""
        least, most = self._ray_settings.min_replicas, self.most()
        return max(least, min(most, math.ceil(rows / (BATCHES_WORTH * self._batch))))

    def most(self) -> int:
        """Return how many copies there may be: what the recipe says, else what the cluster holds, at least one."""
        if self._ray_settings.max_replicas is not None:
            return self._ray_settings.max_replicas
        return max(1, self._ray_settings.min_replicas, self._room())

    def _room(self) -> int:
        import ray

        return sum(self._needs.held_by(node["Resources"]) for node in ray.nodes() if node["Alive"])

    def wait_for_room(self, copy_waits: float) -> None:
        """Make room for a first copy, and say once that none comes."""
        if copy_waits < ROOM_SECONDS:
            return
        self._make_room()
        if not self._told_waiting and not self._room():
            self._told_waiting = True
            self._say(
                f"No machine of the cluster has {self._needs.cpus:g} CPUs and {self._needs.gpus:g} GPUs, which a copy "
                f"of '{self._settings.model}' takes; waiting for one, or stop and set ray.cpus or ray.gpus lower."
            )

    def by_value(self, node: str) -> bool:
        """Return whether a node is known not to read pictures where they lie."""
        return node in self._by_value

    def sends_to(self, node: str) -> None:
        """Remember that pictures must travel to a node."""
        self._by_value.add(node)

    def answered(self) -> None:
        """Note that a copy works."""
        self._failures = 0

    def failed(self, why: str) -> None:
        """Note that a copy failed.

        Raises:
            UserError: too many did, one after the other, and none answered.
        """
        self._failures += 1
        if self._failures >= MOST_FAILURES:
            raise UserError(
                f"'{self._settings.model}' fails wherever it is started, last with: {why}. Give the same command "
                "again once that is mended; everything done so far is saved."
            )


class _Running:
    """One call of a pool."""

    def __init__(self, pool: Pool, call: Call, waiting: Waiting, pack: Callable[[Task], Any], failed: Failed) -> None:
        self._pool = pool
        self._call = call
        self._waiting = waiting
        self._pack = pack
        self._failed = failed
        self._done: list[tuple[Task, Any]] = []
        self._first_waits_since = time.monotonic()

    def answers(self) -> Iterator[tuple[Task, Any]]:
        with ThreadPoolExecutor(READERS, thread_name_prefix="pictures") as readers:
            while True:
                self._waiting.read_ahead(self._ahead())
                self._hand_out(readers)
                yield from self._given_up()
                if not len(self._waiting) and not self._out:
                    return
                self._grow()
                self._look()
                yield from self._given_up()

    @property
    def _out(self) -> int:
        """Rows that copies have."""
        return sum(len(copy.tasks) for copy in self._pool.copies)

    def _ahead(self) -> int:
        """Return how many rows are of use to know: for the copies there are, and to tell whether more pay."""
        pool = self._pool
        ready = sum(copy.starting is None for copy in pool.copies)
        return max(ready * pool.held - self._out, (pool.most() + 1) * BATCHES_WORTH * pool.batch)

    def _given_up(self) -> Iterator[tuple[Task, Any]]:
        done, self._done = self._done, []
        yield from done

    def _grow(self) -> None:
        for _ in range(self._pool.wanted(len(self._waiting) + self._out) - len(self._pool.copies)):
            self._pool.start()
        if any(copy.starting is None for copy in self._pool.copies):
            self._first_waits_since = time.monotonic()
        else:
            self._pool.wait_for_room(time.monotonic() - self._first_waits_since)

    def _hand_out(self, readers: ThreadPoolExecutor) -> None:
        """Give copies rows, the emptiest first, to each a fair share of all there are."""
        copies = [copy for copy in self._pool.copies if copy.starting is None and not copy.alone]
        fair = math.ceil((len(self._waiting) + self._out) / max(1, len(self._pool.copies)))
        most = min(self._pool.held, max(fair, 1))
        least = min(self._pool.batch, most)
        while len(self._waiting):
            copies = [copy for copy in copies if not copy.alone and most - len(copy.tasks) >= least / 2]
            if not copies:
                return
            copy = min(copies, key=lambda one: len(one.tasks))
            parcel = self._waiting.take(min(self._pool.batch, most - len(copy.tasks)), len(copy.tasks))
            if not parcel.tasks:
                return
            copy.alone = parcel.alone
            self._send(copy, parcel.tasks, readers)

    def _send(self, copy: Copy, tasks: Sequence[Task], readers: ThreadPoolExecutor) -> None:
        if self._pool.by_value(copy.node):
            for task in tasks:
                task.by_value = bool(task.image_ids)
        rows: list[Numbered] = []
        for task, packed in zip(tasks, readers.map(self._packed, tasks), strict=True):
            if isinstance(packed, OSError):
                self._done.append((task, self._failed(task, "image_error", str(packed))))
            else:
                rows.append((task.number, packed))
                copy.tasks[task.number] = task
        if rows:
            copy.actor.put.options(concurrency_group="rows").remote(self._call, rows)
            self._ask(copy)

    def _packed(self, task: Task) -> Any:
        try:
            return self._pack(task)
        except OSError as error:
            return error

    @staticmethod
    def _ask(copy: Copy) -> None:
        """Keep two requests for answers with a copy: it works on the second while the first travels."""
        while len(copy.giving) < 2:
            copy.giving.append(copy.actor.take.options(concurrency_group="model").remote())

    def _look(self) -> None:
        """Wait until something happens, or for a moment."""
        import ray

        by_reference: dict[Any, Copy] = {}
        for copy in self._pool.copies:
            for reference in [copy.starting] if copy.starting is not None else copy.giving[:1]:
                by_reference[reference] = copy
        if not by_reference:
            time.sleep(LOOK_SECONDS)
            return
        ready, _ = ray.wait(list(by_reference), num_returns=1, timeout=LOOK_SECONDS)
        for reference in ready:
            self._heard(by_reference[reference], reference)

    def _heard(self, copy: Copy, reference: Any) -> None:
        import ray

        try:
            told = ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            self._lost(copy, error.cause if isinstance(error.cause, Exception) else error)
            return
        except ray.exceptions.RayError as error:
            self._lost(copy, error)
            return
        if copy.starting is not None:
            copy.node, copy.starting = told, None
        else:
            copy.giving.remove(reference)
            self._take(copy, told)

    def _take(self, copy: Copy, answers: Sequence[Numbered]) -> None:
        for number, answer in answers:
            task = copy.tasks.pop(number, None)
            if task is None:
                continue  # of a call that was given up
            if answer.status == "image_error" and task.image_ids and not task.by_value:
                self._again_by_value(copy, task)
            else:
                self._pool.answered()
                self._done.append((task, answer))
        if copy.tasks:
            self._ask(copy)
        else:
            copy.alone = False
            copy.idle_since = time.monotonic()

    def _again_by_value(self, copy: Copy, task: Task) -> None:
        """Send a row once more, with what this machine may read and the other could not."""
        task.by_value = True
        packed = self._packed(task)
        if isinstance(packed, OSError):
            self._done.append((task, self._failed(task, "image_error", str(packed))))
        else:
            self._pool.sends_to(copy.node)
            self._waiting.back([task])

    def _lost(self, copy: Copy, error: Exception) -> None:
        """Replace a copy that failed, and have its rows done by others."""
        tasks, why = list(copy.tasks.values()), one_line(error)
        with_machine = _with_machine(copy, error)
        self._pool.kill(copy)
        if isinstance(error, UserError) or not tasks:
            self._waiting.back(reversed(tasks))
            if not with_machine:
                self._pool.failed(why)
        else:
            gone = self._waiting.moved(tasks) if with_machine else self._waiting.died(tasks)
            status: Status = "oom" if "memory" in why.lower() else "engine_error"
            words = f"whoever ran it died {'with its machine' if with_machine else 'each time'}, last with: {why}"
            self._done.extend((task, self._failed(task, status, words)) for task in gone)


def _with_machine(copy: Copy, error: Exception) -> bool:
    """Return whether a copy went down with the machine it was on."""
    import ray

    if NODE_DIED in str(error):
        return True
    return any(node["NodeID"] == copy.node and not node["Alive"] for node in ray.nodes())
