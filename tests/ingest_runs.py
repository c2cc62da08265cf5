"""Runs over tiny pictures made on the spot, and what came of them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from PIL import Image, ImageDraw

from cirgen.recipe import Recipe
from cirgen.run_folder import Run
from cirgen.sources.base import Item, Source
from cirgen.sources.registry import SOURCES
from cirgen.store import Store


def tiny(number: int, size: int = 32) -> Image.Image:
    """Return a picture that no other number looks like: nine cells of colour, drawn by the digits of the number."""
    image = Image.new("RGB", (size, size))
    draw = ImageDraw.Draw(image)
    for cell in range(9):
        value = number * 2654435761 >> (3 * cell)
        left, top = cell % 3 * size // 3, cell // 3 * size // 3
        color = (value % 8 * 36, value // 8 % 8 * 36, (value // 64 + cell) % 8 * 36)
        draw.rectangle((left, top, left + size // 3, top + size // 3), fill=color)
    return image


def encoded(image: Image.Image, name: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, name, **options)
    return buffer.getvalue()


def png(number: int) -> bytes:
    return encoded(tiny(number))


def fill(folder: Path, count: int, start: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(start, start + count):
        (folder / f"{number:04d}.png").write_bytes(png(number))
    return folder


def make_run(folder: Path, images: dict[str, Any], flush_rows: int = 1_000, **export: Any) -> Run:
    recipe = Recipe.model_validate(
        {"name": "test", "images": images, "encoder": {"model": "cirgen:filter-encoder"}, "export": export}
    )
    return Run(folder, recipe, Store(folder / "store", flush_rows=flush_rows))


def catalog(run: Run) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(run.catalog).to_pylist()
    return rows


def stored(run: Run) -> list[dict[str, Any]]:
    """Return every committed row."""
    return [row for shard in run.store.shards("ingest") for row in pq.read_table(shard).to_pylist()]


def source(**settings: Any) -> Source:
    recipe = Recipe.model_validate({"name": "x", "images": settings, "encoder": {"model": "cirgen:filter-encoder"}})
    return SOURCES.build(recipe.images)


def names(**settings: Any) -> list[str]:
    return [item.source_id for item in source(**settings).items()]


def identities(items: list[Item]) -> set[tuple[str, str, str]]:
    return {(item.source, item.source_id, item.identity) for item in items}
