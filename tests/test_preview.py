"""A preview keeps the shape of the whole."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cirgen.cli.preview import NAME_WIDTH, shortened
from cirgen.preview import Devices, devices, estimate, images_for, shown_rows, small
from cirgen.recipe_file import load_recipe
from cirgen.run_folder import Run
from runs import LINT, make_run


def test_a_preview_makes_so_many_pairs_and_holds_none_back() -> None:
    recipe = small(load_recipe("demo").recipe, 5)
    assert recipe.pair.max_pairs == 5
    assert (recipe.export.validation, recipe.export.test) == (0, 0)


@pytest.mark.parametrize("rows", [1, 8, 100])
def test_a_rank_window_beyond_the_few_images_is_scaled_to_them(rows: int) -> None:
    (signal,) = small(load_recipe("spn4cir/fashioniq-clip").recipe, rows).pair.signals
    assert signal.upper == images_for(rows) - 1
    assert signal.lower == round(signal.upper * 10_000 / 19_999)


def test_other_windows_stay_as_they_are() -> None:
    whole = load_recipe("demo").recipe
    assert small(whole, 8).pair.signals == whole.pair.signals


def test_rows_are_shown_with_the_names_of_their_files(tmp_path: Path) -> None:
    rows = shown_rows(make_run(tmp_path), 3)
    assert len(rows) == 3
    for row in rows:
        for end in ("reference", "target"):
            assert (tmp_path / "images" / row[f"{end}_file"]).is_file()
    names = {path.name for path in (tmp_path / "images").iterdir()}
    assert {row["reference_file"] for row in rows} <= names


@pytest.mark.parametrize(
    ("name", "shown"),
    [("cat.jpg", "cat.jpg"), ("a/b/cat.jpg", "cat.jpg"), ("0123456789abcdef0123456789.png", "01234567…56789.png")],
)
def test_a_long_file_name_keeps_its_beginning_and_its_end(name: str, shown: str) -> None:
    assert shortened(name) == shown
    assert len(shown) <= NAME_WIDTH


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (["mllm.device=cpu", "filter=[]"], Devices(1, "machine")),
        (["mllm.backend=openai", "filter=[]"], Devices(1, "server")),
        (["mllm.backend=vllm", "mllm.engine={tensor_parallel_size: 2, data_parallel_size: 2}"], Devices(4, "GPU")),
        (["mllm.backend=vllm", "filter=[]"], Devices(1, "GPU")),
        (
            ["mllm.backend=openai", "filter=[{name: judge, min_yes: 0.5, model: {model: x, device: cpu}}]"],
            Devices(1, "machine"),
        ),
    ],
)
def test_hours_are_of_whatever_runs_the_models(settings: list[str], expected: Devices) -> None:
    assert devices(load_recipe("demo", settings).recipe) == expected


def seconds_of(run: Run, wall: float) -> dict[str, float]:
    _, stages = estimate(run, run.recipe, {"ingest": wall, "caption": wall, "modify": wall})
    return {stage.stage: stage.seconds / stage.rows for stage in stages}


def test_the_time_that_weights_take_to_load_is_not_scaled_up(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    run.add_speed("caption", {"seconds": 13.0, "rows": 13})
    assert seconds_of(run, 130.0)["caption"] == pytest.approx(1.0), "13 rows, 117 s of loading"
    assert seconds_of(run, 130.0)["ingest"] == pytest.approx(10.0)
    assert seconds_of(run, 1.3)["caption"] == pytest.approx(0.1), "never more than the clock says"


def test_what_filters_ask_is_what_models_were_asked_beyond_captions_and_texts(tmp_path: Path) -> None:
    run = make_run(tmp_path, filter=[LINT, {"name": "judge", "min_yes": 0.5}])
    texts, captions = (len(pq.read_table(path)) for path in (run.triplets, run.catalog))
    asked = {"prompt_tokens": 20 * (texts + captions) + 3_000, "output_tokens": 5 * (texts + captions) + 40}
    run.note_facts(usage={"small": {"requests": 1, "cost": 0.0, **asked}})
    _, stages = estimate(run, run.recipe, {"filter": 10.0})
    (filtering,) = (stage for stage in stages if stage.stage == "filter")
    assert filtering.prompt_tokens == round(3_000 * filtering.rows / texts)
    assert filtering.output_tokens == round(40 * filtering.rows / texts)


def test_filters_that_measure_nothing_take_no_part_of_the_estimate(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    _, stages = estimate(run, run.recipe, {"filter": 10.0})
    assert "filter" not in {stage.stage for stage in stages}
