"""A preview keeps the shape of the whole."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cirgen.cli.preview import NAME_WIDTH, shortened
from cirgen.preview import Devices, StageEstimate, devices, estimate, images_for, shown_rows, small
from cirgen.recipe_file import load_recipe
from cirgen.run_folder import Run
from cirgen.spending import Tally
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


def stage_of(run: Run, name: str) -> StageEstimate:
    _, stages = estimate(run, run.recipe, {"filter": 10.0})
    return next(stage for stage in stages if stage.stage == name)


def test_every_request_of_a_stage_is_scaled_up_whichever_attempt_it_was(tmp_path: Path) -> None:
    run = make_run(tmp_path, filter=[LINT, {"name": "judge", "min_yes": 0.5}])
    texts = len(pq.read_table(run.triplets))
    for _ in range(2 * texts):
        run.spending.by_stage["modify"] += Tally(1, 20, 5, 0.25, 1)
    run.spending.by_stage["filter"] += Tally(1, 2_000, 0, 1.0, 1)
    run.spending.by_stage["observe"] += Tally(1, 1_000, 40, 1.0, 1)
    written, filtering = stage_of(run, "modify"), stage_of(run, "filter")
    assert (written.prompt_tokens, written.output_tokens) == (40 * written.rows, 10 * written.rows)
    assert written.cost == pytest.approx(0.5 * written.rows)
    scale = filtering.rows / texts
    assert (filtering.prompt_tokens, filtering.output_tokens) == (round(3_000 * scale), round(40 * scale))
    assert filtering.cost == pytest.approx(2 * scale)


def test_what_nobody_answered_is_not_free_in_the_whole(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    captions = len(pq.read_table(run.caption_plan))
    for place in range(captions):
        answered = place % 2 == 0
        run.spending.by_stage["caption"] += Tally(1, 100 * answered, 10 * answered, 1.0 * answered, answered)
    found = stage_of(run, "caption")
    assert (found.prompt_tokens, found.output_tokens) == (100 * found.rows, 10 * found.rows)
    assert found.cost == pytest.approx(found.rows)


def test_texts_written_anew_are_as_many_times_more_in_the_whole(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    before = stage_of(run, "modify").rows
    plan = pq.read_table(run.modify_plan)
    again = plan.set_column(
        plan.schema.get_field_index("regenerated"),
        plan.schema.field("regenerated"),
        pa.array([1] * len(plan), pa.int32()),
    )
    pq.write_table(pa.concat_tables([plan, again, again]), run.modify_plan)
    assert stage_of(run, "modify").rows == 3 * before


def test_filters_that_measure_nothing_take_no_part_of_the_estimate(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    _, stages = estimate(run, run.recipe, {"filter": 10.0})
    assert "filter" not in {stage.stage for stage in stages}
