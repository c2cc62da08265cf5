from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq
import pytest

from cirgen import load_triplets
from cirgen.errors import UserError
from cirgen.run_folder import Run
from cirgen.schemas import CATALOG
from cirgen.shards import write_rows
from cirgen.stages.export import export
from runs import make_run, toy, with_recipe


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = make_run(tmp_path)
    export(run)
    return run


def _color(run: Run, image_id: str) -> str:
    catalog = {row["image_id"]: row for row in pq.read_table(run.catalog).to_pylist()}
    return toy(catalog[image_id]).split()[0]


MIDDLE = {
    "red": (255, 0, 0),
    "green": (0, 128, 0),
    "blue": (0, 0, 255),
    "gold": (255, 215, 0),
    "purple": (128, 0, 128),
    "teal": (0, 128, 128),
}


def _check(run: Run, row: dict[str, Any]) -> None:
    for end in ("reference", "target"):
        image = row[end]
        assert image.mode == "RGB"
        assert image.getpixel((45, 32)) == MIDDLE[_color(run, row[f"{end}_id"])]


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_every_row_has_the_pictures_its_ids_name(run: Run, split: str) -> None:
    rows = load_triplets(run.dataset, split)
    assert len(rows) > 0
    for row in rows:
        _check(run, row)
        assert row["text"].startswith("show a ")


def test_shuffled_selected_and_sliced_rows_keep_their_pictures(run: Run) -> None:
    rows = load_triplets(str(run.dataset)).shuffle(seed=3).select(range(5))
    for row in rows:
        _check(run, row)
    assert [image.size for image in rows[:5]["reference"]] == [row["reference"].size for row in rows]
    assert all(isinstance(text, str) for text in rows["text"])


def test_rows_travel_to_workers(run: Run) -> None:
    _check(run, pickle.loads(pickle.dumps(load_triplets(run.dataset)))[0])


def test_rejected_triplets_load_with_their_pictures_too(run: Run) -> None:
    row = load_triplets(run.dataset, config="rejected")[0]
    assert row["reason"]
    _check(run, row)


def test_a_corpus_without_images_takes_them_from_the_originals(run: Run) -> None:
    export(with_recipe(run, export={"images": "none"}))
    with pytest.raises(UserError, match="give `images`"):
        load_triplets(run.dataset)
    originals = run.folder.parent / "images"
    rows = load_triplets(run.dataset, images=originals)
    _check(run, rows[0])
    for path in originals.iterdir():
        path.write_bytes(b"another file of the same name")
    with pytest.raises(UserError, match="No original of image"):
        rows[0]


def test_a_corpus_without_images_says_which_folder_is_meant_and_what_else_helps(run: Run) -> None:
    export(with_recipe(run, export={"images": "none"}))
    with pytest.raises(UserError) as raised:
        load_triplets(run.dataset)
    told = str(raised.value)
    assert "its source 'images', such as '" in told and ".png'" in told
    assert str(run.folder.parent) not in told
    assert "'export.images: embed' and their licence under 'images.license'" in told
    with pytest.raises(UserError, match=r"There is no folder .*nowhere"):
        load_triplets(run.dataset, images=run.folder / "nowhere")


def test_a_corpus_within_its_run_knows_the_folder_that_the_recipe_names(run: Run) -> None:
    export(with_recipe(run, export={"images": "none"}))
    recipe = run.folder / "recipe.yaml"
    recipe.write_text(f"images: {{kind: folder, path: {run.folder.parent / 'images'}}}")
    _check(run, load_triplets(run.dataset)[0])
    for useless in ("images: {kind: folder, path: gone}", "images: {kind: dataset, path: images}", "[", "images: 3"):
        recipe.write_text(useless)
        with pytest.raises(UserError, match="This corpus goes without its images"):
            load_triplets(run.dataset)


def test_originals_are_found_by_name_wherever_they_lie_in_the_folder(run: Run, tmp_path: Path) -> None:
    rows = pq.read_table(run.catalog).to_pylist()
    for row in rows:  # as benchmarks do it: names without a suffix
        row["aliases"][0]["source_id"] = Path(row["aliases"][0]["source_id"]).stem
    write_rows(run.catalog, rows, CATALOG)
    export(with_recipe(run, export={"images": "none"}))
    for number, row in enumerate(rows):
        moved = tmp_path / "copy" / str(number % 3) / Path(row["path"]).name
        moved.parent.mkdir(parents=True, exist_ok=True)
        moved.write_bytes(Path(row["path"]).read_bytes())
    (tmp_path / "copy" / "0" / "red-box-0.jpg").write_bytes(b"another picture of that name")
    loaded = load_triplets(run.dataset, images=tmp_path / "copy")
    for row in pickle.loads(pickle.dumps(loaded)):
        _check(run, row)


def test_a_corpus_of_links_reads_what_they_point_to(run: Run) -> None:
    export(with_recipe(run, export={"images": "link"}))
    rows = load_triplets(run.dataset)
    _check(run, rows[0])
    for path in (run.folder.parent / "images").iterdir():
        path.unlink()
    with pytest.raises(UserError, match="links to a picture that cannot be read"):
        rows[0]


def test_a_wrong_name_is_answered_with_what_there_is(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no triplets/dev; it has triplets: train, validation, test"):
        load_triplets(run.dataset, "dev")
    with pytest.raises(UserError, match="no captions/train; it has configs triplets, images"):
        load_triplets(run.dataset, config="captions")
    with pytest.raises(UserError, match="no corpus at"):
        load_triplets(tmp_path / "nowhere")


def test_importing_cirgen_imports_no_heavy_library() -> None:
    program = "import cirgen, sys; print({'datasets', 'pyarrow', 'torch', 'PIL'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_a_run_stands_for_its_dataset(run: Run) -> None:
    (run.folder / "recipe.yaml").write_text(f"images: {{kind: folder, path: {run.folder.parent / 'images'}}}")
    assert load_triplets(run.folder)[0]["triplet_id"] == load_triplets(run.dataset)[0]["triplet_id"]
    export(with_recipe(run, export={"images": "none"}))
    _check(run, load_triplets(run.folder)[0])
    shutil.rmtree(run.dataset)
    with pytest.raises(UserError, match="has no dataset yet; go on with `cirgen run`"):
        load_triplets(run.folder)


def test_a_folder_of_something_else_is_told(tmp_path: Path) -> None:
    write_rows(tmp_path / "else" / "rows.parquet", [], CATALOG)
    with pytest.raises(UserError, match="is no corpus that cirgen wrote; give a run, its dataset folder"):
        load_triplets(tmp_path / "else")


def test_a_run_that_is_not_there_is_not_looked_for_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "runs").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"There is no corpus at 'runs/dmo': correct the path"):
        load_triplets("runs/dmo")
