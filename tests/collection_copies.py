"""Small copies of the collections that SPN4CIR's recipes read, with toy figures in place of their pictures."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

from cirgen.resources import local_path

FIGURES = sorted(local_path("cirgen:images").iterdir())[:36]


def write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def fashioniq_copy(root: Path) -> Path:
    """Copy twelve figures a category, of which the last two are in no human triplet."""
    (root / "images").mkdir(parents=True)
    for number, category in enumerate(("dress", "shirt", "toptee")):
        names = [f"B{number}{place:03d}" for place in range(12)]
        for name, figure in zip(names, FIGURES[12 * number :], strict=False):
            shutil.copyfile(figure, root / "images" / f"{name}.png")
        rows = [
            {"target": names[place + 5], "candidate": names[place], "captions": ["is red.", "has a hat "]}
            for place in range(5)
        ]
        write_json(root / f"image_splits/split.{category}.train.json", names)
        write_json(root / f"captions/cap.{category}.train.json", rows)
    return root


def cirr_copy(root: Path) -> Path:
    names = [f"train-{place}-0-img0" for place in range(24)]
    paths = {name: f"./train/{place % 3}/{name}.png" for place, name in enumerate(names)}
    for figure, place in zip(FIGURES, paths.values(), strict=False):
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(figure, root / place)
    rows = [
        {
            "pairid": n,
            "reference": names[n],
            "target_hard": names[n + 1],
            "caption": "no hat",
            "img_set": {"members": names[:6]},
        }
        for n in range(23)
    ]
    write_json(root / "cirr/image_splits/split.rc2.train.json", paths)
    write_json(root / "cirr/captions/cap.rc2.train.json", rows)
    return root


def write_shard(path: Path, figures: list[Path], part: int) -> None:
    """Write a shard as img2dataset does: the picture and a JSON file that has its URL."""
    with tarfile.open(path, "w") as tar:
        for number, figure in enumerate(figures):
            tar.add(figure, f"{part:03d}{number:04d}.png")
            beside = path.with_name("beside.json")
            beside.write_text(json.dumps({"url": f"https://example.org/{part}/{number}.png", "caption": "a toy"}))
            tar.add(beside, f"{part:03d}{number:04d}.json")
            beside.unlink()
