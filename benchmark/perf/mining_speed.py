"""Pairs mined from many images: seconds and memory against the ways of others, and recall where it is not exact.

Run: python benchmark/perf/mining_speed.py [--images 25136] [--width 768] [--ways argsort flat window nearest clusters]

Each way runs in a process of its own, on the same embeddings, and reports CPU seconds and the memory it needed beyond
the embeddings. `argsort` is what SPN4CIR does: all similarities, sorted in full, then one target of ranks 10,000 to
15,000 (scaled to the number of images) per reference; it needs 10 GB. `window` finds such a target without a sort,
exactly. `flat` is an exact faiss index (pip install faiss-cpu) asked for the nearest 50, as is `nearest`. `clusters`
is what a split of more than 200,000 images gets: the nearest 10, with the recall that the run itself measures. A
million takes: --images 1000000 --ways clusters.

Embeddings have the structure of real ones: a common mean (any two have a cosine of about 0.2), topics, clusters within
topics whose sizes follow a power law, and within a cluster a spread in 32 directions more than in the others. In
isotropic noise nothing is near anything, and an approximate search has nothing to go by.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil

from cirgen.cosine import Vectors, on_grid
from cirgen.keys import draw
from cirgen.stages.clusters import Clusters
from cirgen.stages.fields import Check, Search
from cirgen.stages.mining import BLOCK_BYTES, Pool
from cirgen.stages.similarities import Gallery, Row

NEAREST = 50
NEIGHBOURS = 10
"""Of `clusters`: what a recipe that pairs near images looks through."""
WINDOW = (10_000 / 25_136, 15_000 / 25_136)
"""Ranks of the paper, as shares of its FashionIQ."""
DIRECTIONS = 32


def main() -> None:
    """Print a line per way, and ratios."""
    options = _options()
    if options.measure:
        print(json.dumps(measured(Path(options.measure), options.ways[0])))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "vectors.npy"
        write_embeddings(path, options.images, options.width)
        found = {way: _in_process(path, way) for way in options.ways}
    for way, one in found.items():
        told = f"; {one['told']}" if one["told"] else ""
        print(f"{way:9} {one['seconds']:8.1f} s CPU  {one['mib']:8,.0f} MiB beyond the embeddings{told}")
    for slow, fast in (("argsort", "window"), ("flat", "nearest")):
        if slow in found and fast in found:
            print(f"{fast} is {found[slow]['seconds'] / found[fast]['seconds']:.1f} times as fast as {slow}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=25_136)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--folder", help="where the embeddings are written; a temporary folder by default")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    return parser.parse_args()


def write_embeddings(path: Path, images: int, width: int, at_once: int = 50_000) -> None:
    """Write unit vectors with the structure that the module describes, some rows at a time."""
    dice = np.random.default_rng(0)
    clusters = max(8, images // 40)
    topics = dice.normal(size=(max(4, int(clusters**0.5)), width))
    centres = topics[dice.integers(len(topics), size=clusters)] + 0.8 * dice.normal(size=(clusters, width))
    sizes = np.arange(1, clusters + 1) ** -0.6
    directions = dice.normal(size=(DIRECTIONS, width)) / np.sqrt(DIRECTIONS)
    mean = 0.8 * dice.normal(size=width)
    mapped = np.lib.format.open_memmap(path, "w+", np.float32, (images, width))
    for start in range(0, images, at_once):
        count = min(at_once, images - start)
        rows = mean + centres[dice.choice(clusters, size=count, p=sizes / sizes.sum())]
        rows += 0.7 * dice.normal(size=(count, DIRECTIONS)) @ directions + 0.4 * dice.normal(size=(count, width))
        mapped[start : start + count] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    mapped.flush()


def _in_process(path: Path, way: str) -> dict[str, float | str]:
    command = [sys.executable, __file__, "--measure", str(path), "--ways", way]
    found: dict[str, float | str] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return found


def measured(path: Path, way: str) -> dict[str, float | str]:
    """Run a way in this process."""
    vectors = np.asarray(np.load(path, mmap_mode="r"))
    vectors.sum()  # maps every page, so that what is read does not count
    import torch  # noqa: F401  (as every run does; its size is not that of a way)

    before, start = psutil.Process().memory_info().rss, time.process_time()
    told = WAYS[way](vectors, path.parent)
    seconds = time.process_time() - start
    return {"seconds": seconds, "mib": (_peak_bytes() - before) / 2**20, "told": told}


def _peak_bytes() -> int:
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) * 1024


def argsort(vectors: Vectors, _: Path) -> str:
    """Sort all similarities, as the paper's code does, and draw a rank for each reference."""
    import torch

    rows = torch.from_numpy(np.array(vectors))
    ranks = torch.argsort(rows @ rows.T, dim=1, descending=True)
    wanted = torch.from_numpy(_ranks(len(vectors)))
    ranks.gather(1, wanted[:, None])
    return ""


def window(vectors: Vectors, _: Path) -> str:
    """Find the image at a drawn rank for each reference."""
    wanted = _ranks(len(vectors))
    _rows(vectors, lambda number, row: row.at_ranks(wanted[number : number + 1]))
    return ""


def nearest(vectors: Vectors, _: Path) -> str:
    """Find the nearest images of each."""
    _rows(vectors, lambda _, row: row.nearest(NEAREST))
    return ""


def _ranks(images: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    low, high = (int(share * images) for share in WINDOW)
    return np.asarray([low + int(draw(number) * (high - low)) for number in range(images)], dtype=np.int64)


def _rows(vectors: Vectors, each: Callable[[int, Row], object]) -> None:
    everybody = np.arange(len(vectors))
    gallery = Gallery(vectors, everybody)
    for block in Pool("train", everybody, everybody, everybody).blocks(len(vectors), BLOCK_BYTES):
        compared = gallery.compare(vectors[block], on_grid(vectors[block]))
        for number, place in enumerate(block.tolist()):
            row = compared.row(number)
            row.fast[place] = -np.inf
            each(place, row)


def flat(vectors: Vectors, _: Path) -> str:
    """Ask an exact faiss index for the nearest images of each, which come with the image itself."""
    import faiss

    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    for start in range(0, len(vectors), 4_096):
        index.search(vectors[start : start + 4_096], NEAREST + 1)
    return "holds a copy of the embeddings"


def clusters(vectors: Vectors, folder: Path) -> str:
    """Find the nearest images by cluster, as a large split does."""
    everybody = np.arange(len(vectors))
    pool = Pool("train", everybody, everybody, everybody)
    checks: list[Check] = []
    search = Search(pool, vectors, Clusters(pool, vectors, folder / "by-cluster.npy"), "image", checks)
    for _, found in search.of_images(search.clusters.order, NEIGHBOURS):
        found.row.nearest(NEIGHBOURS)
    return checks[0].told()


WAYS: dict[str, Callable[[Vectors, Path], str]] = {
    "argsort": argsort,
    "window": window,
    "flat": flat,
    "nearest": nearest,
    "clusters": clusters,
}


if __name__ == "__main__":
    main()
