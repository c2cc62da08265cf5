"""No triplet of an accepted corpus has a picture of a benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from cirgen.filters.tools import SAME_FILE, Match, Tools
from cirgen.fingerprints import write_folder_list
from cirgen.progress import Silent
from cirgen.recipe import Recipe
from cirgen.resources import local_path
from cirgen.run_folder import Run
from cirgen.schemas import TRIPLET
from cirgen.shards import write_rows
from cirgen.stages.filter import filter_triplets
from cirgen.stages.filter_tools import Toolbox
from cirgen.stages.ingest import ingest
from cirgen.stages.known import RunMatches
from cirgen.store import Store
from deciding import make_filter, triplets
from ingest_runs import catalog, encoded, fill, tiny


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIRGEN_CACHE", str(tmp_path / "cache"))


def make(folder: Path, images: Path, **settings: Any) -> Run:
    recipe = Recipe.model_validate(
        {
            "name": "test",
            "images": {"kind": "folder", "path": str(images)},
            "encoder": {"model": "cirgen:filter-encoder"},
            "filter": [{"name": "decontamination", **settings}],
        }
    )
    run = Run(folder, recipe, Store(folder / "store"))
    ingest(run)
    ids = [row["image_id"] for row in catalog(run)]
    pairs = zip(ids, ids[1:] + ids[:1], strict=True)
    rows = triplets(*({"reference_id": one, "target_id": other, "text": "make it red"} for one, other in pairs))
    write_rows(run.triplets, sorted(rows, key=lambda row: str(row["triplet_id"])), TRIPLET)
    return run


def judged(run: Run) -> list[dict[str, Any]]:
    """Filter; return the source names of both pictures with the verdict."""
    filter_triplets(run, Toolbox(run, None, None).tools)  # type: ignore[arg-type]
    names = {row["image_id"]: row["aliases"][0]["source_id"] for row in catalog(run)}
    verdicts = {row["triplet_id"]: row for row in pq.read_table(run.verdicts).to_pylist()}
    return [
        {
            "reference": names[row["reference_id"]],
            "target": names[row["target_id"]],
            "reason": verdicts[row["triplet_id"]]["reason"],
            "scores": dict(verdicts[row["triplet_id"]]["scores"]),
        }
        for row in pq.read_table(run.triplets).to_pylist()
    ]


def test_what_shows_a_benchmarks_picture_is_dropped_and_the_rest_stays(tmp_path: Path) -> None:
    bench = fill(tmp_path / "bench", 3, start=4)
    (bench / "again.png").write_bytes(encoded(tiny(2), compress_level=0))
    run = make(tmp_path / "run", fill(tmp_path / "images", 12), against=[str(bench)])
    listed = {"0002.png", "0004.png", "0005.png", "0006.png"}
    rows = judged(run)
    for row in rows:
        expected = "reference" if row["reference"] in listed else "target" if row["target"] in listed else ""
        assert row["reason"] == (expected and f"decontamination: {expected} in a benchmark")
    levels = {row["reference"]: row["scores"]["decontamination.reference"] for row in rows}
    assert (levels["0002.png"], levels["0004.png"], levels["0000.png"]) == (2, 3, 0)


def test_how_near_is_too_near_is_a_setting_and_scores_nothing_again(tmp_path: Path) -> None:
    bench = fill(tmp_path / "bench", 1, start=4)
    (bench / "again.png").write_bytes(encoded(tiny(2), compress_level=0))
    images = fill(tmp_path / "images", 8)
    dropped = {}
    for match in ("near", "file"):
        run = make(tmp_path / "run", images, against=[str(bench)], match=match)
        dropped[match] = sum(bool(row["reason"]) for row in judged(run))
        scored = run.read_facts()["funnel"]["filters"][0]["scored"]
    assert dropped["near"] > dropped["file"] == 2
    assert scored == 0


def test_a_list_does_what_the_pictures_do_and_other_pictures_are_scored_again(tmp_path: Path) -> None:
    bench, images = fill(tmp_path / "bench", 3), fill(tmp_path / "images", 8)
    write_folder_list(bench, tmp_path / "list.parquet", "CIRR test1", Silent())
    by_folder = judged(make(tmp_path / "run", images, against=[str(bench)]))
    run = make(tmp_path / "run", images, against=[str(tmp_path / "list.parquet")])
    assert judged(run) == by_folder
    assert run.read_facts()["funnel"]["filters"][0]["scored"] == 0
    fill(bench, 1, start=7)
    run = make(tmp_path / "run", images, against=[str(bench)])
    assert judged(run) != by_folder
    assert run.read_facts()["funnel"]["filters"][0]["scored"] == 8


def test_a_match_names_its_list(tmp_path: Path) -> None:
    images = fill(tmp_path / "images", 4)
    places = [str(fill(tmp_path / name, 1, start)) for name, start in (("one", 0), ("two", 3))]
    run = make(tmp_path / "run", images, against=places)
    matches = RunMatches(run, places)
    names = {row["aliases"][0]["source_id"]: row["image_id"] for row in catalog(run)}
    found = matches.matches([names[f"000{number}.png"] for number in range(4)])
    assert found == [Match(SAME_FILE, "one"), Match(0, ""), Match(0, ""), Match(SAME_FILE, "two")]
    batch = pa.RecordBatch.from_pylist(pq.read_table(run.triplets).to_pylist(), schema=TRIPLET)
    part = make_filter("decontamination", against=["x"])
    details = [score.detail for score in part.score(batch, Tools(known=matches))]
    assert {"one", "two"} <= {name for detail in details for name in detail.split("; ")}


def test_lists_in_any_order_are_the_same(tmp_path: Path) -> None:
    run = make(tmp_path / "run", fill(tmp_path / "images", 4), against=["x"])
    places = [str(fill(tmp_path / name, 2, start)) for name, start in (("one", 0), ("two", 3))]
    assert RunMatches(run, places).identity == RunMatches(run, places[::-1]).identity
    assert RunMatches(run, places).identity != RunMatches(run, places[:1]).identity


def test_a_copy_that_was_resized_is_found_in_a_run(tmp_path: Path) -> None:
    images, bench = tmp_path / "images", tmp_path / "bench"
    images.mkdir()
    bench.mkdir()
    for number, path in enumerate(sorted(local_path("cirgen:images").glob("*.png"))[:12]):
        (images / f"{number}.png").write_bytes(path.read_bytes())
        if number in (3, 7):
            with Image.open(path) as picture:
                picture.convert("RGB").resize((120, 120)).save(bench / f"copy{number}.jpg", quality=85)
    run = make(tmp_path / "run", images, against=[str(bench)])
    levels = {row["reference"]: row["scores"]["decontamination.reference"] for row in judged(run)}
    assert {name for name, level in levels.items() if level} == {"3.png", "7.png"}
