"""The layouts of others: what their readers, and ours, read back is what the corpus holds."""

from __future__ import annotations

import hashlib
import io
import json
import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq
import pytest
import webdataset
from datasets import load_dataset
from PIL import Image

import cirgen_benchmark.protocols.cirr as protocols
from cirgen.audit.corpora.open import Options, open_corpus
from cirgen.changes import save_recipe
from cirgen.errors import UserError
from cirgen.progress import Silent
from cirgen.publish.exports.corpus import DatasetFolder
from cirgen.publish.exports.webdataset import write_webdataset
from cirgen.publish.exports.write import FORMATS, MARK, Format, write_export
from cirgen.publish.images import plain_picture
from cirgen.run_folder import Run
from cirgen.sources.cirr import CIRR, CIRRSettings
from cirgen.sources.fashioniq import FashionIQ, FashionIQSettings
from cirgen.sources.webdataset import WebDataset, WebDatasetSettings
from cirgen.stages.export import export
from cirgen_benchmark.data.human import cirr_triplets, fashioniq_triplets
from commands import cirgen, said, start
from runs import make_run, with_recipe


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = make_run(tmp_path)
    save_recipe(run.folder, run.recipe)
    export(run)
    return run


def _exported(run: Run, form: Format, tmp_path: Path) -> Path:
    out = tmp_path / f"out-{form}"
    write_export(DatasetFolder(run.dataset, Silent()), form, out)
    return out


def _triplets(run: Run, split: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(
        run.dataset / "triplets" / f"{split}-00000-of-00001.parquet"
    ).to_pylist()
    return rows


def _pictures(run: Run) -> dict[str, bytes]:
    rows = pq.read_table(run.dataset / "images" / "train-00000-of-00001.parquet").to_pylist()
    return {row["image_id"]: row["image"]["bytes"] for row in rows}


def test_webdataset_reads_every_triplet_with_both_pictures(run: Run, tmp_path: Path) -> None:
    out, pictures = _exported(run, "webdataset", tmp_path), _pictures(run)
    for split in ("train", "validation", "test"):
        samples = list(webdataset.WebDataset(str(out / f"{split}-000000.tar"), shardshuffle=False, empty_check=False))
        assert [sample["__key__"] for sample in samples] == [row["triplet_id"] for row in _triplets(run, split)]
        for sample, row in zip(samples, _triplets(run, split), strict=True):
            assert sample["txt"].decode() == row["text"]
            assert json.loads(sample["json"]) == {name: value for name, value in row.items() if name != "text"}
            assert sample["reference.png"] == pictures[row["reference_id"]]
            assert sample["target.png"] == pictures[row["target_id"]]
    decoded = next(iter(webdataset.WebDataset(str(out / "train-000000.tar"), shardshuffle=False).decode("pil")))
    assert decoded["reference.png"].size[0] == 96


def test_webdataset_shards_are_cut_by_size_lose_nothing_and_are_equal_each_time(run: Run, tmp_path: Path) -> None:
    made = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        write_webdataset(DatasetFolder(run.dataset, Silent(), only=("train",)), tmp_path / name, shard_bytes=20_000)
        made.append({p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in (tmp_path / name).iterdir()})
    assert made[0] == made[1] and len(made[0]) > 2
    shards = sorted(str(path) for path in (tmp_path / "one").iterdir())
    keys = [sample["__key__"] for sample in webdataset.WebDataset(shards, shardshuffle=False)]
    assert keys == [row["triplet_id"] for row in _triplets(run, "train")]
    source = WebDataset(WebDatasetSettings(path=str(tmp_path / "one")))
    assert {hashlib.sha256(item.read()).hexdigest() for item in source.items()} <= set(_pictures(run))


def test_cirrs_readers_read_it_back(run: Run, tmp_path: Path) -> None:
    out, pictures = _exported(run, "cirr", tmp_path), _pictures(run)
    for split, name in (("train", "train"), ("validation", "val"), ("test", "test1")):
        source = CIRR(CIRRSettings(root=str(out), split=name))
        rows = _triplets(run, split)
        assert [tuple(pair) for pair in source.pairs()] == [(row["reference_id"], row["target_id"]) for row in rows]
        for item in source.items():
            assert item.read() == pictures[item.source_id]
    human = cirr_triplets(out)
    assert [(one.reference, one.target, one.texts) for one in human.triplets] == [
        (row["reference_id"], row["target_id"], (row["text"],)) for row in _triplets(run, "train")
    ]
    assert human.images.open(human.triplets[0].reference).size[0] == 96


def test_fashioniqs_readers_read_it_back(run: Run, tmp_path: Path) -> None:
    out, pictures = _exported(run, "fashioniq", tmp_path), _pictures(run)
    for split, name in (("train", "train"), ("validation", "val"), ("test", "test")):
        there = [
            category
            for category in ("dress", "shirt", "toptee")
            if json.loads((out / "captions" / f"cap.{category}.{name}.json").read_text())
        ]
        source = FashionIQ(FashionIQSettings(root=str(out), split=name, categories=tuple(there)))
        pairs = {(row["reference_id"], row["target_id"]) for row in _triplets(run, split)}
        assert sorted(tuple(pair) for pair in source.pairs()) == sorted(pairs)
        for item in source.items():
            assert item.read() == pictures[item.source_id]
    texts = {(row["reference_id"], row["target_id"]): row["texts"] for row in _triplets(run, "train")}
    for triplet in fashioniq_triplets(out).triplets:
        first, second = texts[triplet.reference, triplet.target][0], texts[triplet.reference, triplet.target][-1]
        assert set(triplet.texts) == {first, second, f"{first} and {second}", f"{second} and {first}"}


def test_cirgen_score_and_audit_take_what_was_exported(run: Run, tmp_path: Path) -> None:
    cirr, fashioniq = (_exported(run, form, tmp_path) for form in ("cirr", "fashioniq"))
    [part] = protocols.CIRR(cirr, "val").parts
    assert not part.absent
    assert [one.targets[0] for one in part.asked] == [row["target_id"] for row in _triplets(run, "validation")]
    for root, kind in ((cirr, "CIRR"), (fashioniq, "FashionIQ")):
        corpus = open_corpus(str(root), Options(None, None, None, None, (), "joined"))
        assert corpus.kind == kind
        assert {row.target for row in corpus.rows if row.split == "train"} == {
            row["target_id"] for row in _triplets(run, "train")
        }


def test_imagefolder_reads_every_split_with_both_pictures_and_all_columns(run: Run, tmp_path: Path) -> None:
    out = _exported(run, "folder", tmp_path)
    loaded = load_dataset("imagefolder", data_dir=str(out), cache_dir=str(tmp_path / "images-cache"))
    assert set(loaded) == {"train", "validation", "test"}
    for split, table in loaded.items():
        rows = _triplets(run, split)
        assert table["triplet_id"] == [row["triplet_id"] for row in rows]
        assert table["text"] == [row["text"] for row in rows]
        assert table[0]["hard_negatives"] == rows[0]["hard_negatives"]
        for name in ("reference", "target"):
            assert isinstance(table[0][name], Image.Image) and table[0][name].size[0] == 96


def test_a_copy_for_datasets_is_the_dataset(run: Run, tmp_path: Path) -> None:
    out = _exported(run, "hf", tmp_path)
    for path in run.dataset.rglob("*"):
        if path.is_file():
            assert (out / path.relative_to(run.dataset)).read_bytes() == path.read_bytes()
    assert load_dataset(str(out), split="train", cache_dir=str(tmp_path / "hf-cache")).num_rows == len(
        _triplets(run, "train")
    )


@pytest.mark.parametrize("form", ["webdataset", "cirr", "fashioniq", "folder"])
def test_licence_and_origin_of_each_picture_go_along(run: Run, tmp_path: Path, form: Format) -> None:
    out = _exported(run, form, tmp_path)
    rows = pq.read_table(out / "attribution.parquet").to_pylist()
    assert {row["image_id"] for row in rows} == set(_pictures(run))
    assert {(row["license"], row["author"]) for row in rows} == {("CC0-1.0", "A. Painter")}
    assert (out / "LICENSE").read_bytes() == (run.dataset / "LICENSE").read_bytes()
    assert (out / "CARD.md").read_text().startswith("# toys")


def test_pictures_of_other_formats_become_png() -> None:
    file = io.BytesIO()
    Image.new("RGB", (8, 6), "teal").save(file, "WEBP", lossless=True)
    suffix, content = plain_picture(file.getvalue())
    assert suffix == ".png"
    assert Image.open(io.BytesIO(content)).getpixel((0, 0)) == (0, 128, 128)


def test_a_corpus_without_pictures_takes_the_originals(run: Run, tmp_path: Path) -> None:
    export(with_recipe(run, export={"images": "none"}))
    alone = tmp_path / "alone" / "dataset"
    shutil.copytree(run.dataset, alone)
    with pytest.raises(UserError, match="This corpus goes without its images"):
        write_export(DatasetFolder(alone, Silent()), "folder", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    originals = tmp_path / "images"
    write_export(DatasetFolder(alone, Silent(), originals), "folder", tmp_path / "out")
    assert len(list((tmp_path / "out" / "train" / "images").rglob("*.png"))) == 9


@pytest.mark.parametrize("form", FORMATS)
def test_an_export_replaces_an_export_and_nothing_else(run: Run, tmp_path: Path, form: Format) -> None:
    out = _exported(run, form, tmp_path)
    (out / "stale.txt").write_text("of an earlier export")
    _exported(run, form, tmp_path)
    assert not (out / "stale.txt").exists()
    (out / MARK).unlink()
    corpus = DatasetFolder(run.dataset, Silent())
    with pytest.raises(UserError, match="holds files that no export wrote"):
        write_export(corpus, form, out)
    for place in (run.dataset, run.folder, run.dataset / "triplets"):
        with pytest.raises(UserError, match="holds the corpus itself"):
            write_export(corpus, form, place)
    with pytest.raises(UserError, match="is a file"):
        write_export(corpus, form, run.dataset / "README.md")
    assert (run.dataset / "README.md").is_file()


@pytest.mark.long
@pytest.mark.parametrize("form", ["webdataset", "folder"])
def test_an_export_that_is_killed_leaves_nothing_that_looks_finished(run: Run, tmp_path: Path, form: Format) -> None:
    dice = random.Random(form)
    whole = cirgen(tmp_path, "export", str(run.folder), "--format", form, "--out", "whole")
    assert whole.returncode == 0, whole.stderr
    for _ in range(2):
        process = start(tmp_path, "export", str(run.folder), "--format", form, "--out", "out")
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("out.*.tmp/*")) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(dice.random() * 0.05)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not (tmp_path / "out").exists() or (tmp_path / "out" / MARK).is_file()
    done = cirgen(tmp_path, "export", str(run.folder), "--format", form, "--out", "out")
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.glob("out.*"))
    one, other = (
        {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}
        for root in (tmp_path / "whole", tmp_path / "out")
    )
    assert one == other


@pytest.mark.long
def test_a_full_disk_is_told_and_leaves_nothing(run: Run, tmp_path: Path) -> None:
    arguments = ("export", str(run.folder), "--format", "webdataset", "--out", "out")
    cirgen(tmp_path, *arguments[:-1], "warm")  # what `datasets` keeps of the corpus is there
    told = said(cirgen(tmp_path, *arguments, before="ulimit -f 20"))
    assert "raise that limit and give the same command again" in told
    assert not list(tmp_path.glob("out*"))


@pytest.mark.long
def test_the_command_says_what_it_wrote_and_how_to_read_it(run: Run, tmp_path: Path) -> None:
    done = cirgen(tmp_path, "export", str(run.folder), "--format", "cirr", "--json")
    found = json.loads(done.stdout)
    assert found["folder"] == "exports/toys-cirr" and found["rows"]["train"] == len(_triplets(run, "train"))
    assert "no triplets of dev; it has train, validation, test" in said(
        cirgen(tmp_path, "export", str(run.folder), "--format", "cirr", "--split", "dev")
    )
