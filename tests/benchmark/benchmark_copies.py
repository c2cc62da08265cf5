"""Small copies of FashionIQ and CIRR with pictures, in the folders and files of the real ones: train, val, test1.

Training pictures are the given files, copied under a benchmark's names; those of val and test1 are drawn.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from made_benchmarks import CATEGORIES, write_json
from tiny_models import tiny_images, tiny_texts

VAL_IMAGES = 9
VAL_QUERIES = 4
CIRR_IMAGES = 12
CIRR_QUERIES = 6
CIRR_TRIPLETS = 36
STEMS = {"train": "train", "val": "dev", "test1": "test1"}
"""What CIRR's names begin with in each split."""
Layout = Literal["official", "flat"]
"""CIRR with its annotations in a folder cirr/ beside train/, dev/ and test1/, or without it."""


def fashioniq_copy(root: Path, pictures: Sequence[Path]) -> Path:
    """Write captions/, image_splits/ and images/, some of which are .jpg and some .png; return the root."""
    for number, category in enumerate(CATEGORIES):
        names = [f"B00{category[0].upper()}TR{place:03d}" for place in range(len(pictures))]
        _fashioniq_split(root, category, "train", names, len(names) - 1)
        for name, picture in zip(names, pictures, strict=True):
            _copied(picture, root / "images" / f"{name}{picture.suffix}")
        names = [f"B00{category[0].upper()}VA{place:03d}" for place in range(VAL_IMAGES)]
        _fashioniq_split(root, category, "val", names, VAL_QUERIES)
        for place, image in enumerate(tiny_images(VAL_IMAGES, seed=number)):
            image.save(root / "images" / f"{names[place]}.{'jpg' if place % 2 else 'png'}")
    return root


def _fashioniq_split(root: Path, category: str, split: str, names: Sequence[str], queries: int) -> None:
    texts = tiny_texts(2 * queries)
    rows = [
        {
            "target": names[place + 1],
            "candidate": names[place],
            "captions": [f"is {texts[place]}. ", texts[-place - 1]],
        }
        for place in range(queries)
    ]
    write_json(root / "captions" / f"cap.{category}.{split}.json", rows)
    write_json(root / "image_splits" / f"split.{category}.{split}.json", list(names))


def cirr_copy(root: Path, pictures: Sequence[Path], layout: Layout = "official") -> Path:
    """Write annotations and pictures of train, val and test1; return the root."""
    annotations = root / "cirr" if layout == "official" else root
    train = {f"train-{place}-{place % 3}-img0": f"./train/{place % 5}/" for place in range(len(pictures))}
    for (name, folder), picture in zip(train.items(), pictures, strict=True):
        _copied(picture, root / folder / f"{name}.png")
    _cirr_split(annotations, "train", {name: f"{folder}{name}.png" for name, folder in train.items()}, CIRR_TRIPLETS)
    for number, split in enumerate(("val", "test1")):
        names = [f"{STEMS[split]}-{place}-{place % 3}-img1" for place in range(CIRR_IMAGES)]
        paths = {name: f"./{STEMS[split]}/{name}.png" for name in names}
        _cirr_split(annotations, split, paths, CIRR_QUERIES)
        for name, image in zip(names, tiny_images(CIRR_IMAGES, seed=10 + number), strict=True):
            (root / paths[name]).parent.mkdir(parents=True, exist_ok=True)
            image.save(root / paths[name])
    return root


def _cirr_split(annotations: Path, split: str, paths: dict[str, str], queries: int) -> None:
    names = list(paths)
    texts = tiny_texts(queries)
    rows = []
    for place in range(queries):
        members = list(itertools.islice(itertools.cycle(names), place, place + 6))
        target = members[1 + place // len(names)]
        row: dict[str, Any] = {"pairid": 100 + place, "reference": members[0], "caption": texts[place]}
        if split != "test1":
            row |= {"target_hard": target, "target_soft": {target: 1.0}}
        rows.append({**row, "img_set": {"id": place, "members": members, "reference_rank": 0}})
    write_json(annotations / "captions" / f"cap.rc2.{split}.json", rows)
    write_json(annotations / "image_splits" / f"split.rc2.{split}.json", paths)


def _copied(picture: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(picture, place)
