"""What recipes/laptop.yaml takes on this machine: rates, processor time and memory, with random weights of its model.

The recipe runs as it is, but for the paths of its models and images: SmolVLM-256M by its real sizes, of which every
twentieth token ends an answer, so that answers have twenty tokens on average, and the embedded encoder in place of
CLIP, which takes a twentieth of the MLLM's time. Pictures are the toy figures; the model's processor makes a square of
512 pixels of every picture, whatever its size.

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

ENDS_EACH = 20
CIRGEN = [sys.executable, "-m", "cirgen"]


def main(
    images: Annotated[int, typer.Option(min=4, help="Pictures.")] = 24,
) -> None:
    """Run the recipe and tell what it took."""
    with tempfile.TemporaryDirectory() as folder:
        model = build("smolvlm", Path(folder) / "smolvlm", "smolvlm-256m", ends_each=ENDS_EACH)
        settings = (f"mllm.model={model}", "encoder.model=cirgen:filter-encoder", "images.path=cirgen:images")
        start, before = time.perf_counter(), _processor_seconds()
        command = [*CIRGEN, "run", "laptop", "--limit", str(images), "--output", f"{folder}/run"]
        # 1 is a run that accepted nothing: the model is random
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
