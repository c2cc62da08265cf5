"""The whole loop on the embedded models ends in a dataset that loads, resumes, and repeats itself byte for byte."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import cirgen
from cirgen.backends.loaded_model import LoadedModel
from cirgen.compaction import compact
from cirgen.encoders.transformers import TransformersEncoder
from cirgen.pipeline import run_pipeline
from cirgen.recipe_file import load_recipe
from cirgen.run_folder import Run
from cirgen.store import Store

pytestmark = pytest.mark.integration

IMAGES = 60
NEAREST = "pair.signals=[{kind: neighbours, per_image: 2}]"
"""Of so few figures the third nearest differs in more than a text may tell."""
KILLS = 5


def demo(folder: Path, *overrides: str, **store: Any) -> Run:
    """Return a run of the demo recipe on its first images."""
    recipe = load_recipe("demo", [NEAREST, *overrides]).recipe
    return Run(folder, recipe, Store(folder / "store", **store), limit=IMAGES)


def dataset_bytes(folder: Path) -> dict[str, bytes]:
    """Return every Parquet file of a run's dataset."""
    root = folder / "dataset"
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*.parquet"))}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    outcome = run_pipeline(demo(folder))
    assert outcome.accepted > 0
    return folder


def test_a_run_ends_in_a_dataset_that_loads_with_pictures_that_open(undisturbed: Path) -> None:
    rows = cirgen.load_triplets(undisturbed / "dataset", split="train")
    row = rows[0]
    assert row["reference"].size == row["target"].size == (192, 192)
    assert row["text"]
    assert (undisturbed / "report.html").stat().st_size > 10_000


@pytest.mark.long
def test_another_batch_size_and_flush_change_no_byte(undisturbed: Path, tmp_path: Path) -> None:
    run = demo(tmp_path, "mllm.batch_size=3", flush_rows=1)
    run_pipeline(run)
    assert dataset_bytes(tmp_path) == dataset_bytes(undisturbed)
    assert len(run.store.shards("ingest")) == 1  # of 60: many small shards are merged at the end of a stage


def forbidden(*_: Any, **__: Any) -> Any:
    raise AssertionError("a model was loaded")


def test_running_again_or_with_another_threshold_loads_no_generator(
    undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(undisturbed, folder)
    monkeypatch.setattr(LoadedModel, "generate", forbidden)
    monkeypatch.setattr(TransformersEncoder, "_encode", forbidden)
    run_pipeline(demo(folder))
    assert dataset_bytes(folder) == dataset_bytes(undisturbed)
    run_pipeline(demo(folder, "filter.7.min_yes_percentile=40"))
    assert dataset_bytes(folder) != dataset_bytes(undisturbed)


def test_a_compacted_run_resumes_without_a_model_and_exports_the_same_bytes(
    undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(undisturbed, folder)
    shutil.rmtree(folder / "derived")
    shutil.rmtree(folder / "dataset")
    run = demo(folder)
    for stage in run.store.stages():
        for shard in run.store.shards(stage):
            _split(Path(shard), rows=7)
    assert compact(run.store, many=1) > len(run.store.stages())
    assert {len(run.store.shards(stage)) for stage in run.store.stages()} == {1}
    monkeypatch.setattr(LoadedModel, "generate", forbidden)
    monkeypatch.setattr(TransformersEncoder, "_encode", forbidden)
    run_pipeline(run)
    assert dataset_bytes(folder) == dataset_bytes(undisturbed)


def test_no_name_of_a_folder_is_taken_for_a_column_or_a_pattern(
    undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "split=test" / "status=truncated" / "attempt=7" / "model=[ab]?*'é"
    for copy in (folder, folder.with_name("model=ab-é and more")):
        shutil.copytree(undisturbed, copy)
    shutil.rmtree(folder / "derived")
    shutil.rmtree(folder / "dataset")
    monkeypatch.setattr(LoadedModel, "generate", forbidden)
    monkeypatch.setattr(TransformersEncoder, "_encode", forbidden)
    run_pipeline(demo(folder))
    assert dataset_bytes(folder) == dataset_bytes(undisturbed)


def _split(shard: Path, rows: int) -> None:
    """Replace a shard by small ones."""
    for number, batch in enumerate(pq.ParquetFile(shard).iter_batches(rows)):
        pq.write_table(pa.Table.from_batches([batch]), shard.with_name(f"{number}-{shard.name}"))
    shard.unlink()


@pytest.mark.long
def test_one_changed_prompt_runs_its_own_texts_alone(undisturbed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(undisturbed, folder)
    store = Store(folder / "store")
    captions, texts = (sum(store.statuses(stage).values()) for stage in ("caption", "modify"))
    run_pipeline(demo(folder, "modify.examples=1"))
    assert sum(store.statuses("caption").values()) == captions
    assert sum(store.statuses("modify").values()) > texts


@pytest.mark.long
def test_nothing_but_measuring_needs_the_table_of_truth(undisturbed: Path, tmp_path: Path) -> None:
    """The package without its attribute table, vocabulary and grammars makes the same bytes."""
    package = tmp_path / "site" / "cirgen"
    shutil.copytree(Path(cirgen.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("prompts", "recipes", "cards"):
        shutil.copytree(Path(cirgen.__file__).parent.parent / name, tmp_path / "site" / name)
    shutil.rmtree(package / "world" / "truth")
    for module in (package / "world").glob("*.py"):
        module.unlink()
    folder = tmp_path / "run"
    start(tmp_path / "site", folder).wait()
    assert dataset_bytes(folder) == dataset_bytes(undisturbed)


SCRIPT = """
import sys
from pathlib import Path
from cirgen.pipeline import run_pipeline
from cirgen.recipe_file import load_recipe
from cirgen.run_folder import Run
from cirgen.store import Store
folder, images, *overrides = sys.argv[1:]
store = Store(Path(folder) / "store", flush_rows=10)
run = Run(Path(folder), load_recipe("demo", overrides).recipe, store, limit=int(images))
run_pipeline(run)
"""


def start(site: Path, folder: Path, *overrides: str) -> subprocess.Popen[bytes]:
    """Start a run of the package under `site` in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(site)}
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder), str(IMAGES), NEAREST, *overrides],
        env=environment,
        cwd=folder.parent,
    )


def killed_at_random(folder: Path, kills: int, draws: random.Random) -> None:
    site = Path(cirgen.__file__).parent.parent
    for _ in range(kills):
        process = start(site, folder, f"mllm.batch_size={draws.choice([1, 2, 8, 64])}")
        try:
            process.wait(timeout=draws.uniform(2, 14))
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert start(site, folder, "mllm.batch_size=5").wait() == 0


@pytest.mark.long
@pytest.mark.timeout(3_000)
@pytest.mark.parametrize("seed", range(5))
def test_runs_killed_at_random_end_in_the_same_bytes(undisturbed: Path, tmp_path: Path, seed: int) -> None:
    killed_at_random(tmp_path / "run", KILLS, random.Random(seed))
    assert dataset_bytes(tmp_path / "run") == dataset_bytes(undisturbed)
