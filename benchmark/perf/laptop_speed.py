"""What recipes/laptop.yaml takes on this machine: rates, processor time and memory, with random weights of its model.

The recipe runs as it is, but for the paths of its models and images, and the length of answers: a random model never
ends one, so that each has as many tokens as `--new-tokens` says, which is what a caption or a request of a dozen words
has. The MLLM has the real sizes of SmolVLM-256M; the embedded encoder is in place of CLIP, which takes a twentieth of
the MLLM's time. Pictures are the toy figures: the model's processor makes a square of 512 pixels of each, whatever its
size.

Seconds of processor time are told beside the clock: other work on the machine disturbs them less.

Run: python benchmark/perf/laptop_speed.py [--images 24]
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from perf.random_models import build

CIRGEN = [sys.executable, "-m", "cirgen"]


def main(
    images: Annotated[int, typer.Option(min=4, help="Pictures.")] = 24,
    new_tokens: Annotated[int, typer.Option(min=1, help="Of every answer.")] = 18,
) -> None:
    """Run the recipe and tell what it took."""
    with tempfile.TemporaryDirectory() as folder:
        model = build("smolvlm", Path(folder) / "smolvlm", "smolvlm-256m")
        settings = (
            f"mllm.model={model}", "encoder.model=cirgen:filter-encoder", "images.path=cirgen:images",
            f"caption.sampling.max_new_tokens={new_tokens}", f"modify.sampling.max_new_tokens={new_tokens}",
        )  # fmt: skip
        start, before = time.perf_counter(), _processor_seconds()
        command = [*CIRGEN, "run", "laptop", "--limit", str(images), "--output", f"{folder}/run"]
        # 1 is a run that accepted nothing: no answer ends
        code = subprocess.run(
            [*command, *(part for one in settings for part in ("--set", one))], check=False
        ).returncode
        if code not in (0, 1):
            raise SystemExit(code)
        wall, processor = time.perf_counter() - start, _processor_seconds() - before
        told = subprocess.run([*CIRGEN, "status", f"{folder}/run", "--json"], check=True, capture_output=True)
    _tell(json.loads(told.stdout), wall, processor)


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _tell(status: dict[str, Any], wall: float, processor: float) -> None:
    cores = os.cpu_count() or 1
    for stage, speed in status["speed"].items():
        print(
            f"{stage}: {speed['rows_per_second']:.3g} rows/s, {speed['images_per_second']:.3g} images/s, "
            f"{speed['output_tokens_per_second']:.3g} new tokens/s, peak {speed['peak_bytes'] / 2**30:.2f} GiB"
        )
    print(
        f"the whole: {wall:.0f} s by the clock, {processor:.0f} s of processor time: it had {processor / wall:.2f} of "
        f"{cores} cores"
    )


if __name__ == "__main__":
    typer.run(main)
