"""Images taken in per second, and peak memory, on small PNGs made on the spot.

Run: python benchmark/perf/ingest_speed.py [--images 10000] [--side 96]
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from cirgen.recipe import Recipe
from cirgen.run_folder import Run
from cirgen.stages.ingest import ingest
from cirgen.store import Store


def main() -> None:
    """Print images per second of a fresh run and of a resumed one, and peak memory in MB."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--side", type=int, default=96, help="pixels")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        images = make_images(Path(folder) / "images", options.images, options.side)
        before = peak_mb()
        for label in ("fresh", "resumed"):
            seconds = take_in(images, Path(folder) / "run")
            print(f"{label}: {options.images / seconds:.0f} images/s")
        print(f"peak memory: {peak_mb():.0f} MB, of which {before:.0f} MB before the first image")


def make_images(folder: Path, count: int, side: int) -> Path:
    """Write smooth random pictures, each unlike the others."""
    folder.mkdir()
    dice = np.random.default_rng(0)
    for number in range(count):
        cells = Image.fromarray(dice.integers(0, 256, (12, 12, 3), dtype=np.uint8))
        cells.resize((side, side), Image.Resampling.BICUBIC).save(folder / f"{number:06d}.png", compress_level=1)
    return folder


def take_in(images: Path, folder: Path) -> float:
    """Return the seconds that one ingest of a folder takes."""
    recipe = Recipe.model_validate(
        {"name": "speed", "images": {"kind": "folder", "path": str(images)}, "encoder": {"model": "none"}}
    )
    start = time.monotonic()
    ingest(Run(folder, recipe, Store(folder / "store")))
    return time.monotonic() - start


def peak_mb() -> float:
    """Return the largest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_000


if __name__ == "__main__":
    main()
