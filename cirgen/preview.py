"""A few rows of a recipe end to end, and what they say of the whole."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from cirgen.filters.fitted import without_fits
from cirgen.filters.registry import FILTERS
from cirgen.model_settings import Model
from cirgen.recipe import Pair, Recipe, Signal
from cirgen.run_folder import SPEED, Run
from cirgen.sources.registry import SOURCES
from cirgen.spending import Tally
from cirgen.stages.ask import STAGE as OBSERVE

ASKS = {"caption": ("caption",), "modify": ("modify",), "filter": ("filter", OBSERVE)}
"""Stages that ask models, and under which names what they take is counted."""
IMAGES_PER_ROW = 4
LEAST_IMAGES = 24
"""Fewer pictures leave nothing to pair."""


def images_for(rows: int) -> int:
    """Return how many pictures a preview of so many rows takes in."""
    return max(LEAST_IMAGES, IMAGES_PER_ROW * rows)


def small(recipe: Recipe, rows: int) -> Recipe:
    """Return the recipe of a preview: so many pairs, no held-out splits, and rank windows scaled to few images.

    Any image is a reference, since few images may hold none that the source names as one. Bounds that are fitted to
    labels are left out, since few rows hold too few labels.
    """
    images = images_for(rows)
    signals = tuple(_scaled(signal, images) for signal in recipe.pair.signals)
    pair = Pair.model_validate(
        {**recipe.pair.model_dump(), "signals": signals, "max_pairs": rows, "references": "all"}
    )
    export = recipe.export.model_copy(update={"validation": 0.0, "test": 0.0})
    return recipe.model_copy(update={"pair": pair, "export": export, "filter": without_fits(recipe.filter)})


def _scaled(signal: Signal, images: int) -> Signal:
    """Keep the shape of a rank window: its last rank becomes the last of the few images."""
    if signal.kind != "rank" or signal.lower is None or signal.upper is None or signal.upper < images:
        return signal
    last = float(images - 1)
    return signal.model_copy(
        update={"lower": max(1.0, float(round(signal.lower * last / signal.upper))), "upper": last}
    )


@dataclass(frozen=True)
class StageEstimate:
    """What one stage of the whole will take, by what it took in the preview."""

    stage: str
    rows: int
    """Of the whole."""
    seconds: float
    """Of the whole; small batches make it an upper estimate, and so does loading the models of filters."""
    prompt_tokens: int
    output_tokens: int
    cost: float
    """By the prices of the recipe; 0 for models without one."""


def estimate(run: Run, whole: Recipe, seconds: Mapping[str, float]) -> tuple[int, list[StageEstimate]]:
    """Scale a preview up.

    Args:
        run: the preview, done just now by this process.
        whole: the recipe as the user wrote it.
        seconds: wall time of the preview by stage.

    Returns:
        The number of images of the whole, 1,000 where the source cannot say, and an estimate per stage.
    """
    images = SOURCES.build(whole.images).count() or 1_000
    done, wanted = _rows_done(run), _rows_of_whole(whole, images)
    if any(FILTERS.build(settings).expensive for settings in run.recipe.filter):  # others take a small part
        done["filter"], wanted["filter"] = done["modify"], wanted["modify"]
    busy = {stage: _seconds(run, stage, seconds.get(stage, 0.0)) for stage in wanted}
    return images, [
        _stage_estimate(run, stage, rows / done[stage].planned, done[stage].rows, busy[stage])
        for stage, rows in wanted.items()
        if done[stage].planned
    ]


def _seconds(run: Run, stage: str, wall: float) -> float:
    """Return what a stage of the preview took, without loading weights where who runs the model tells it apart."""
    counted = run.read_facts().get(SPEED, {}).get(stage, {}).get("seconds", 0.0)
    return min(wall, counted) if counted else wall


class Devices(NamedTuple):
    """What hours are hours of."""

    number: int
    """Busy at once."""
    unit: str
    """`GPU`, `server`, or `machine` where there is no GPU."""


def devices(recipe: Recipe) -> Devices:
    """Return what runs the models of a recipe, the largest part of its time, here."""
    asked = [FILTERS.build(settings).model() for settings in recipe.filter]
    local = [model for model in (recipe.mllm, recipe.llm, *asked) if model is not None and model.backend != "openai"]
    if not local and recipe.mllm is not None:
        return Devices(1, "server")
    gpus = [_gpus(model) for model in local]
    return Devices(max(gpus), "GPU") if any(gpus) else Devices(1, "machine")


def _gpus(model: Model) -> int:
    from cirgen.backends.replicas import visible_devices

    if model.backend == "vllm":
        sizes = (model.engine.get(f"{kind}_parallel_size", 1) for kind in ("tensor", "pipeline", "data"))
        return math.prod(int(size) for size in sizes)
    return sum(device.startswith("cuda") for device in visible_devices(model.device))


def _rows_of_whole(recipe: Recipe, images: int) -> dict[str, int]:
    """Return the rows of the stages that grow with the collection by seconds; pairing takes a small part."""
    pairs = images * sum(signal.per_image for signal in recipe.pair.signals)
    pairs = min(pairs, recipe.pair.max_pairs or pairs)
    prompts = len(recipe.modify.prompts) if recipe.modify.prompts_per_pair == "all" else 1
    texts = pairs * prompts * recipe.modify.samples * (2 if recipe.modify.directions == "both" else 1)
    captions = images * len(recipe.caption.prompts) * recipe.caption.samples
    return {"ingest": images, "caption": captions, "embed": images, "modify": texts}


class Rows(NamedTuple):
    """Rows of a stage of the preview."""

    planned: int
    """From the beginning: texts that are written anew for rejected ones do not count."""
    rows: int


def _rows_done(run: Run) -> dict[str, Rows]:
    tables = {"ingest": run.catalog, "caption": run.caption_plan, "embed": run.catalog}
    counts = {stage: pq.ParquetFile(path).metadata.num_rows if path.is_file() else 0 for stage, path in tables.items()}
    turns = pq.read_table(run.modify_plan, columns=["regenerated"]).column(0).to_pylist()
    return {
        **{stage: Rows(count, count) for stage, count in counts.items()},
        "modify": Rows(turns.count(0), len(turns)),
    }


def _stage_estimate(run: Run, stage: str, scale: float, rows: int, seconds: float) -> StageEstimate:
    tallies = [run.spending.by_stage[name] for name in ASKS.get(stage, ())]
    prompt, output, cost = (
        sum(scale * getattr(tally, name) * _unanswered(tally) for tally in tallies)
        for name in ("prompt_tokens", "output_tokens", "cost")
    )
    return StageEstimate(stage, round(rows * scale), seconds * scale, round(prompt), round(output), cost)


def _unanswered(tally: Tally) -> float:
    """Return how many times more it would have been had a model answered every request."""
    return tally.requests / tally.answered if tally.answered else 0.0


def shown_rows(run: Run, rows: int) -> list[dict[str, Any]]:
    """Return the first triplets of a run, each with the names of its files and the reason of rejection or ''."""
    triplets = pq.read_table(run.triplets).slice(0, rows).to_pylist()
    reasons = {row["triplet_id"]: row["reason"] for row in pq.read_table(run.verdicts).to_pylist()}
    catalog = pq.read_table(run.catalog, columns=["image_id", "aliases"]).to_pylist()
    files = {row["image_id"]: row["aliases"][0]["source_id"] for row in catalog}
    return [
        {
            **row,
            "reference_file": files[row["reference_id"]],
            "target_file": files[row["target_id"]],
            "reason": reasons.get(row["triplet_id"], row["status"]),
        }
        for row in triplets
    ]
