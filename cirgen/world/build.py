"""Write a collection of toy figures: pictures named by their content, and apart from them the table of truth."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from hashlib import sha256
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from cirgen.errors import UserError
from cirgen.world.families import collection
from cirgen.world.render import render_many
from cirgen.world.vocabulary import Level
from cirgen.world.worlds import FIGURES, WORLDS, World

IMAGES = "images"
TABLE = Path("truth") / "attributes.parquet"
"""Where pictures and truth lie in the folder of a collection."""


class Truth(NamedTuple):
    """The exact attributes of a collection, in the order of `image_ids`; figures, or what its world has instead."""

    image_ids: list[str]
    figures: list[Any]
    families: list[int]
    world: World = FIGURES


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
    figures, families = [sample.figure for sample in samples], [sample.family for sample in samples]
    return write_table(out_dir / TABLE, names, figures, families, FIGURES, level)


def _check_free(folder: Path, names: set[str]) -> None:
    others = [path for path in sorted(folder.glob("*.png")) if path.stem not in names]
    if others:
        raise UserError(
            f"{folder} holds {len(others)} other pictures ({others[0].name}): give a new folder with --out"
        )


def write_table(
    path: Path, names: Sequence[str], described: Sequence[Any], families: Sequence[int], world: World, level: str = ""
) -> Path:
    """Write the attribute table of a collection, in order of image id."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = [
        {"image_id": name, "level": level, "family": family} | asdict(one)
        for name, one, family in sorted(zip(names, described, families, strict=True), key=lambda row: row[0])
    ]
    text = [pa.field(name, pa.string(), nullable=False) for name in ("image_id", "level")]
    family = pa.field("family", pa.int32(), nullable=False)
    attributes = [pa.field(name, pa.string(), nullable=False) for name in world.names]
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, pa.schema([*text, family, *attributes])), path, compression="zstd")
    return path


def read_truth(path: Path) -> Truth:
    """Read an attribute table written by `write_table`; a `UserError` if there is none, or it is something else."""
    import pyarrow.parquet as pq

    if not path.is_file():
        raise UserError(f"no attribute table at {path}: write one with `cirgen world render --out DIR`")
    there = set(pq.read_schema(path).names)
    world = next((world for world in WORLDS if there.issuperset(("image_id", "family", *world.names))), None)
    if world is None:
        missing = sorted({"image_id", "family", *FIGURES.names} - there)
        raise UserError(f"{path} is no attribute table, it lacks {', '.join(missing)}")
    rows = pq.read_table(path).to_pylist()
    figures = [world.make(*(row[name] for name in world.names)) for row in rows]
    return Truth([row["image_id"] for row in rows], figures, [row["family"] for row in rows], world)


def shipped_table(image_ids: Iterable[str]) -> Path:
    """Return the table of the shipped collection that `image_ids` are of: the figures', unless another knows more."""
    import pyarrow.parquet as pq

    wanted = set(image_ids)
    tables = [path for path in (shipped() / TABLE, shipped_furniture("corpus") / TABLE) if path.is_file()]

    def known(path: Path) -> int:
        return len(wanted.intersection(pq.read_table(path, columns=["image_id"]).column(0).to_pylist()))

    return max(tables, key=known, default=shipped() / TABLE)


def shipped_furniture(purpose: str) -> Path:
    """Return the folder of a collection of furniture; a wheel goes without them, a checkout has them."""
    return shipped() / "furniture" / purpose
