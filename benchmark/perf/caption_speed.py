"""Images captioned per second: one at a time, as the reference implementation of SPN4CIR does, against batches.

Same model, dtype, threads, prompt and settings, in one process and one run; the two take turns, so that a machine
whose speed drifts drifts for both. Prints each turn's ratio and the median.

Run: python benchmark/perf/caption_speed.py [--images 128] [--rounds 3] [--batch-size 64]
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Annotated

import torch
import typer
from PIL import Image

from cirgen.backends.base import Request
from cirgen.backends.transformers import TransformersBackend
from cirgen.keys import digest
from cirgen.model_settings import Model
from cirgen.prompts import load_prompt
from cirgen.resources import local_path


class Files:
    """Opens pictures by path."""

    def open(self, image_id: str) -> Image.Image:
        """Return the decoded picture."""
        return Image.open(image_id).convert("RGB")


def images_per_second(backend: TransformersBackend, paths: list[Path]) -> float:
    """Caption every picture and return the rate."""
    prompt = load_prompt("caption-brief").render(words=10)
    requests = [Request(digest(path.name), 0, prompt, (str(path),), 0.0, 1.0, 0, 48) for path in paths]
    start = time.perf_counter()
    results = list(backend.generate(requests, Files()))
    seconds = time.perf_counter() - start
    if any(result.status != "ok" for result in results):
        raise SystemExit("Some captions failed; their time would flatter the rate.")
    return len(results) / seconds


def main(
    images: Annotated[int, typer.Option(help="Pictures per round.")] = 128,
    rounds: Annotated[int, typer.Option(help="Rounds.")] = 3,
    batch_size: Annotated[int, typer.Option(help="Of the batched side.")] = 64,
    model: Annotated[str, typer.Option(help="Model folder.")] = "cirgen:mllm",
) -> None:
    """Time both ways in turn."""
    paths = sorted(local_path("cirgen:images").glob("*.png"))[:images]
    single = TransformersBackend(Model(model=model, batch_size=1))
    batched = TransformersBackend(Model(model=model, batch_size=batch_size))
    for backend in (single, batched):
        images_per_second(backend, paths[:batch_size])  # loads the weights, warms the caches
    print(f"{images} images, {torch.get_num_threads()} threads, {single.identity.dtype}, {model}")
    ratios = []
    for turn in range(1, rounds + 1):
        one, many = images_per_second(single, paths), images_per_second(batched, paths)
        ratios.append(many / one)
        print(f"round {turn}: one at a time {one:.1f} images/s, in batches {many:.1f}, ratio {many / one:.1f}")
    print(f"median ratio {statistics.median(ratios):.1f}")


if __name__ == "__main__":
    typer.run(main)
