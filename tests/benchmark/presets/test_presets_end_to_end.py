"""Every preset for FashionIQ and CIRR runs to its end on small copies with the files and folders of the real ones.

Models are tiny and random but of the real architectures, saved with tokenizer and image processor; pictures are drawn;
the corpus is one that cirgen exported, made of training pictures of the copies.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq
import pytest
from tiny_models import tiny_checkpoint

from benchmark_copies import CIRR_TRIPLETS, cirr_copy, fashioniq_copy
from cirgen.errors import UserError
from cirgen.stages.export import export
from cirgen_benchmark.verdict.bench import bench
from cirgen_benchmark.verdict.preset_file import PRESETS, load_preset
from cirgen_benchmark.verdict.results import Results
from runs import make_run

BATCH = 24
SMALL = ["stages.one.epochs=1", "stages.in_batch.epochs=1", "stages.bank.epochs=1"]
SMALL += [f"stages.{name}.batch={BATCH}" for name in ("one", "in_batch", "bank")]
ONE_SEED = "seeds=[42]"
NAMES = [name for name in PRESETS.names() if not name.startswith(("demo", "furniture"))]


class World(NamedTuple):
    """What a user has on disk."""

    corpus: Path
    bare: Path
    """The same corpus, published without its pictures ..."""
    originals: Path
    """... which lie here."""
    fashioniq: Path
    cirr: Path


@pytest.fixture(scope="module")
def world(scratch: Path) -> World:
    folder = scratch / "copies"
    run = make_run(folder / "free")
    export(run)
    bare = make_run(folder / "bare", export={"images": "none"})
    export(bare)
    originals = folder / "free" / "images"
    pictures = sorted(originals.iterdir())
    copies = fashioniq_copy(folder / "fashionIQ_dataset", pictures), cirr_copy(folder / "cirr_dataset", pictures)
    return World(run.dataset, bare.dataset, originals, *copies)


def judged(
    world: World, name: str, output: Path, *overrides: str, corpus: Path | None = None, images: Path | None = None
) -> Results:
    method = name.split("-")[1] if name.startswith("spn4cir") else "clip"
    model = tiny_checkpoint("clip" if method == "zs" else method)
    root = world.fashioniq if "fashioniq" in name else world.cirr
    preset = load_preset(name, [f"base.model={model}", f"root={root}", *SMALL, *overrides])
    return bench(corpus or world.corpus, preset, output, images=images)


def written(output: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((output / "bench.json").read_text(encoding="utf8"))
    return found


def arm(record: dict[str, Any], name: str, at: str = "last") -> dict[str, Any]:
    (found,) = (one for one in record["arms"] if one["arm"] == name and one["at"] == at)
    return dict(found)


def _is_a_variant(name: str) -> bool:
    """Whether a preset differs from another in its family of models or its benchmark alone."""
    return (name.endswith(("-zs", "zs-fashioniq", "-cirr")) and name != "spn4cir-blip2-cirr") or "-blip-" in name


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.long if _is_a_variant(name) else []) for name in NAMES]
)
def test_a_preset_runs_to_its_end(world: World, name: str, tmp_path: Path) -> None:
    results = judged(world, name, tmp_path, ONE_SEED)
    preset, record = results.preset, written(tmp_path)
    assert {one["arm"] for one in record["arms"]} == set(preset.arms)
    for one in record["arms"]:
        assert all(0 <= value <= 100 for value in one["metrics"].values())
    trained = {one["arm"] for one in record["arms"] if one["at"] == "best"}
    assert trained == {key for key, settings in preset.arms.items() if settings.steps}
    lengths = {tuple(arm(record, key)["steps"]) for key, settings in preset.arms.items() if len(settings.steps) == 2}
    assert len(lengths) == 1
    assert {one["name"] for one in record["contrasts"]} == set(preset.contrasts)
    assert record["selected_on_reported_split"] == preset.selects_on_reported_split
    page = (tmp_path / "report.html").read_text(encoding="utf8")
    assert record["verdict"].split(":")[0] in page
    assert ("Steps were chosen on the queries that are reported" in page) == preset.selects_on_reported_split
    assert page.count("<img") > 4
    ranks = pq.read_table(tmp_path / "queries.parquet")
    assert ranks.num_rows == len(results.outcomes) * results.queries
    assert sent(tmp_path) == expected_files(results)


def sent(output: Path) -> list[str]:
    return sorted(str(path.relative_to(output)) for path in (output / "submissions").rglob("*.json"))


def expected_files(results: Results) -> list[str]:
    if results.preset.submissions is None:
        return []
    names = ("cirr.test1.recall.json", "cirr.test1.recall_subset.json")
    arms = results.preset.submissions.arms
    return sorted(
        f"submissions/{arm}/seed-42/{at}/{name}" for arm in arms for at in ("last", "best") for name in names
    )


def test_no_figure_depends_on_the_layout_of_a_copy_or_on_where_a_corpus_has_its_pictures(
    world: World, tmp_path: Path
) -> None:
    name, pictures = "spn4cir-zs-cirr", sorted(world.originals.iterdir())
    flat = cirr_copy(tmp_path / "copy", pictures, "flat")
    with pytest.raises(UserError, match="goes without its images"):
        judged(world, name, tmp_path / "none", corpus=world.bare)
    judged(world, name, tmp_path / "bare", f"root={flat}", corpus=world.bare, images=world.originals)
    judged(world, name, tmp_path / "whole")
    assert written(tmp_path / "bare")["arms"] == written(tmp_path / "whole")["arms"]
    assert sent(tmp_path / "bare") == sent(tmp_path / "whole")
    check_submissions(tmp_path / "bare", flat / "captions" / "cap.rc2.test1.json")


def check_submissions(output: Path, captions: Path) -> None:
    """Each file answers each query of test1 once, and never with its reference."""
    asked = {str(row["pairid"]): row["reference"] for row in json.loads(captions.read_text())}
    for place in written(output)["submissions"]:
        file = json.loads((output / place).read_text())
        assert (file.pop("version"), file.pop("metric")) in {("rc2", "recall"), ("rc2", "recall_subset")}
        assert file.keys() == asked.keys()
        assert all(reference not in file[query] for query, reference in asked.items())


@pytest.mark.long
@pytest.mark.parametrize("name", ["spn4cir-clip-fashioniq", "spn4cir-clip-cirr"])
def test_images_that_a_copy_lacks_are_named_and_figures_without_them_are_marked(
    world: World, name: str, tmp_path: Path
) -> None:
    pictures = sorted(world.originals.iterdir())
    root, missing = copy_with_holes(name, tmp_path / "copy", pictures)
    with pytest.raises(UserError, match=rf"{missing}.*--set allow_missing=true"):
        judged(world, name, tmp_path / "refused", f"root={root}")
    judged(world, name, tmp_path / "out", f"root={root}", "allow_missing=true")
    record = written(tmp_path / "out")
    assert all(".partial." in key for key in arm(record, "corpus, bank")["metrics"])
    assert [note for note in record["notes"] if missing in note]
    whole = len(pictures) * 3 - 3 if "fashioniq" in name else CIRR_TRIPLETS
    trained = int(arm(record, "human, bank")["human"])
    assert f"{whole - trained} human training triplets lack an image and are left out." in record["notes"]
    assert trained < whole
    assert "Missing: " in (tmp_path / "out" / "report.html").read_text(encoding="utf8")


def copy_with_holes(name: str, root: Path, pictures: Sequence[Path]) -> tuple[Path, str]:
    """Return a copy that lacks one picture of each split, and the name of val's, which is a target and a reference."""
    if "fashioniq" in name:
        copy = fashioniq_copy(root, pictures)
        (copy / "images" / "B00DVA001.jpg").unlink()
        (copy / "images" / "B00STR002.png").unlink()
        return copy, "B00DVA001"
    copy = cirr_copy(root, pictures)
    (copy / "dev" / "dev-1-1-img1.png").unlink()
    (copy / "train" / "2" / "train-2-2-img0.png").unlink()
    return copy, "dev-1-1-img1"


def test_mistakes_are_told_before_anything_is_trained(world: World, tmp_path: Path) -> None:
    mistakes = {
        "'recall@10' is the end of 4 metrics": ["primary=recall@10"],
        "'mean' is the end of 0 metrics": ["development={kind: holdout}"],
        "A batch of 512 queries": ["stages.bank.batch=512"],
        "There are 36 human triplets, and 500 are asked for": ["data.human.human=500"],
        "no exact truth": ["data.both.corpus=good"],
        "knows target_pad, text_length": ["base.options.crop=true"],
    }
    for message, overrides in mistakes.items():
        with pytest.raises(UserError, match=message):
            judged(world, "spn4cir-clip-fashioniq", tmp_path, *overrides)
    assert not (tmp_path / "work" / "stages").exists()


def test_a_place_without_annotations_names_the_option_that_says_where_they_are(world: World, tmp_path: Path) -> None:
    for name in ("fashioniq", "cirr"):
        with pytest.raises(UserError, match="--root"):
            judged(world, name, tmp_path, f"root={tmp_path}")
        with pytest.raises(UserError, match="--root"):
            judged(world, name, tmp_path, "root=null")
