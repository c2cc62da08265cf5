"""Pools of rendered figures to train on: small families of siblings, drawn once and kept as pixels in a cache."""

from __future__ import annotations

import io
import os
import random
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from functools import cached_property
from hashlib import sha256
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from cirgen.world.draws import Values, draw_values, edited
from cirgen.world.families import may_train
from cirgen.world.figure import HIDDEN, Figure, visible
from cirgen.world.render import Nuisance, render_many
from cirgen.world.training.architecture import IMAGE_SIDE
from cirgen.world.vocabulary import ATTRIBUTES, Level

SIBLINGS = 4
"""Figures of a family in a pool; they lie side by side."""

CLASSES: tuple[tuple[str, ...], ...] = tuple((HIDDEN, *attribute.hard) for attribute in ATTRIBUTES)
"""Values of every attribute, `HIDDEN` first, in the order of `Figure`'s fields."""

PART = 20 * SIBLINGS
"""Pictures in a file of the cache: few, so that little is drawn again when some figures change."""

_TRIES = 12

Pixels = npt.NDArray[np.uint8]
Job = tuple[Figure, Nuisance]


def attribute_codes(figures: Sequence[Figure]) -> npt.NDArray[np.uint8]:
    """Return [N, attributes] indices into `CLASSES`."""
    codes = [{value: code for code, value in enumerate(values)} for values in CLASSES]
    rows = [[codes[i][value] for i, value in enumerate(astuple(figure))] for figure in figures]
    return np.array(rows, dtype=np.uint8)


@dataclass(frozen=True)
class Pool:
    """Figures and their pictures, uint8 [N, side, side, 3]; every `SIBLINGS` figures from the start are a family."""

    figures: tuple[Figure, ...]
    pixels: Pixels

    @cached_property
    def codes(self) -> npt.NDArray[np.uint8]:
        """[N, attributes] indices into `CLASSES`."""
        return attribute_codes(self.figures)

    def siblings(self, index: int) -> list[int]:
        """Return the other figures of the family of figure `index`."""
        start = index - index % SIBLINGS
        return [other for other in range(start, start + SIBLINGS) if other != index]


def training_family(purpose: str, level: Level, seed: int, index: int) -> list[Figure]:
    """Return family `index`: `SIBLINGS` different figures, each one or two edits from another of them."""
    rng = random.Random(f"family {purpose} {level} {seed} {index}")
    while True:
        family: dict[Figure, Values] = {}
        for _ in range(_TRIES * SIBLINGS):
            values = draw_values(rng, level) if not family else _sibling(rng, level, family)
            if may_train(purpose, visible(**values)):
                family.setdefault(visible(**values), values)
            if len(family) == SIBLINGS:
                return list(family)


def _sibling(rng: random.Random, level: Level, family: dict[Figure, Values]) -> Values:
    return edited(rng, level, rng.choice(list(family.values())), rng.choice((1, 1, 2)))


def cache_folder() -> Path:
    """Return where rendered pools are kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "cirgen" / "world"


def resize(png: bytes) -> Pixels:
    """Decode and resize as the models' image processor does; [side, side, 3]."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    return np.asarray(image.resize((IMAGE_SIDE, IMAGE_SIDE), Image.Resampling.BICUBIC))


def load_pool(purpose: str, level: Level, seed: int, families: int, *, cache: Path | None = None) -> Pool:
    """Return the training figures of `families` families and their pictures, drawn anew where the cache lacks them.

    Every figure is drawn once, with a nuisance of its own, that depends on its place in the pool alone.
    """
    drawn = (training_family(purpose, level, seed, index) for index in range(families))
    rng = random.Random(f"pool {seed}")
    jobs = [(figure, Nuisance.draw(rng, level)) for family in drawn for figure in family]
    parts = [jobs[start : start + PART] for start in range(0, len(jobs), PART)]
    pixels = _render_parts(parts, cache or cache_folder())
    return Pool(tuple(figure for figure, _ in jobs), np.concatenate([np.load(path) for path in pixels]))


def part_path(folder: Path, part: Sequence[Job]) -> Path:
    """Return where the pictures of `part` are cached; the name says what they show."""
    content = repr([IMAGE_SIDE, *((astuple(figure), tuple(nuisance)) for figure, nuisance in part)])
    return folder / f"{sha256(content.encode()).hexdigest()[:24]}.npy"


def _render_parts(parts: Sequence[Sequence[Job]], folder: Path, workers: int = 2) -> list[Path]:
    """Draw the parts that the cache lacks, and return the files of all."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [part_path(folder, part) for part in parts]
    missing = [(part, path) for part, path in zip(parts, paths, strict=True) if not path.is_file()]
    pictures = render_many([job for part, _ in missing for job in part], workers=workers)
    for part, path in missing:
        partial = path.with_suffix(f".{os.getpid()}.npy")
        np.save(partial, np.stack([resize(png) for png in islice(pictures, len(part))]))
        partial.rename(path)
    return paths
