"""Captions: what the model says of each picture by itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow.parquet as pq

from cirgen.backends.base import Backend, ImageReader
from cirgen.keys import generation_key
from cirgen.prompts import Prompt
from cirgen.run_folder import Run
from cirgen.schemas import CAPTION_PLAN
from cirgen.shards import write_rows
from cirgen.stages.generate import Generation


def caption(run: Run, backend: Backend, images: ImageReader) -> None:
    """Plan the captions of every picture of the catalog and generate those that are missing."""
    prompts = [run.prompt(reference) for reference in run.recipe.caption.prompts]
    write_rows(run.caption_plan, _plan(run, backend, prompts), CAPTION_PLAN)
    generation = Generation(
        run, "caption", run.caption_plan, run.recipe.caption.sampling, lambda row: (row["image_id"],), ["image_id"]
    )
    generation.run([(prompt, backend) for prompt in prompts], images, "Caption images")


def _plan(run: Run, backend: Backend, prompts: list[Prompt]) -> Iterator[dict[str, Any]]:
    settings = run.recipe.caption
    sampling = settings.sampling.model_dump(mode="json")
    for batch in pq.ParquetFile(run.catalog).iter_batches(columns=["image_id", "category"]):
        for picture in batch.to_pylist():
            for prompt_index, prompt in enumerate(prompts):
                rendered = prompt.render(words=settings.words, category=picture["category"] or None)
                for sample_index in range(settings.samples):
                    yield {
                        "key": generation_key(
                            rendered,
                            (picture["image_id"],),
                            backend.identity.key_part(),
                            sampling,
                            run.recipe.seed,
                            sample_index,
                        ),
                        "image_id": picture["image_id"],
                        "prompt": prompt.reference,
                        "rendered": rendered,
                        "prompt_index": prompt_index,
                        "sample_index": sample_index,
                    }
