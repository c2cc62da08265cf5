"""What `export.layouts` writes, read by loaders that know SPN4CIR's files and nothing of cirgen."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from collection_copies import FIGURES, cirr_copy, fashioniq_copy, write_shard
from PIL import Image

from cirgen.cli.summary import places
from cirgen.errors import NothingAcceptedError, UserError
from cirgen.keys import recipe_hash
from cirgen.pipeline import run_pipeline
from cirgen.recipe import Export, Layout
from cirgen.recipe_file import load_recipe
from cirgen.run_folder import Run
from cirgen.schemas import TRIPLET, VERDICT
from cirgen.shards import write_rows
from cirgen.stages.export import export
from cirgen.store import Store
from runs import make_run, toy, with_recipe

SPN4CIR = {"layouts": [{"kind": "spn4cir", "tag": "clip"}]}
FASHIONIQ = {"kind": "fashioniq", "root": "nowhere"}
CIRR = {"kind": "cirr", "root": "nowhere"}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return with_recipe(make_run(tmp_path), export=SPN4CIR)


def read_json(path: Path) -> Any:
    with path.open() as file:
        return json.load(file)


def files(folder: Path) -> dict[str, str]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}


def accepted(run: Run, split: str = "train") -> dict[tuple[str, str], set[str]]:
    """Return the accepted texts by ordered pair of image ids, from the dataset itself."""
    found: dict[tuple[str, str], set[str]] = {}
    for path in run.dataset.glob(f"triplets/{split}-*.parquet"):
        for row in pq.read_table(path).to_pylist():
            found.setdefault((row["reference_id"], row["target_id"]), set()).add(row["text"])
    return found


def by_name(run: Run) -> dict[str, dict[str, Any]]:
    return {row["aliases"][0]["source_id"]: row for row in pq.read_table(run.catalog).to_pylist()}


# Field sets and types


def test_fashioniq_entries_have_the_fields_of_the_release(run: Run) -> None:
    run = with_recipe(run, images=FASHIONIQ)
    export(run)
    assert sorted(files(run.layouts)) == ["captions/cap.extend_clip.train.json", "manifest.json"]
    rows = read_json(run.layouts / "captions" / "cap.extend_clip.train.json")
    pictures = by_name(run)
    for row in rows:
        assert list(row) == ["target", "candidate", "captions", "caption1", "caption2"]
        assert (row["caption1"], row["caption2"]) == tuple(
            f"a {toy(pictures[row[end]])}" for end in ("candidate", "target")
        )
    told = {(pictures[row["candidate"]]["image_id"], pictures[row["target"]]["image_id"]): row for row in rows}
    assert len(told) == len(rows)
    assert {pair: set(row["captions"]) for pair, row in told.items()} == accepted(run)
    assert rows == sorted(rows, key=lambda row: (row["candidate"], row["target"]))


def test_cirr_entries_have_the_fields_of_the_release(run: Run) -> None:
    run = with_recipe(run, images=CIRR)
    export(run)
    assert sorted(files(run.layouts)) == ["captions/cap.rc2.train.extend_clip.json", "manifest.json"]
    rows = read_json(run.layouts / "captions" / "cap.rc2.train.extend_clip.json")
    pictures = by_name(run)
    for row in rows:
        assert list(row) == ["target_hard", "reference", "caption", "pairid", "img_set", "caption1", "caption2"]
        assert (row["pairid"], row["img_set"]) == (0, {"members": ["xxx"]})
    told = {(pictures[row["reference"]]["image_id"], pictures[row["target_hard"]]["image_id"]): row for row in rows}
    assert {pair: set(row["caption"]) for pair, row in told.items()} == accepted(run)


def test_entries_of_other_sources_name_picture_files_and_serve_both_benchmarks(run: Run) -> None:
    export(run)
    names = ["captions/cap.cc.train.json", "captions/cap.rc2.train.cc.json"]
    assert sorted(files(run.layouts)) == [*names, "manifest.json"]
    rows, same = (read_json(run.layouts / name) for name in names)
    assert rows == same
    assert len(rows) == len(accepted(run))
    for row in rows:
        assert list(row) == ["target", "reference", "reference_name", "target_name", "captions"]
        for end in ("reference", "target"):
            assert Path(row[end]).is_absolute()
            assert Path(row[end]).name == row[f"{end}_name"]


def test_the_texts_of_a_pair_come_in_the_order_of_the_prompts(run: Run) -> None:
    run = with_recipe(run, images=FASHIONIQ, modify={"prompts": ["spn-unlike", "spn-instead"]})
    triplets = pq.read_table(run.triplets).to_pylist()
    first = next(row for row in triplets if row["text"].startswith("show") and row["split"] == "train")
    said = {"a": "spn-instead@1", "b": "spn-unlike@1", "c": "spn-instead@1"}
    triplets += [{**first, "triplet_id": name * 64, "text": name, "prompt": said[name]} for name in said]
    write_rows(run.triplets, triplets, TRIPLET)
    fresh = [{"triplet_id": name * 64, "reason": "", "scores": {}} for name in said]
    write_rows(run.verdicts, [*_verdicts(run), *fresh], VERDICT)
    export(run)
    captions = [row["captions"] for row in read_json(run.layouts / "captions" / "cap.extend_clip.train.json")]
    assert ["b", "a", "c", first["text"]] in captions


def _verdicts(run: Run) -> list[dict[str, Any]]:
    return [{**row, "scores": dict(row["scores"])} for row in pq.read_table(run.verdicts).to_pylist()]


# Of the folder as a whole


def test_the_manifest_says_what_made_the_layouts_and_hashes_every_other_file(run: Run) -> None:
    export(run)
    found = files(run.layouts)
    found.pop("manifest.json")
    manifest = read_json(run.layouts / "manifest.json")
    assert manifest["files"] == found
    assert (manifest["recipe_hash"], manifest["split"]) == ("r" * 64, "train")
    assert manifest["entries"] == len(accepted(run))


def test_two_exports_are_byte_for_byte_the_same_and_the_dataset_does_not_change(run: Run) -> None:
    export(with_recipe(run, export={}))
    plain = {name: value for name, value in files(run.dataset).items() if name.startswith("triplets/")}
    export(run)
    first = files(run.layouts)
    export(run)
    assert files(run.layouts) == first
    assert {name: value for name, value in files(run.dataset).items() if name.startswith("triplets/")} == plain
    assert not [name for name in files(run.dataset) if "cap." in name]
    plain_recipe = with_recipe(run, export={}).recipe
    assert recipe_hash(run.recipe.resolved(), {}, {}) == recipe_hash(plain_recipe.resolved(), {}, {})


def test_a_file_goes_by_the_name_of_the_recipe_unless_it_has_a_tag(run: Run) -> None:
    export(with_recipe(run, images=CIRR, export={"layouts": [{"kind": "spn4cir"}, {"kind": "spn4cir", "tag": "zs"}]}))
    names = sorted(path.name for path in (run.layouts / "captions").iterdir())
    assert names == ["cap.rc2.train.extend_toys.json", "cap.rc2.train.extend_zs.json"]


@pytest.mark.parametrize("layouts", [[{"kind": "spn4cir"}] * 2, [{"tag": "../away"}], [{"kind": "other"}]])
def test_layouts_that_make_no_sense_are_refused(layouts: list[dict[str, str]]) -> None:
    with pytest.raises(ValueError, match="layouts"):
        Export.model_validate({"layouts": layouts})
    assert Layout().tag is None


def test_layouts_of_earlier_settings_go_with_the_settings(run: Run) -> None:
    export(run)
    assert places(run)["layouts"] == str(run.layouts)
    export(with_recipe(run, export={}))
    assert not run.layouts.exists()
    assert "layouts" not in places(run)
    export(run)
    write_rows(run.verdicts, [{**row, "reason": "lint: odd"} for row in _verdicts(run)], VERDICT)
    with pytest.raises(NothingAcceptedError):
        export(run)
    assert not run.layouts.exists()


def test_a_training_split_without_a_triplet_is_an_empty_list(run: Run) -> None:
    rejected = {row["triplet_id"] for row in pq.read_table(run.triplets).to_pylist() if row["split"] == "train"}
    rows = [{**row, "reason": "lint: odd"} if row["triplet_id"] in rejected else row for row in _verdicts(run)]
    write_rows(run.verdicts, rows, VERDICT)
    export(run)
    assert read_json(run.layouts / "captions" / "cap.cc.train.json") == []


# Loaders as SPN4CIR's: independent of cirgen, written from the description of its files


@dataclass
class Sample:
    """What training sees of one triplet."""

    reference: Image.Image
    text: str
    target: Image.Image


def draw_text(captions: list[str], human: bool, chance: random.Random) -> str:
    """Join the two captions of a human FashionIQ triplet, or take one of them; of others draw one."""
    if not human:
        return chance.choice(captions)
    one, other = (caption.strip(".?, ") for caption in captions)
    return chance.choice([f"{one} and {other}", f"{other} and {one}", one, other])


def load_fashioniq(root: Path, tag: str) -> list[Sample]:
    human = [
        row
        for category in ("dress", "shirt", "toptee")
        for row in read_json(root / f"captions/cap.{category}.train.json")
    ]
    rows = [*human, *read_json(root / f"captions/cap.extend_{tag}.train.json")]
    chance = random.Random(42)
    return [
        Sample(
            Image.open(root / "images" / f"{row['candidate']}.png"),
            draw_text(row["captions"], number < len(human), chance),
            Image.open(root / "images" / f"{row['target']}.png"),
        )
        for number, row in enumerate(rows)
    ]


def load_cirr(root: Path, tag: str) -> list[Sample]:
    captions = root / "cirr" / "captions"
    places = read_json(root / "cirr/image_splits/split.rc2.train.json")
    samples = []
    chance = random.Random(42)
    for row in [
        *read_json(captions / "cap.rc2.train.json"),
        *read_json(captions / f"cap.rc2.train.extend_{tag}.json"),
    ]:
        texts = [row["caption"]] if isinstance(row["caption"], str) else row["caption"]
        assert isinstance(row["pairid"], int) and row["img_set"]["members"]
        ends = (Image.open(root / places[row[end]]) for end in ("reference", "target_hard"))
        samples.append(Sample(next(ends), chance.choice(texts), next(ends)))
    return samples


def load_cc(path: Path) -> list[Sample]:
    rows = read_json(path)
    ids = {name: n for n, name in enumerate({row[f"{end}_name"] for row in rows for end in ("reference", "target")})}
    assert len(ids) == len({row[end] for row in rows for end in ("reference", "target")}), "a name is one picture"
    chance = random.Random(42)
    return [
        Sample(Image.open(row["reference"]), chance.choice(row["captions"]), Image.open(row["target"])) for row in rows
    ]


# From a copy of a benchmark to training, with the models that ship

OWN_MODELS = ["mllm.model=cirgen:mllm", "mllm.dtype=float32", "encoder.model=cirgen:filter-encoder"]
NEAR = ["pair.signals=[{kind: rank_percent, lower: 20, upper: 60}]"]


def ran(folder: Path, recipe: str, *overrides: str) -> Run:
    loaded = load_recipe(recipe, [*OWN_MODELS, *overrides])
    run = Run(folder, loaded.recipe, Store(folder / "store"))
    run_pipeline(run)
    return run


def is_what_the_run_accepted(samples: Iterable[Sample], run: Run) -> bool:
    """Whether the pictures open, and each text is an accepted one of its pair, every pair once."""
    ids = {row["image_id"] for row in pq.read_table(run.catalog).to_pylist()}
    texts = accepted(run)
    seen = []
    for sample in samples:
        pair = tuple(
            hashlib.sha256(Path(end.filename).read_bytes()).hexdigest() for end in (sample.reference, sample.target)
        )  # type: ignore[attr-defined]
        sample.reference.load()
        sample.target.load()
        assert set(pair) <= ids
        assert sample.text in texts[pair]  # type: ignore[index]
        seen.append(pair)
    return sorted(seen) == sorted(texts)  # type: ignore[type-var]


@pytest.mark.integration
def test_code_that_knows_fashioniq_alone_trains_on_a_run_of_the_papers_recipe(tmp_path: Path) -> None:
    root = fashioniq_copy(tmp_path / "fashionIQ_dataset")
    run = ran(tmp_path / "run", "spn4cir/fashioniq-clip", f"images.root={root}", *NEAR)
    assert sum(map(len, accepted(run).values())) == 15, "every reference of a human triplet, and no other image"
    shutil.copytree(run.layouts / "captions", root / "captions", dirs_exist_ok=True)
    samples = load_fashioniq(root, "clip")
    assert len(samples) == 15 + 15
    assert is_what_the_run_accepted(samples[15:], run)
    catalog = by_name(run)
    assert set(catalog) == {f"B{number}{place:03d}" for number in range(3) for place in range(10)}


@pytest.mark.integration
def test_code_that_knows_cirr_alone_trains_on_a_run_of_the_papers_recipe(tmp_path: Path) -> None:
    root = cirr_copy(tmp_path / "cirr_dataset")
    run = ran(tmp_path / "run", "spn4cir/cirr-tgcir", f"images.root={root}", *NEAR)
    shutil.copytree(run.layouts / "captions", root / "cirr" / "captions", dirs_exist_ok=True)
    samples = load_cirr(root, "tgcir")
    assert len(samples) == 23 + 24
    assert is_what_the_run_accepted(samples[23:], run)
    for row in read_json(run.layouts / "captions" / "cap.rc2.train.extend_tgcir.json"):
        one, other = row["caption1"], row["caption2"]
        assert row["caption"] == [f"{other} instead of {one}", f"Unlike {one}, I want {other}"]


@pytest.mark.integration
def test_a_filtered_twin_captions_nothing_again_after_its_original(tmp_path: Path) -> None:
    overrides = [f"images.root={cirr_copy(tmp_path / 'cirr_dataset')}", *NEAR]
    original = ran(tmp_path / "run", "spn4cir/cirr-clip", *overrides)
    captions = _shards(original, "caption")
    shutil.copytree(original.store.root, tmp_path / "twin" / "store")
    twin = ran(tmp_path / "twin", "spn4cir/cirr-clip-filtered", *overrides)
    assert _shards(twin, "caption") == captions
    whole, kept = accepted(original), accepted(twin)
    assert 0 < sum(map(len, kept.values())) < sum(map(len, whole.values()))
    assert all(texts <= whole[pair] for pair, texts in kept.items())


def _shards(run: Run, stage: str) -> set[str]:
    return {Path(path).name for path in run.store.shards(stage)}


@pytest.mark.integration
def test_pictures_in_tar_files_get_files_of_their_own_and_their_urls_as_names(tmp_path: Path) -> None:
    (tmp_path / "cc3m").mkdir()
    for part in (0, 64, 128, 192):
        write_shard(tmp_path / "cc3m" / f"part_{part}.tar", FIGURES[part // 8 : part // 8 + 6], part)
    write_shard(tmp_path / "cc3m" / "part_1.tar", FIGURES[32:], 1)
    run = ran(tmp_path / "run", "spn4cir/fashioniq-cc3m", f"images.path={tmp_path / 'cc3m'}")
    samples = load_cc(run.layouts / "captions" / "cap.cc.train.json")
    assert len(samples) == 24, "one for each picture of four parts"
    assert is_what_the_run_accepted(samples, run)
    rows = read_json(run.layouts / "captions" / "cap.cc.train.json")
    assert all(row["target_name"].startswith("https://example.org/") for row in rows)
    shutil.rmtree(tmp_path / "cc3m")
    with pytest.raises(UserError, match=r"can no longer be read .* take export\.layouts out"):
        export(run)
