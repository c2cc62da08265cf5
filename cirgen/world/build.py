"""Write a collection of toy figures: pictures named by their content, and apart from them the table of truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from hashlib import sha256
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from cirgen.errors import UserError
from cirgen.world.families import Sample, collection
from cirgen.world.figure import Figure
from cirgen.world.render import render_many
from cirgen.world.vocabulary import ATTRIBUTES, Level

IMAGES = "images"
TABLE = Path("truth") / "attributes.parquet"
"""Where pictures and truth lie in the folder of a collection."""


class Truth(NamedTuple):
    """The exact attributes of a collection, in the order of `image_ids`."""

    image_ids: list[str]
    figures: list[Figure]
    families: list[int]


def shipped() -> Path:
    """Return the folder of the collection that comes with the package: 1,500 images of the medium level."""
    return Path(str(resources.files("cirgen.world")))


def build(
    level: Level, out_dir: Path, seed: int = 0, images: int = 1500, *, purpose: str = "corpus", workers: int = 2
) -> Path:
    """Draw a collection into `out_dir` and return its attribute table.

    Every picture is `images/<sha256 of its bytes>.png`: nothing in names or times tells what it shows or which belong
    together. The same arguments write the same bytes. A `UserError` protects a folder with pictures of another one.
    """
    samples = collection(purpose, level, seed, images)
    pngs = list(render_many(((s.figure, s.nuisance) for s in samples), workers=workers))
    names = [sha256(png).hexdigest() for png in pngs]
    folder = out_dir / IMAGES
    _check_free(folder, set(names))
    folder.mkdir(parents=True, exist_ok=True)
    for name, png in zip(names, pngs, strict=True):
        (folder / f"{name}.png").write_bytes(png)
    return _write_table(out_dir / TABLE, names, samples, level)


def _check_free(folder: Path, names: set[str]) -> None:
    others = [path for path in sorted(folder.glob("*.png")) if path.stem not in names]
    if others:
        raise UserError(
            f"{folder} holds {len(others)} other pictures ({others[0].name}): give a new folder with --out"
        )


def _write_table(path: Path, names: Sequence[str], samples: Sequence[Sample], level: Level) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = [
        {"image_id": name, "level": level, "family": sample.family} | asdict(sample.figure)
        for name, sample in sorted(zip(names, samples, strict=True))
    ]
    text = [pa.field(name, pa.string(), nullable=False) for name in ("image_id", "level")]
    family = pa.field("family", pa.int32(), nullable=False)
    attributes = [pa.field(attribute.name, pa.string(), nullable=False) for attribute in ATTRIBUTES]
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, pa.schema([*text, family, *attributes])), path, compression="zstd")
    return path


def read_truth(path: Path) -> Truth:
    """Read an attribute table written by `build`; a `UserError` if there is none."""
    import pyarrow.parquet as pq

    if not path.is_file():
        raise UserError(f"no attribute table at {path}: write one with `cirgen world render --out DIR`")
    rows = pq.read_table(path).to_pylist()
    figures = [Figure(*(row[attribute.name] for attribute in ATTRIBUTES)) for row in rows]
    return Truth([row["image_id"] for row in rows], figures, [row["family"] for row in rows])
