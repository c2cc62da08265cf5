"""Draws the collections of furniture and the pools that models train on. The drawn files ship; this makes them anew.

    apt-get download sweethome3d-furniture && dpkg -x sweethome3d-furniture_*.deb deb
    unzip -d models deb/usr/share/sweethome3d/furniture/BlendSwap-CC-0.sh3f
    pip install 'cirgen[furniture]'
    python -m cirgen.world.furniture.render collections --models models --out cirgen/world/furniture
    python -m cirgen.world.furniture.render pool --models models --purpose mllm

Another version of VTK can draw other pixels: pictures are named by the hash of their bytes, and tests read those that
ship. Both parts of every picture are painted from the palette, so its attributes are exact; that a change of either
can be seen is proved by drawing the picture once more with the part in another colour.
"""

from __future__ import annotations

import io
import random
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import typer

from cirgen.errors import UserError
from cirgen.world.furniture.families import COLLECTIONS, Member, collection, training_items
from cirgen.world.furniture.item import Item
from cirgen.world.furniture.scene import Color, Job, draw
from cirgen.world.furniture.vocabulary import PALETTE, PLAIN, VIEWS, kinds

SIDE = 224
"""Side of a picture in pixels."""
QUALITY = 45
"""Of WebP."""
MODEL_SIDE = 96
"""Side at which the embedded models see a picture, and at which a change must be visible."""
AZIMUTH_JITTER, ELEVATION_JITTER = 8.0, 4.0
"""Most degrees that the camera is off its view; views lie further apart."""
CHANGED = 40
"""Difference of a pixel, summed over its three channels of 0 to 255, that counts as changed."""
LEAST_CHANGED = 0.008
"""Least share of pixels that another colour of a part must change: 74 of 9,216."""
POSES = {"mllm": 2, "filter-encoder": 1, "judge-encoder": 1}
"""Pictures of every training item, each from a pose of its own."""
CATALOGUE = "blendswap-cc-0"
LICENSE, SOURCE = "CC0-1.0", "sweethome3d-furniture 1.8-1, BlendSwap-CC-0"

Pixels = npt.NDArray[np.uint8]

app = typer.Typer(help="Draw the furniture of the second embedded world.", no_args_is_help=True)
ModelsOption = Annotated[Path, typer.Option(help="Folder that BlendSwap-CC-0.sh3f was unpacked into.")]


class Pose(NamedTuple):
    """From where a picture is drawn, in degrees."""

    azimuth: float
    elevation: float


def pose(view: str, rng: random.Random) -> Pose:
    """Draw a pose near a view."""
    azimuth, elevation = VIEWS[view]
    return Pose(
        azimuth + rng.uniform(-AZIMUTH_JITTER, AZIMUTH_JITTER),
        elevation + rng.uniform(-ELEVATION_JITTER, ELEVATION_JITTER),
    )


def rgb(color: str) -> Color:
    """Return a `#rrggbb` as numbers from 0 to 1."""
    red, green, blue = (int(color[place : place + 2], 16) / 255 for place in (1, 3, 5))
    return red, green, blue


def job(item: Item, seen: Pose, side: int) -> Job:
    """Return the picture of an item."""
    kind = kinds()[item.kind]
    colors = {material: rgb(PLAIN) for material in kind.plain}
    for part, materials in kind.parts.items():
        colors |= dict.fromkeys(materials, rgb(PALETTE[getattr(item, part)]))
    return Job(colors, seen.azimuth, seen.elevation, side)


def repainted(item: Item, part: str) -> Item:
    """Return the item with `part` in the colour that is hardest to tell from its own."""
    own = np.array(rgb(PALETTE[getattr(item, part)]))
    others = [name for name in PALETTE if name != getattr(item, part)]
    nearest = min(others, key=lambda name: float(np.abs(np.array(rgb(PALETTE[name])) - own).sum()))
    return item.with_values(**{part: nearest})


def changed_share(one: Any, other: Any) -> float:
    """Return the share of pixels (0 to 1) in which two pictures visibly differ."""
    difference = np.abs(np.asarray(one, np.int16) - np.asarray(other, np.int16)).sum(2)
    return float((difference > CHANGED).mean())


class Drawn(NamedTuple):
    """A picture of a collection, as WebP, and how it was made."""

    member: Member
    webp: bytes
    pose: Pose
    changed: tuple[float, ...]
    """Share of pixels that another colour changes, by part of the item."""


def draw_members(models: Path, members: Sequence[Member], rng: random.Random) -> list[Drawn]:
    """Draw members of one kind, and prove that each of their parts can be seen.

    Raises:
        UserError: a part cannot be told, or the model cannot be drawn.
    """
    poses = [pose(member.item.view, rng) for member in members]
    jobs = []
    for member, seen in zip(members, poses, strict=True):
        item = member.item
        jobs += [job(item, seen, SIDE), *(job(one, seen, MODEL_SIDE) for one in _compared(item))]
    pictures = iter(draw(model_path(models, members[0].item.kind), jobs))
    return [_drawn(member, seen, pictures) for member, seen in zip(members, poses, strict=True)]


def _compared(item: Item) -> list[Item]:
    return [item, *(repainted(item, part) for part in item.parts)]


def _drawn(member: Member, seen: Pose, pictures: Iterator[Any]) -> Drawn:
    picture, plain = next(pictures), next(pictures)
    changed = tuple(changed_share(plain, next(pictures)) for _ in member.item.parts)
    if min(changed) < LEAST_CHANGED:
        raise UserError(f"A part of {member.item} cannot be seen ({changed}); take the view out of models.yaml.")
    webp = io.BytesIO()
    picture.save(webp, "WEBP", quality=QUALITY, method=6)
    return Drawn(member, webp.getvalue(), seen, changed)


def model_path(models: Path, kind: str) -> Path:
    """Return the file of a kind's model."""
    name = kinds()[kind].model
    path = models / CATALOGUE / name / f"{name}.obj"
    if not path.is_file():
        raise UserError(f"{path} is missing: unpack BlendSwap-CC-0.sh3f into {models} (see the head of this module).")
    return path


@app.command()
def collections(
    models: ModelsOption,
    out: Annotated[Path, typer.Option(help="Folder for COLLECTION/images/ and COLLECTION/truth/.")],
) -> None:
    """Draw every collection: pictures named by content, and apart from them their attributes and origins.

    Example: python -m cirgen.world.furniture.render collections --models models --out furniture/
    """
    for purpose in COLLECTIONS:
        drawn = []
        for kind in kinds():
            members = [member for member in collection(purpose) if member.item.kind == kind]
            if members:
                drawn += draw_members(models, members, random.Random(f"{purpose} {kind}"))
        _write(out / purpose, drawn)
        size = sum(len(one.webp) for one in drawn)
        least = min(min(one.changed) for one in drawn)
        typer.echo(f"{purpose}: {len(drawn)} pictures, {size:,} bytes; a part changes at least {100 * least:.1f} %")


def _write(folder: Path, drawn: Sequence[Drawn]) -> None:
    from cirgen.world.build import IMAGES, TABLE, write_table
    from cirgen.world.worlds import FURNITURE

    names = [sha256(one.webp).hexdigest() for one in drawn]
    if len(set(names)) < len(names):
        raise UserError("Two pictures are the same bytes: draw with more jitter.")
    images = folder / IMAGES
    images.mkdir(parents=True, exist_ok=True)
    if strange := [path for path in images.glob("*") if path.stem not in set(names)]:
        raise UserError(f"{images} holds {len(strange)} other pictures; give a new folder with --out.")
    for name, one in zip(names, drawn, strict=True):
        (images / f"{name}.webp").write_bytes(one.webp)
    members = [one.member for one in drawn]
    write_table(folder / TABLE, names, [one.item for one in members], [one.family for one in members], FURNITURE)
    _write_origins(folder / TABLE.with_name("origins.parquet"), names, drawn)


def _write_origins(path: Path, names: Sequence[str], drawn: Sequence[Drawn]) -> None:
    """Write what every picture was made of: the model, its creator and licence, the pose, what its parts change."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        {
            "image_id": name,
            "model": kinds()[one.member.item.kind].model,
            "creator": kinds()[one.member.item.kind].creator,
            "license": LICENSE,
            "source": SOURCE,
            "azimuth": round(one.pose.azimuth, 2),
            "elevation": round(one.pose.elevation, 2),
            "changed_large": round(one.changed[0], 4),
            "changed_small": round(one.changed[1], 4),
        }
        for name, one in sorted(zip(names, drawn, strict=True), key=lambda pair: pair[0])
    ]
    pq.write_table(pa.Table.from_pylist(rows), path, compression="zstd")


def pool_file(purpose: str) -> Path:
    """Return where the training pictures of a purpose are kept between runs."""
    from cirgen.resources import cache_folder

    return cache_folder("world") / f"furniture-{purpose}.npz"


@app.command()
def pool(
    models: ModelsOption,
    purpose: Annotated[str, typer.Option(help="mllm, filter-encoder or judge-encoder.")],
    out: Annotated[Path | None, typer.Option(help="File; by default where training looks for it.")] = None,
) -> None:
    """Draw what models of a purpose are trained on, at the side that they see.

    Example: python -m cirgen.world.furniture.render pool --models models --purpose judge-encoder
    """
    items = training_items(purpose)
    pixels = np.zeros((len(items) * POSES[purpose], MODEL_SIDE, MODEL_SIDE, 3), np.uint8)
    for kind in kinds():
        places = [place for place, item in enumerate(items) if item.kind == kind]
        rng = random.Random(f"pool {purpose} {kind}")
        jobs = [
            job(items[place], pose(items[place].view, rng), MODEL_SIDE)
            for place in places
            for _ in range(POSES[purpose])
        ]
        rows = [place * POSES[purpose] + turn for place in places for turn in range(POSES[purpose])]
        for row, picture in zip(rows, draw(model_path(models, kind), jobs), strict=True):
            pixels[row] = np.asarray(picture)
    path = out or pool_file(purpose)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, pixels=pixels)
    typer.echo(f"{len(pixels)} pictures of {len(items)} items in {path}")


if __name__ == "__main__":
    app()
