"""A damaged file of a run is named in one sentence, and the way out that it names works."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from commands import cirgen, said

pytestmark = pytest.mark.integration

NEAREST = "pair.signals=[{kind: neighbours, per_image: 2}]"
"""Of so few figures the third nearest differs in more than a text may tell."""
RUN = ("run", "demo", "--limit", "24", "--set", NEAREST, "--output", "run")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    done = cirgen(folder, *RUN)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished / "run", tmp_path / "run")
    return tmp_path


def table(folder: Path, place: str) -> Path:
    return next((folder / "run").glob(place))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def scrambled(path: Path) -> None:
    """Damage the rows, which the footer at the end does not tell of."""
    content = path.read_bytes()
    path.write_bytes(content[:200] + bytes(255 - byte for byte in content[200:2000]) + content[2000:])


def datasets(folder: Path) -> dict[str, bytes]:
    root = folder / "run" / "dataset"
    return {path.name: path.read_bytes() for path in sorted(root.rglob("*.parquet"))}


@pytest.mark.long
@pytest.mark.parametrize("damage", [cut, scrambled])
def test_a_damaged_shard_is_named_and_moved_away_its_rows_are_made_again(
    finished: Path, folder: Path, damage: Callable[[Path], None]
) -> None:
    shard = table(folder, "store/caption/*.parquet")
    damage(shard)
    for command in (("status", "run"), RUN)[: 1 if damage is cut else 2]:
        assert f"{shard.relative_to(folder)} is damaged" in said(cirgen(folder, *command))
    shard.rename(folder / "away.parquet")
    done = cirgen(folder, *RUN)
    assert done.returncode == 0, done.stderr
    assert "Caption images" in done.stderr
    assert datasets(folder) == datasets(finished)


@pytest.mark.long
def test_a_file_that_is_no_shard_of_its_stage_is_named(folder: Path) -> None:
    notes = folder / "run/store/ingest/notes.parquet"
    pq.write_table(pa.table({"note": ["mine"]}), notes)
    other = Path(shutil.copy(table(folder, "store/modify/*.parquet"), folder / "run/store/embed/other.parquet"))
    for path, command in ((other, RUN), (notes, ("status", "run"))):
        assert f"{path.relative_to(folder)} is not what the folder" in said(cirgen(folder, *command))
        path.unlink()
    assert cirgen(folder, "status", "run").returncode == 0


@pytest.mark.long
def test_facts_that_were_cut_off_are_named_and_written_anew(folder: Path) -> None:
    facts = folder / "run/run.json"
    cut(facts)
    for command in (("status", "run"), RUN):
        assert "run/run.json is damaged: move it away" in said(cirgen(folder, *command))
    facts.unlink()
    assert cirgen(folder, *RUN).returncode == 0
    assert "recipe_hash" in json.loads(facts.read_text())


@pytest.mark.long
@pytest.mark.parametrize("name", ["verdicts.parquet", "image_vectors.npy"])
def test_a_damaged_table_is_named_and_made_anew_by_a_run(finished: Path, folder: Path, name: str) -> None:
    emptied(folder / "run/derived" / name)
    for command in ("status", "report", "retry"):
        assert f"run/derived/{name} is damaged" in said(cirgen(folder, command, "run"))
    assert cirgen(folder, *RUN).returncode == 0
    assert datasets(folder) == datasets(finished)


def test_a_file_where_the_folder_should_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("mine")
    assert "needs a folder, and run is a file" in said(cirgen(tmp_path, *RUN))
    assert "is a file" in said(cirgen(tmp_path, *RUN[:-1], "run/below"))
    assert (tmp_path / "run").read_text() == "mine"


@pytest.mark.long
def test_a_start_that_finds_no_model_changes_nothing_of_what_the_folder_remembers(folder: Path) -> None:
    recipe, facts = (folder / "run" / name for name in ("recipe.yaml", "run.json"))
    before = recipe.read_bytes(), facts.read_bytes()
    assert "no/such" in said(cirgen(folder, *RUN, "--set", "mllm.model=no/such"))
    assert (recipe.read_bytes(), facts.read_bytes()) == before
    done = cirgen(folder, *RUN)
    assert done.returncode == 0
    assert "The recipe changed" not in done.stderr
