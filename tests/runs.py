"""A small finished run, its tables written directly: twelve real pictures, two filters, one failure of each kind."""

from __future__ import annotations

import hashlib
import io
import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from cirgen import __version__
from cirgen.recipe import Recipe
from cirgen.run_folder import Run
from cirgen.schemas import CAPTION_PLAN, CATALOG, MODIFY_PLAN, PAIR, TRIPLET, VERDICT
from cirgen.shards import write_rows
from cirgen.stages.ingest import INGEST_PLAN
from cirgen.store import Store

COLORS = ("red", "green", "blue", "gold", "purple", "teal")
SHAPES = ("ball", "box")
SPLIT_OF_COLOR = dict(zip(COLORS, ("train", "train", "train", "train", "validation", "test"), strict=True))
LINT = {"name": "lint", "min_words": 3, "max_words": 9}
REASONS = {"short": "lint: too short", "long": "lint: too long"}


def make_recipe(images: Path, **sections: Any) -> Recipe:
    fields = {
        "name": "toys",
        "images": {"kind": "folder", "path": str(images), "license": "CC0-1.0"},
        "mllm": {"model": "example/small-mllm", "revision": "abc123"},
        "encoder": {"model": "example/small-clip"},
        "pair": {"signals": [{"kind": "neighbours", "lower": 0.2, "upper": 0.9}]},
        "filter": [LINT],
        "export": {"license": "cc0-1.0"},
    }
    return Recipe.model_validate({**fields, **sections})


def make_run(tmp_path: Path, license: str = "CC0-1.0", **sections: Any) -> Run:
    """Write every derived table of a run, as the stages would have."""
    images = tmp_path / "images"
    run_folder = tmp_path / "run"
    run = Run(run_folder, make_recipe(images, **sections), Store(run_folder / "store"))
    catalog = _write_catalog(run, images, license)
    _write_captions(run, catalog)
    triplets = _write_triplets(run, catalog)
    write_rows(run.verdicts, map(_verdict, triplets), VERDICT)
    run.note_facts(
        cirgen=__version__,
        recipe_hash="r" * 64,
        models={"mllm": "m" * 64, "encoder": "e" * 64},
        prompts={},
        seconds={"ingest": 1.5, "caption": 30.0, "modify": 61.25},
    )
    return run


def with_recipe(run: Run, **sections: Any) -> Run:
    """Return the run under a changed recipe."""
    return replace(run, recipe=Recipe.model_validate({**run.recipe.model_dump(), **sections}))


def _picture(color: str, shape: str, extra: int) -> bytes:
    image = Image.new("RGB", (96, 64 + extra), "white")
    draw = ImageDraw.Draw(image)
    (draw.ellipse if shape == "ball" else draw.rectangle)((20, 10, 70, 55), fill=color)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _write_catalog(run: Run, folder: Path, license: str) -> list[dict[str, Any]]:
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for color, shape, extra in [*itertools.product(COLORS, SHAPES, [0]), ("red", "ball", 1)]:
        content = _picture(color, shape, extra)
        path = folder / f"{color}-{shape}-{extra}.png"
        path.write_bytes(content)
        image_id = hashlib.sha256(content).hexdigest()
        alias = {
            "source": str(folder),
            "source_id": path.name,
            "category": shape,
            "license": license,
            "author": "A. Painter",
            "url": "",
        }
        rows.append(
            {
                "image_id": image_id,
                "pixel_hash": image_id,
                "width": 96,
                "height": 64 + extra,
                "path": str(path),
                "blob": "",
                "offset": 0,
                "length": len(content),
                "caption": "",
                "category": shape,
                "aliases": [alias],
                "group": f"{color} {shape}",
                "split": SPLIT_OF_COLOR[color],
            }
        )
    rows.sort(key=lambda row: row["image_id"])
    for row in rows:  # a group is called by its smallest image_id
        row["group"] = min(other["image_id"] for other in rows if _same_toy(other, row))
    write_rows(run.catalog, rows, CATALOG)
    keys = [*(row["image_id"] for row in rows), "broken"]
    plan = [{"key": key, "path": "", "caption": "", "alias": {}} for key in keys]
    write_rows(run.ingest_plan, plan, INGEST_PLAN)
    with run.store.writer("ingest") as writer:
        for row in rows:
            writer.write(_ingested(row["image_id"], "ok", "", row))
        writer.write(_ingested("broken", "image_error", "cannot identify image file", None))
    return rows


def _same_toy(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return toy(one) == toy(other)


def toy(row: dict[str, Any]) -> str:
    """Return what a picture of the catalog shows, e.g. `red ball`."""
    color, shape, _ = row["aliases"][0]["source_id"].split("-")
    return f"{color} {shape}"


def _ingested(key: str, status: str, error: str, row: dict[str, Any] | None) -> dict[str, Any]:
    known = row or {"image_id": "", "width": 0, "height": 0, "path": "", "length": 0, "aliases": [{}]}
    return {
        "key": key,
        "attempt": 0,
        "status": status,
        "error": error,
        "pixel_hash": "",
        "perceptual_hash": "",
        "color_hash": "",
        "format": "PNG",
        "notes": [],
        "blob": "",
        "offset": 0,
        "caption": "",
        "alias": known["aliases"][0],
        **{name: known[name] for name in ("image_id", "width", "height", "path", "length")},
    }


def _write_captions(run: Run, catalog: list[dict[str, Any]]) -> None:
    plan = [
        {
            "key": f"caption-{row['image_id']}",
            "image_id": row["image_id"],
            "prompt": "caption-brief@1",
            "rendered": "Describe the image.",
            "prompt_index": 0,
            "sample_index": 0,
        }
        for row in catalog
    ]
    write_rows(run.caption_plan, plan, CAPTION_PLAN)
    with run.store.writer("caption") as writer:
        for row in catalog:
            failed = toy(row) == "teal box"
            writer.write(_generated(f"caption-{row['image_id']}", "" if failed else f"a {toy(row)}", failed))


def _generated(key: str, text: str, failed: bool) -> dict[str, Any]:
    return {
        "key": key,
        "attempt": 0,
        "status": "truncated" if failed else "ok",
        "error": "no end of sequence within 64 tokens" if failed else "",
        "text": text,
        "raw": text,
        "finish_reason": "length" if failed else "stop",
        "sampling": "{}",
        "prompt_tokens": 20,
        "output_tokens": 5,
        "prompt": "caption-brief@1",
        "prompt_hash": "p" * 64,
        "model": "example/small-mllm",
        "revision": "abc123",
        "backend": "transformers",
    }


def _write_triplets(run: Run, catalog: list[dict[str, Any]]) -> list[dict[str, Any]]:
    pairs, triplets, plan = [], [], []
    for reference, target in itertools.permutations(catalog, 2):
        if reference["split"] != target["split"] or reference["group"] == target["group"]:
            continue
        pair = _pair(reference, target, catalog)
        pairs.append(pair)
        color, shape = toy(target).split()
        texts = {
            "good": f"show a {color} {shape} instead",
            "short": "red",
            "long": "please make the whole thing look like " + " and ".join(COLORS),
        }
        kinds = ["good"] if len(pairs) % 5 else list(texts)
        triplets += [_triplet(pair, reference, target, texts[kind], "ok") for kind in kinds]
    triplets.append(_triplet(pairs[0], *_ends(pairs[0], catalog), "", "truncated"))
    triplets.sort(key=lambda row: row["triplet_id"])
    for row in triplets:
        plan.append(
            {
                **{name: row[name] for name in ("triplet_id", "pair_id", "reference_id", "target_id", "prompt")},
                "key": row["triplet_id"],
                "rendered": "Which change turns the first image into the second?",
                "intent": "any",
                "direction": "forward",
                "sample_index": 0,
                "regenerated": 0,
            }
        )
    write_rows(run.pairs, sorted(pairs, key=lambda row: row["pair_id"]), PAIR)
    write_rows(run.modify_plan, sorted(plan, key=lambda row: row["key"]), MODIFY_PLAN)
    write_rows(run.triplets, triplets, TRIPLET)
    with run.store.writer("modify") as writer:
        for row in triplets:
            writer.write(_generated(row["triplet_id"], row["text"], row["status"] != "ok"))
    return triplets


def _ends(pair: dict[str, Any], catalog: list[dict[str, Any]]) -> list[dict[str, Any]]:
    by_id = {row["image_id"]: row for row in catalog}
    return [by_id[pair["reference_id"]], by_id[pair["target_id"]]]


def _digest(*parts: str) -> str:
    return hashlib.sha256("|".join(parts).encode()).hexdigest()


def _pair(reference: dict[str, Any], target: dict[str, Any], catalog: list[dict[str, Any]]) -> dict[str, Any]:
    near = [
        row["image_id"] for row in catalog if row["split"] == reference["split"] and row["group"] != target["group"]
    ]
    pair_id = _digest(reference["image_id"], target["image_id"])
    kept = [image_id for image_id in near if image_id != reference["image_id"]][:2]
    return {
        "pair_id": pair_id,
        "reference_id": reference["image_id"],
        "target_id": target["image_id"],
        "split": reference["split"],
        "signal": "neighbours",
        "similarity": 0.2 + 0.7 * int(pair_id[:4], 16) / 16**4,
        "rank": 1,
        "hard_negatives": [
            {"image_id": reference["image_id"], "kind": "reference"},
            *({"image_id": image_id, "kind": "mined"} for image_id in kept),
        ],
    }


def _triplet(
    pair: dict[str, Any], reference: dict[str, Any], target: dict[str, Any], text: str, status: str
) -> dict[str, Any]:
    shared = ("pair_id", "reference_id", "target_id", "split", "signal", "similarity", "rank", "hard_negatives")
    return {
        **{name: pair[name] for name in shared},
        "triplet_id": _digest(pair["pair_id"], text, status),
        "text": text,
        "change_type": "any",
        "direction": "forward",
        "regenerated": 0,
        "status": status,
        "rewrite": "",
        "reference_caption": f"a {toy(reference)}",
        "target_caption": f"a {toy(target)}",
        "reference_group": reference["group"],
        "target_group": target["group"],
        "prompt": "change-images@1",
        "prompt_hash": "p" * 64,
        "model": "example/small-mllm",
        "revision": "abc123",
        "backend": "transformers",
    }


def _verdict(triplet: dict[str, Any]) -> dict[str, Any]:
    words = len(triplet["text"].split())
    if triplet["status"] != "ok":
        return {"triplet_id": triplet["triplet_id"], "reason": f"generation: {triplet['status']}", "scores": {}}
    reason = "lint: too short" if words < 3 else "lint: too long" if words > 9 else ""
    return {"triplet_id": triplet["triplet_id"], "reason": reason, "scores": {"lint.words": float(words)}}


def write_vectors(run: Run, count: int, dimensions: int = 8) -> None:
    """Write image embeddings, as the embedding stage would."""
    vectors = np.random.default_rng(0).normal(size=(count, dimensions)).astype(np.float32)
    np.save(run.image_vectors, vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
