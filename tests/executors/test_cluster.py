"""Runs on a Ray cluster of three machines, some of which die: the same rows and the same bytes as a run on one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

pytest.importorskip("ray", reason="Ray is not installed: pip install 'cirgen[ray]'")

from cirgen.executors.ray import Ray
from cirgen.executors.settings import RaySettings
from cirgen.pipeline import run_pipeline
from cirgen.progress import Silent, Step
from cirgen.recipe_file import load_recipe
from cirgen.run_folder import Run
from cirgen.store import Store
from commands import start

pytestmark = pytest.mark.long

IMAGES = 40
PAIRS = 30
MACHINES = 3
FILTERS = (
    "filter=[{name: lint, min_words: 2, max_words: 30}, {name: similarity, lower_percentile: 2}, "
    "{name: likelihood, min_text_percentile: 5, others: 1, model: {model: 'cirgen:mllm', batch_size: 4}}, "
    "{name: judge, min_yes_percentile: 5, model: {model: 'cirgen:mllm', batch_size: 4}}]"
)
SETTINGS = (
    "mllm.batch_size=4",
    f"pair.max_pairs={PAIRS}",
    FILTERS,
    "ray.min_replicas=3",
    "ray.max_replicas=3",
    "ray.idle_seconds=5",
)


class Disturbed(Silent):
    """Does something when a step has come so far."""

    def __init__(self, **events: tuple[int, Callable[[], None]]) -> None:
        self._events = events

    @contextmanager
    def step(self, label: str, total: int | None = None) -> Iterator[Step]:
        yield _Counting(self._events.get(label.split(maxsplit=1)[0].lower()))


class _Counting(Silent):
    def __init__(self, event: tuple[int, Callable[[], None]] | None) -> None:
        self._event = event
        self._done = 0

    def advance(self, count: int = 1, **notes: str) -> None:
        self._done += count
        if self._event and self._done >= self._event[0]:
            event, self._event = self._event[1], None
            event()


class StoppedError(Exception):
    """Ends a run in the middle, as a crash would."""


def stop() -> None:
    raise StoppedError


def demo(folder: Path, progress: Silent | None = None, **store: Any) -> Run:
    recipe = load_recipe("demo", SETTINGS).recipe
    return Run(folder, recipe, Store(folder / "store", **store), progress or Silent(), limit=IMAGES)


def exported(folder: Path) -> dict[str, bytes]:
    root = folder / "dataset"
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*.parquet"))}


def keys(folder: Path) -> dict[str, set[str]]:
    """Return the keys of every stage that have an ok row, or one of another status."""
    store = Store(folder / "store")
    found = {}
    with store.connect() as connection:
        for stage in store.stages():
            rows = connection.execute(f"SELECT key, status FROM {store.current(connection, stage)}").fetchall()
            found[stage] = {f"{key} {status}" for key, status in rows}
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("local")
    assert run_pipeline(demo(folder)).accepted > 0
    return folder


class Machines:
    """A cluster whose machines come and go."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        options = {"object_store_memory": 100_000_000}
        self._cluster = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **options}
        )
        self._options = {"num_cpus": 1, **options}
        self._nodes: list[Any] = []
        self.fill()

    @property
    def address(self) -> str:
        return str(self._cluster.address)

    def fill(self) -> None:
        """Begin as many machines as are missing."""
        self._nodes += [
            self._cluster.add_node(**self._options, wait=False) for _ in range(MACHINES - len(self._nodes))
        ]
        self._cluster.wait_for_nodes(timeout=300)

    def kill_one(self) -> None:
        """End a machine without a word."""
        self._cluster.remove_node(self._nodes.pop(), allow_graceful=False)

    def kill_a_worker(self) -> None:
        """End one of the processes that run a model."""
        models = [
            one for one in psutil.process_iter(["cmdline"]) if "ray::Replica" in " ".join(one.info["cmdline"] or [])
        ]
        models[0].send_signal(signal.SIGKILL)

    def close(self) -> None:
        self._cluster.shutdown()


@pytest.fixture(scope="module")
def machines() -> Iterator[Machines]:
    made = Machines()
    yield made
    made.close()


@contextmanager
def executor(machines: Machines) -> Iterator[Ray]:
    machines.fill()
    settings = load_recipe("demo", SETTINGS).recipe.ray.model_copy(update={"address": machines.address})
    opened = Ray(settings)
    try:
        yield opened
    finally:
        opened.close()


def test_machines_and_processes_that_die_in_the_middle_change_no_row_and_no_byte(
    undisturbed: Path, machines: Machines, tmp_path: Path
) -> None:
    progress = Disturbed(
        ingest=(IMAGES // 2, machines.kill_one),
        caption=(10, machines.kill_a_worker),
        embed=(10, machines.kill_a_worker),
        write=(10, machines.kill_one),
    )
    with executor(machines) as ray:
        run_pipeline(demo(tmp_path, progress), ray)
    assert keys(tmp_path) == keys(undisturbed)
    assert exported(tmp_path) == exported(undisturbed)


@pytest.mark.parametrize("first", ["local", "ray"])
def test_what_begins_in_one_place_ends_in_the_other(
    undisturbed: Path, machines: Machines, tmp_path: Path, first: str
) -> None:
    with executor(machines) as ray:
        order = (None, ray) if first == "local" else (ray, None)
        with pytest.raises(StoppedError):
            run_pipeline(demo(tmp_path, Disturbed(caption=(IMAGES // 2, stop)), flush_rows=5), order[0])
        with pytest.raises(StoppedError):
            run_pipeline(demo(tmp_path, Disturbed(write=(15, stop)), flush_rows=5), order[1])
        run_pipeline(demo(tmp_path), order[0])
    assert keys(tmp_path) == keys(undisturbed)
    assert exported(tmp_path) == exported(undisturbed)


def command(machines: Machines, folder: Path) -> subprocess.Popen[str]:
    settings = [part for setting in SETTINGS for part in ("--set", setting)]
    ray = ["--executor", "ray", "--set", f"ray.address={machines.address}", "--flush-rows", "5"]
    return start(folder, "run", "demo", "--limit", str(IMAGES), "--output", "run", *settings, *ray)


def wait_for(process: subprocess.Popen[str], folder: Path, stage: str, rows: int) -> None:
    """Wait until a stage has so many rows."""
    while process.poll() is None and sum(Store(folder / "run/store").statuses(stage).values()) < rows:
        time.sleep(0.2)
    assert process.poll() is None, process.communicate()


def test_a_driver_that_is_killed_goes_on_where_it_stopped(
    undisturbed: Path, machines: Machines, tmp_path: Path
) -> None:
    machines.fill()
    with command(machines, tmp_path) as process:
        wait_for(process, tmp_path, "modify", 10)
        process.kill()
    with command(machines, tmp_path) as process:
        printed, told = process.communicate(timeout=600)
    assert process.returncode == 0, told
    assert "accepted" in printed
    assert keys(tmp_path / "run") == keys(undisturbed)
    assert exported(tmp_path / "run") == exported(undisturbed)


def test_ctrl_c_saves_says_how_to_go_on_and_leaves_with_130(machines: Machines, tmp_path: Path) -> None:
    machines.fill()
    with command(machines, tmp_path) as process:
        wait_for(process, tmp_path, "caption", 10)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=300)
    assert process.returncode == 130, told
    assert "Traceback" not in told
    assert "To go on: cirgen run demo" in told.splitlines()[-1]
    assert "--executor ray" in told.splitlines()[-1]
    assert sum(Store(tmp_path / "run/store").statuses("caption").values()) >= 10


def test_a_model_makes_room_for_another_on_a_cluster_that_is_full(
    undisturbed: Path, machines: Machines, tmp_path: Path
) -> None:
    """Three copies of the MLLM take all three CPUs; nobody asks them while pictures are embedded."""
    shutil.copytree(undisturbed, tmp_path / "run")
    shutil.rmtree(tmp_path / "run/store/embed")
    shutil.rmtree(tmp_path / "run/store/caption")
    with executor(machines) as ray:
        ray._settings = RaySettings(min_replicas=3, idle_seconds=1_000)
        run_pipeline(demo(tmp_path / "run"), ray)
    assert exported(tmp_path / "run") == exported(undisturbed)
