from __future__ import annotations

import hashlib
import io
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, Features, get_dataset_config_names, get_dataset_split_names, load_dataset
from huggingface_hub import DatasetCard
from PIL import Image
from ruamel.yaml import YAML

from cirgen.errors import UserError
from cirgen.publish import tables
from cirgen.publish.card import cell, fenced, size_category
from cirgen.publish.features import IMAGE, card_features, features
from cirgen.publish.folder import replaced_folder
from cirgen.publish.license import by_license, card_license, license_file
from cirgen.publish.parquet import write_split
from cirgen.publish.tables import IMAGES, SPLITS, score_column
from cirgen.recipe import Recipe
from cirgen.run_folder import Run
from cirgen.schemas import TRIPLET, VERDICT
from cirgen.shards import write_rows
from cirgen.stages.export import accepted_count, export
from runs import make_run, toy, with_recipe

FIRST_COLUMNS = ["triplet_id", "reference_id", "text", "target_id"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return make_run(tmp_path)


@pytest.fixture
def load(tmp_path: Path) -> Any:
    def load(run: Run, config: str | None = None, split: str = "train") -> Dataset:
        return load_dataset(str(run.dataset), config, split=split, cache_dir=str(tmp_path / "cache"))

    return load


def _files(folder: Path) -> dict[str, str]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}


def _rows(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


def test_every_config_and_split_loads_with_datasets_and_every_image_opens(run: Run, load: Any) -> None:
    export(run)
    configs = get_dataset_config_names(str(run.dataset))
    assert configs == ["triplets", "images", "preview", "rejected"]
    for config in configs:
        for split in get_dataset_split_names(str(run.dataset), config):
            rows = load(run, config, split)
            assert len(rows) > 0
            for row in rows:
                for value in row.values():
                    if isinstance(value, Image.Image):
                        value.load()
    assert {row["image"].size for row in load(run, "images")} == {(96, 64), (96, 65)}


def test_triplets_is_what_loads_without_a_config_and_opens_with_the_four_columns(run: Run, load: Any) -> None:
    export(run)
    assert load(run).column_names[:4] == FIRST_COLUMNS


def test_accepted_and_rejected_together_are_every_planned_triplet_once(run: Run, load: Any) -> None:
    export(run)
    ids: list[str] = []
    for config in ("triplets", "rejected"):
        for split in get_dataset_split_names(str(run.dataset), config):
            rows = load(run, config, split)
            assert rows["triplet_id"] == sorted(rows["triplet_id"])
            ids += rows["triplet_id"]
    assert sorted(ids) == [row["triplet_id"] for row in _rows(run.triplets)]


def test_a_rejected_triplet_says_why_and_keeps_the_scores_it_got(run: Run, load: Any) -> None:
    export(run)
    by_reason = {row["reason"]: row for split in SPLITS for row in load(run, "rejected", split)}
    assert by_reason["lint: too short"]["score_lint_words"] == 1.0
    assert by_reason["generation: truncated"]["score_lint_words"] is None


def test_no_image_is_in_two_splits(run: Run, load: Any) -> None:
    export(run)
    seen: dict[str, str] = {}
    for split in ("train", "validation", "test"):
        for row in load(run, "triplets", split):
            for image_id in (row["reference_id"], row["target_id"], *row["positive_ids"]):
                assert seen.setdefault(image_id, split) == split


def test_near_duplicates_of_the_target_are_positives_and_never_hard_negatives(run: Run, load: Any) -> None:
    export(run)
    catalog = {row["image_id"]: row for row in _rows(run.catalog)}
    twins = {image_id for image_id, row in catalog.items() if toy(row) == "red ball"}
    assert len(twins) == 2
    for row in load(run):
        positives = set(row["positive_ids"])
        if row["target_id"] in twins:
            assert twins - {row["target_id"]} <= positives
        assert not positives & {row["reference_id"], row["target_id"]}
        assert not (positives | {row["target_id"]}) & {n["image_id"] for n in row["hard_negatives"]}


def test_other_accepted_targets_of_the_same_query_are_positives(run: Run, load: Any) -> None:
    triplets = _rows(run.triplets)
    one, other = _two_targets_of_one_reference(triplets)
    other["text"] = one["text"]
    write_rows(run.triplets, triplets, TRIPLET)
    export(run)
    published = {row["triplet_id"]: row for row in load(run)}
    assert other["target_id"] in published[one["triplet_id"]]["positive_ids"]
    assert one["target_id"] in published[other["triplet_id"]]["positive_ids"]


def _two_targets_of_one_reference(triplets: list[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    good = [row for row in triplets if row["text"].startswith("show") and row["split"] == "train"]
    one = good[0]
    return one, next(
        row
        for row in good
        if row["reference_id"] == one["reference_id"] and row["target_group"] != one["target_group"]
    )


def test_texts_are_all_accepted_texts_of_the_ordered_pair(run: Run, load: Any) -> None:
    triplets = _rows(run.triplets)
    first = next(row for row in triplets if row["text"].startswith("show") and row["split"] == "train")
    triplets.append({**first, "triplet_id": "f" * 64, "text": "another way to say so"})
    write_rows(run.triplets, triplets, TRIPLET)
    write_rows(run.verdicts, [*_verdicts(run), {"triplet_id": "f" * 64, "reason": "", "scores": {}}], VERDICT)
    export(run)
    row = next(row for row in load(run) if row["triplet_id"] == first["triplet_id"])
    assert row["texts"] == sorted(["another way to say so", first["text"]])


def _verdicts(run: Run) -> list[dict[str, Any]]:
    return [{**row, "scores": dict(row["scores"])} for row in _rows(run.verdicts)]


def test_images_hold_what_triplets_name_with_captions_and_the_hash_of_their_bytes(run: Run) -> None:
    export(run)
    named: set[str] = set()
    for path in [*run.dataset.glob("triplets/*"), *run.dataset.glob("rejected/*")]:
        for row in _rows(path):
            named |= {row["reference_id"], row["target_id"], *row["positive_ids"]}
            named |= {negative["image_id"] for negative in row["hard_negatives"]}
    images = _rows(run.dataset / "images" / "train-00000-of-00001.parquet")
    assert [row["image_id"] for row in images] == sorted(named)
    for row in images:
        content = row["image"]["bytes"]
        assert row["sha256"] == row["image_id"] == hashlib.sha256(content).hexdigest()
        assert row["caption"] == ("" if toy(row) == "teal box" else f"a {toy(row)}")
        assert (row["license"], row["author"]) == ("CC0-1.0", "A. Painter")


def test_large_images_are_scaled_down_and_small_ones_stay_as_they_are(run: Run) -> None:
    export(with_recipe(run, export={"max_side": 48}))
    for row in _rows(run.dataset / "images" / "train-00000-of-00001.parquet"):
        with Image.open(io.BytesIO(row["image"]["bytes"])) as image:
            assert image.size == (row["width"], row["height"])
            assert max(image.size) == 48
        assert row["sha256"] == hashlib.sha256(row["image"]["bytes"]).hexdigest() != row["image_id"]


def test_images_of_unknown_licence_stay_out_unless_the_recipe_says_so(tmp_path: Path, load: Any) -> None:
    run = make_run(tmp_path, license="")
    export(run)
    images = load(run, "images")
    assert "image" not in images.column_names and "sha256" not in images.column_names
    assert "preview" not in get_dataset_config_names(str(run.dataset))
    export(with_recipe(run, export={"images": "embed"}))
    assert load(run, "images")[0]["image"].size[0] == 96
    assert "license: other" in (run.dataset / "README.md").read_text()


def test_linked_images_open_from_where_they_lie(run: Run, load: Any) -> None:
    export(with_recipe(run, export={"images": "link"}))
    assert all(cell["bytes"] is None for cell in pq.read_table(run.dataset / "images").column("image").to_pylist())
    assert load(run, "images")[0]["image"].size[0] == 96


def test_two_exports_are_byte_for_byte_the_same(run: Run) -> None:
    export(run)
    first = _files(run.dataset)
    export(run)
    assert _files(run.dataset) == first


def test_rows_that_are_joined_a_few_at_a_time_are_the_same_bytes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """As those of millions of triplets are, whose lists would not fit into memory."""
    export(run)
    at_once = _files(run.dataset)
    monkeypatch.setattr(tables, "PART_ROWS", 2)
    assert len(tables._spans(pq.read_metadata(run.triplets).num_rows // 2)) > 2
    export(run)
    sizes = ("README.md", "manifest.json")  # they tell what rows take in memory, which depends on how they come
    assert {**_files(run.dataset), **{name: at_once[name] for name in sizes}} == at_once


def test_the_manifest_has_the_hash_of_every_other_file(run: Run) -> None:
    export(run)
    manifest = json.loads((run.dataset / "manifest.json").read_text())
    files = _files(run.dataset)
    files.pop("manifest.json")
    assert manifest["files"] == files
    assert manifest["recipe_hash"] == "r" * 64
    assert manifest["models"][0] == {
        "role": "mllm",
        "model": "example/small-mllm",
        "revision": "abc123",
        "content": "m" * 64,
    }
    assert (
        manifest["counts"]["accepted"]
        == accepted_count(run)
        == sum(rows for name, rows in manifest["rows"].items() if name.startswith("triplets/"))
    )


def test_the_recipe_in_the_dataset_is_the_recipe(run: Run) -> None:
    run = with_recipe(run, images={**run.recipe.images.model_dump(), "path": "images"})
    export(run)
    assert Recipe.model_validate(YAML(typ="safe").load(run.dataset / "recipe.yaml")) == run.recipe


def test_empty_splits_and_configs_leave_no_trace(run: Run) -> None:
    triplets = [row for row in _rows(run.triplets) if row["split"] == "train" and row["text"].startswith("show")]
    kept = {row["triplet_id"] for row in triplets}
    write_rows(run.triplets, triplets, TRIPLET)
    write_rows(run.verdicts, [row for row in _verdicts(run) if row["triplet_id"] in kept], VERDICT)
    export(with_recipe(run, export={"preview": 0}))
    assert sorted(path.name for path in run.dataset.iterdir() if path.is_dir()) == ["card", "images", "triplets"]
    assert get_dataset_split_names(str(run.dataset), "triplets") == ["train"]


def test_rejected_triplets_and_the_images_only_they_name_can_be_left_out(run: Run) -> None:
    export(with_recipe(run, export={"rejected": False}))
    assert not (run.dataset / "rejected").exists()


def test_nothing_accepted_means_no_dataset_and_one_sentence_with_the_reason(run: Run) -> None:
    export(run)
    write_rows(run.verdicts, [{**row, "reason": row["reason"] or "lint: odd"} for row in _verdicts(run)], VERDICT)
    with pytest.raises(UserError, match=r"most frequent reason is 'lint: odd'.*report\.html"):
        export(run)
    assert accepted_count(run) == 0
    assert not run.dataset.exists()


def test_a_triplet_without_a_verdict_is_an_error_not_a_row(run: Run) -> None:
    write_rows(run.verdicts, _verdicts(run)[1:], VERDICT)
    with pytest.raises(Exception, match="has no verdict"):
        export(run)


def test_an_image_that_changed_is_named_and_the_old_dataset_stays(run: Run) -> None:
    export(run)
    before = _files(run.dataset)
    for path in (run.folder.parent / "images").iterdir():
        path.write_bytes(b"other")
    with pytest.raises(UserError, match=r"can no longer be read .* restore its file"):
        export(run)
    assert _files(run.dataset) == before
    assert [path.name for path in run.folder.iterdir() if path.name.startswith("dataset")] == ["dataset"]


def test_a_killed_export_leaves_the_old_dataset_or_the_new_one(run: Run) -> None:
    export(run)
    good = {json.dumps(_files(run.dataset), sort_keys=True)}
    other = with_recipe(run, name="other")
    export(other)
    good.add(json.dumps(_files(run.dataset), sort_keys=True))
    assert len(good) == 2
    program = (
        "import sys, pickle\nfrom cirgen.stages.export import export\n"
        "runs = pickle.load(open(sys.argv[1], 'rb'))\nprint('ready', flush=True)\n"
        "while True:\n    [export(run) for run in runs]\n"
    )
    saved = run.folder / "runs.pickle"
    import pickle

    saved.write_bytes(pickle.dumps([run, other]))
    moments = random.Random(0)
    for _ in range(4):
        with subprocess.Popen([sys.executable, "-c", program, str(saved)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None and process.stdout.readline() == b"ready\n"
            time.sleep(moments.uniform(0.05, 0.6))
            process.send_signal(signal.SIGKILL)
        assert json.dumps(_files(run.dataset), sort_keys=True) in good


def test_without_exchange_an_interrupted_swap_is_mended_by_the_next_build(tmp_path: Path) -> None:
    folder, aside = tmp_path / "dataset", tmp_path / "dataset.0123456789ab.old"
    aside.mkdir()
    (aside / "a").write_text("old")
    with pytest.raises(RuntimeError), replaced_folder(folder):
        raise RuntimeError
    assert (folder / "a").read_text() == "old"
    with replaced_folder(folder) as root:
        (root / "a").write_text("new")
    assert (folder / "a").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["dataset"]


def test_shards_are_numbered_and_do_not_depend_on_how_rows_were_batched(tmp_path: Path) -> None:
    schema = pa.schema([pa.field("n", pa.int64())])
    table = pa.table({"n": range(1_000)}, schema)
    for name, size in (("one", 7), ("other", 1_000)):
        [written] = write_split(tmp_path / name, "c", "train", schema, table.to_batches(size), 50, shard_bytes=2_000)
        assert written.rows == 1_000
        assert [path.name for path in written.files] == [f"train-{i:05d}-of-00004.parquet" for i in range(4)]
    assert _files(tmp_path / "one") == _files(tmp_path / "other")


def test_features_are_spelled_as_datasets_spells_them(run: Run) -> None:
    export(run)
    for path in run.dataset.rglob("*.parquet"):
        schema = pq.read_schema(path)
        expected = Features.from_arrow_schema(schema)
        assert features(schema) == expected.to_dict()
        assert card_features(schema) == expected._to_yaml_list()
    nested = pa.schema([pa.field("s", pa.struct([pa.field("i", IMAGE), pa.field("f", pa.float32())])), *IMAGES])
    described = Features.from_dict(features(nested))
    assert card_features(nested) == described._to_yaml_list()


def test_the_card_is_valid_and_tells_what_the_files_hold(run: Run, load: Any) -> None:
    export(run)
    card = DatasetCard.load(str(run.dataset / "README.md"))
    assert card.data.license == "cc0-1.0"
    assert card.data.task_categories == ["image-text-to-image"]
    text = card.text
    rows = load(run)
    assert str(rows) in text, "the output under 'Load it' is what loading prints"
    assert "Which change turns the first image into the second?" in text
    assert "7ba64ef3dae76d15fa8c9f703f2b778ef7b1000fe4d6564930925aa022ca2a19" in text
    assert text.count("\n| a ") == 5
    assert "| lint | 102 | 72.5% |" in text
    assert "diagnostic" not in text


def test_the_card_says_plainly_when_the_embedded_world_was_used(run: Run) -> None:
    export(with_recipe(run, encoder={"model": "cirgen:filter-encoder"}))
    text = (run.dataset / "README.md").read_text()
    assert "This is a diagnostic, not pretraining data" in text


def test_texts_of_models_cannot_break_the_card() -> None:
    assert cell("a | b\n<script> `x`") == r"a \| b \<script\> \`x\`"
    assert fenced("```\nend").startswith("````text\n")


def test_licences_of_texts_and_images_stay_apart() -> None:
    assert card_license("CC BY 4.0", []) == {"license": "cc-by-4.0"}
    assert card_license("cc-by-4.0", ["cc0-1.0"])["license"] == "other"
    assert card_license("mit", [""])["license_name"] == "mit-and-unknown"


def test_spellings_of_one_licence_are_counted_together() -> None:
    images = {"CC BY 4.0": 4, "cc-by-4.0": 3, "CC-BY-4.0": 3, "": 2, "unknown": 1, "Mine": 5}
    assert by_license(images) == {"Mine": 5, "cc-by-4.0": 10, "unknown": 3}
    said = license_file("mit", images, published=True)
    assert said.count("images: cc-by-4.0") == said.count("10 images: cc-by-4.0") == 1


def test_size_categories_are_the_hubs() -> None:
    assert [size_category(n) for n in (1, 1_000, 123_456, 10**9)] == ["n<1K", "1K<n<10K", "100K<n<1M", "n>100M"]


def test_a_score_has_a_column_of_its_own() -> None:
    assert score_column("round-trip.picked") == "score_round_trip_picked"
