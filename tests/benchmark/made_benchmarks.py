"""Small made benchmarks in the file formats of the real ones, and plain oracles of what a protocol counts."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cirgen_benchmark.protocols.base import Features, Protocol

CATEGORIES = ("dress", "shirt", "toptee")
TASKS = ("focus_attribute", "change_attribute", "focus_object", "change_object")


def write_json(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def write_fashioniq(root: Path, images: int = 14, queries: int = 9, seed: int = 0) -> Path:
    """Write captions and splits of val; galleries have images that no query names."""
    rng = random.Random(seed)
    for category in CATEGORIES:
        names = [f"B{category[0].upper()}{number:04d}" for number in range(images)]
        rng.shuffle(names)
        pairs = [rng.sample(names[: images - 3], 2) for _ in range(queries)]
        rows = [{"target": b, "candidate": a, "captions": ["is Red. ", "has a longer Hem,"]} for a, b in pairs]
        write_json(root / "captions" / f"cap.{category}.val.json", rows)
        write_json(root / "image_splits" / f"split.{category}.val.json", names)
    return root


def write_cirr(root: Path, split: str = "val", images: int = 60, queries: int = 12, seed: int = 0) -> Path:
    """Write captions and splits, with sets of six, of which one is the reference and one the target."""
    rng = random.Random(seed)
    stem = "dev" if split == "val" else split
    names = [f"{stem}-{number}-{number % 3}-img{number % 2}" for number in range(images)]
    rng.shuffle(names)
    rows = []
    for number in range(queries):
        members = rng.sample(names, 6)
        reference, target = rng.sample(members, 2)
        row: dict[str, Any] = {"pairid": 12_000 + 7 * number, "reference": reference, "caption": "Fewer towels"}
        if split == "val":
            row |= {"target_hard": target, "target_soft": {target: 1.0}}
        rows.append({**row, "img_set": {"id": number, "members": members, "reference_rank": 0}})
    write_json(root / "captions" / f"cap.rc2.{split}.json", rows)
    write_json(root / "image_splits" / f"split.rc2.{split}.json", {name: f"./{stem}/{name}.png" for name in names})
    return root


def write_circo(root: Path, split: str = "val", images: int = 70, queries: int = 10, seed: int = 0) -> Path:
    """Write annotations with one to five right images a query, and COCO's list of images."""
    rng = random.Random(seed)
    ids = rng.sample(range(1_000, 600_000), images)
    rows = []
    for number in range(queries):
        reference, *rights = rng.sample(ids, 1 + rng.randint(1, 5))
        row: dict[str, Any] = {"reference_img_id": reference, "relative_caption": "has two dogs", "id": number}
        row["shared_concept"] = "a dog in a park"
        if split == "val":
            aspects = rng.sample(["cardinality", "negation", "viewpoint"], rng.randint(1, 2))
            row |= {"target_img_id": rights[0], "gt_img_ids": rights, "semantic_aspects": aspects}
        rows.append(row)
    write_json(root / "annotations" / f"{split}.json", rows)
    info = {"images": [{"id": image, "file_name": f"{image:012d}.jpg", "height": 4} for image in ids], "licenses": []}
    write_json(root / "COCO2017_unlabeled" / "annotations" / "image_info_unlabeled2017.json", info)
    return root


def write_genecis(root: Path, tasks: Sequence[str] = TASKS, queries: int = 8, distractors: int = 5) -> Path:
    """Write tasks; pictures of attribute tasks have boxes, and one query lists its target among the others, too."""
    for seed, task in enumerate(tasks):
        rng = random.Random(seed)
        pictures = [_picture(task, number) for number in range(20)]
        rows = []
        for number in range(queries):
            reference, target, *others = rng.sample(pictures, 2 + distractors)
            if number == 0:
                others[2] = target
            rows.append({"condition": "wall", "reference": reference, "target": target, "gallery": others})
        write_json(root / f"{task}.json", rows)
    return root


def _picture(task: str, number: int) -> dict[str, Any]:
    if task.endswith("object"):
        return {"val_image_id": 1_000 + number}
    return {"image_id": 2_000 + number // 2, "instance_bbox": [number, 4.5, 30, 20 + number]}


def made_features(protocol: Protocol, dimensions: int = 4, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Make features with many ties: components are -1, 0 or 1; an image has one vector, whatever list names it."""
    rng = np.random.default_rng(seed)
    vectors: dict[str, NDArray[np.float32]] = {}

    def vector(name: str) -> NDArray[np.float32]:
        if name not in vectors:
            vectors[name] = _some_vector(rng, dimensions)
        return vectors[name]

    made = {name: np.stack([vector(image) for image in ids]) for name, ids in protocol.galleries().items()}
    for name, ids in protocol.query_ids().items():
        made[name] = np.stack([_some_vector(rng, dimensions) for _ in ids])
    return made


def _some_vector(rng: np.random.Generator, dimensions: int) -> NDArray[np.float32]:
    while True:
        found = rng.integers(-1, 2, size=dimensions).astype(np.float32)
        if found.any():
            return found


def similarity(query: NDArray[Any], image: NDArray[Any]) -> float:
    """Return the dot product, or the largest with any of an image's vectors, in Python's own floats."""
    rows = image.tolist() if image.ndim == 2 else [image.tolist()]
    return max(sum(a * b for a, b in zip(query.tolist(), row, strict=True)) for row in rows)


def oracle_rank(found: Mapping[str, float], target: str, without: Iterable[str] = ()) -> int:
    """Return the place of a target that stands behind all it is tied with."""
    others = [name for name in found if name != target and name not in set(without)]
    return 1 + sum(found[name] >= found[target] for name in others)


def oracle_places(found: Mapping[str, float], rights: Iterable[str], without: Iterable[str] = ()) -> list[int]:
    """Sort by hand, wrong before right where tied, and return the places of the right ones."""
    right = set(rights)
    ranked = sorted(
        (name for name in found if name not in set(without)), key=lambda name: (-found[name], name in right)
    )
    return [place for place, name in enumerate(ranked, 1) if name in right]


def oracle_average_precision(places: Sequence[int], rights: int, k: int) -> float:
    """Sum precision@i over the places i <= k of right images, over min(k, rights), in per cent."""
    precisions = [sum(other <= place for other in places) / place for place in places if place <= k]
    return 100 * sum(precisions) / min(k, rights)


def ranked_by(features: Features, gallery: str, names: Sequence[str], query: NDArray[Any]) -> dict[str, float]:
    """Return the similarity of one query with each image of a gallery."""
    return {name: similarity(query, image) for name, image in zip(names, features[gallery], strict=True)}
