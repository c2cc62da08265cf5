"""A finished run over 240 toy figures, its tables written directly, and what a reader sees of a corpus of them."""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from cirgen import __file__ as package
from cirgen import __version__
from cirgen.changes import save_recipe
from cirgen.recipe import Recipe
from cirgen.run_folder import Run
from cirgen.schemas import CAPTION_PLAN, CATALOG, INGEST, MODIFY_PLAN, PAIR, TRIPLET, VERDICT
from cirgen.shards import write_rows
from cirgen.stages.ingest import INGEST_PLAN
from cirgen.store import Store
from cirgen.world import grammar
from cirgen.world.build import IMAGES, TABLE, read_truth, shipped
from cirgen.world.edits import edits
from cirgen.world.figure import Figure
from cirgen.world.render import SIZE

PUBLISHED = Path(package).parent.parent / "cards" / "voxel-figures"
FURNITURE = PUBLISHED.with_name("furniture")
UNSEEN: dict[bool, tuple[dict[str, str], ...]] = {
    False: ({"outfit": "hoodie", "shirt_color": "green"}, {"head": "beanie", "glasses": "sunglasses"}),
    True: (
        {"kind": "lounge chair", "seat": "red"},
        {"kind": "wooden bed", "blanket": "purple"},
        {"kind": "wardrobe", "doors": "yellow"},
        {"top": "white", "legs": "blue"},
    ),
}
"""Pairs of values of a corpus that no training showed together, of furniture or not."""
FAMILIES = (3, 0, 2, 5)
"""One of train, one of validation, two of test."""
EACH_FAMILY = 60
PAIRS = 160
QUESTIONS = {"train": 6, "validation": 6, "test": 6}
RECIPE = {
    "name": "voxel-figures",
    "images": {"kind": "folder", "path": "cirgen:images", "license": "CC0-1.0"},
    "mllm": {"model": "cirgen:mllm"},
    "encoder": {"model": "cirgen:filter-encoder"},
    "filter": [{"name": "lint", "min_words": 3, "max_words": 12}],
    "export": {"images": "embed", "validation": 0, "test": 0, "preview": 4, "license": "CC0-1.0"},
}


@dataclass(frozen=True)
class Corpus:
    """A dataset folder, and its rows as any reader of Parquet sees them."""

    folder: Path

    @property
    def is_furniture(self) -> bool:
        return "kind" in self.attributes[min(self.attributes)]

    @property
    def unseen(self) -> set[str]:
        """Images that show a pair of values which no training showed together."""
        return {
            name
            for name, values in self.attributes.items()
            for pair in UNSEEN[self.is_furniture]
            if pair.items() <= values.items()
        }

    def rows(self, config: str, split: str = "*") -> list[dict[str, Any]]:
        files = sorted((self.folder / config).glob(f"{split}-*.parquet"))
        return [row for file in files for row in pq.read_table(file).to_pylist()]

    def splits(self, config: str) -> list[str]:
        return sorted({file.name.partition("-")[0] for file in (self.folder / config).glob("*.parquet")})

    @cached_property
    def attributes(self) -> dict[str, dict[str, str]]:
        """Image id to its attributes."""
        known = ("image_id", "split", "family", "unseen_pair")
        return {
            row["image_id"]: {name: value for name, value in row.items() if name not in known}
            for row in self.rows("attributes")
        }

    @cached_property
    def split_of(self) -> dict[str, str]:
        return {row["image_id"]: row["split"] for row in self.rows("attributes")}

    @property
    def card(self) -> str:
        return (self.folder / "README.md").read_text(encoding="utf8")

    @property
    def manifest(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "manifest.json").read_text(encoding="utf8"))
        return found


def make_run(folder: Path) -> Run:
    recipe = Recipe.model_validate(RECIPE)
    run = Run(folder, recipe, Store(folder / "store"))
    figures = _figures()
    _write_images(run, sorted(figures))
    triplets = _triplets(figures)
    _write_texts(run, triplets)
    save_recipe(folder, recipe)
    run.note_facts(cirgen=__version__, recipe_hash="r" * 64, models={}, prompts={}, seconds={})
    return run


def _figures() -> dict[str, tuple[Figure, int]]:
    truth = read_truth(shipped() / TABLE)
    found: dict[str, tuple[Figure, int]] = {}
    for family in FAMILIES:
        whole = zip(truth.image_ids, truth.figures, truth.families, strict=True)
        rows = [row for row in whole if row[2] == family]
        found |= {name: (figure, family) for name, figure, family in random.Random(family).sample(rows, EACH_FAMILY)}
    return found


def _alias(name: str) -> dict[str, str]:
    known = {"source": "cirgen:images", "source_id": f"{name}.png", "license": "CC0-1.0"}
    return {**dict.fromkeys(("category", "author", "url"), ""), **known}


def _write_images(run: Run, names: list[str]) -> None:
    rows = []
    for name in names:
        path = shipped() / IMAGES / f"{name}.png"
        place = {"path": str(path), "blob": "", "offset": 0, "length": path.stat().st_size}
        known = {"image_id": name, "pixel_hash": name, "width": SIZE, "height": SIZE, "caption": ""}
        rows.append({**known, **place, "category": "", "aliases": [_alias(name)], "group": name, "split": "train"})
    write_rows(run.catalog, rows, CATALOG)
    write_rows(
        run.ingest_plan, ({"key": n, "path": "", "caption": "", "alias": _alias(n)} for n in names), INGEST_PLAN
    )
    asked = {"prompt": "caption-brief@1", "rendered": "Describe it.", "prompt_index": 0, "sample_index": 0}
    write_rows(run.caption_plan, ({"key": f"c{n}", "image_id": n, **asked} for n in names), CAPTION_PLAN)
    with run.store.writer("ingest") as ingested, run.store.writer("caption") as captioned:
        for row in rows:
            known = {name: row[name] for name in row if name in INGEST.names}
            blank = {"perceptual_hash": "", "color_hash": "", "format": "PNG", "notes": [], "alias": row["aliases"][0]}
            ingested.write({"key": row["image_id"], "attempt": 0, "status": "ok", "error": "", **blank, **known})
            captioned.write(_said(f"c{row['image_id']}", "a toy figure"))


def _said(key: str, text: str) -> dict[str, Any]:
    told = {"status": "ok", "error": "", "text": text, "raw": text, "finish_reason": "stop", "sampling": "{}"}
    return {"key": key, "attempt": 0, **told, "prompt_tokens": 9, "output_tokens": 5, **_WRITER}


_WRITER = {
    "prompt": "change-images@1",
    "prompt_hash": "p" * 64,
    "model": "cirgen:mllm",
    "revision": "",
    "backend": "transformers",
}


def _triplets(figures: dict[str, tuple[Figure, int]]) -> list[dict[str, Any]]:
    rng = random.Random(0)
    names, found = sorted(figures), dict[str, dict[str, Any]]()
    while len(found) < PAIRS:
        reference, target = rng.sample(names, 2)
        (one, family), (other, other_family) = figures[reference], figures[target]
        near = family == other_family and 1 <= len(edits(one, other)) <= 2
        if not near and not (family != other_family and len(found) % 20 == 19):
            continue
        text = grammar.change(one, other, rng) or ""
        if len(found) % 7 == 6:
            text = "make the hat red, the shoes blue"  # of no figure here true as a whole
        mined = [name for name in rng.sample(names, 3) if name not in (reference, target)]
        row = _triplet(reference, target, text, mined)
        found[row["triplet_id"]] = row
    return [found[name] for name in sorted(found)]


def _triplet(reference: str, target: str, text: str, mined: list[str]) -> dict[str, Any]:
    pair_id = hashlib.sha256(f"{reference}|{target}".encode()).hexdigest()
    wrong = [{"image_id": reference, "kind": "reference"}, *({"image_id": name, "kind": "mined"} for name in mined)]
    known = {"pair_id": pair_id, "reference_id": reference, "target_id": target, "split": "train"}
    measured = {"signal": "neighbours", "similarity": 0.5, "rank": 1, "hard_negatives": wrong}
    written = {"text": text, "change_type": "any", "direction": "forward", "regenerated": 0, "status": "ok"}
    captions = {"rewrite": "", "reference_caption": "a toy figure", "target_caption": "a toy figure"}
    groups = {"reference_group": reference, "target_group": target}
    triplet_id = hashlib.sha256(f"{pair_id}|{text}".encode()).hexdigest()
    return {"triplet_id": triplet_id, **known, **measured, **written, **captions, **groups, **_WRITER}


def _write_texts(run: Run, triplets: list[dict[str, Any]]) -> None:
    pairs = {row["pair_id"]: {name: row[name] for name in PAIR.names} for row in triplets}
    write_rows(run.pairs, [pairs[name] for name in sorted(pairs)], PAIR)
    asked = {"rendered": "Which change?", "intent": "any", "direction": "forward", "sample_index": 0, "regenerated": 0}
    plan = [
        {"key": row["triplet_id"], **{n: row[n] for n in MODIFY_PLAN.names if n in row}, **asked} for row in triplets
    ]
    write_rows(run.modify_plan, plan, MODIFY_PLAN)
    write_rows(run.triplets, triplets, TRIPLET)
    with run.store.writer("modify") as writer:
        for row in triplets:
            writer.write(_said(row["triplet_id"], row["text"]))
    write_rows(run.verdicts, (_verdict(row) for row in triplets), VERDICT)


def _verdict(row: dict[str, Any]) -> dict[str, Any]:
    words = len(row["text"].split())
    reason = "lint: too short" if words < 3 else "lint: too long" if words > 12 else ""
    return {"triplet_id": row["triplet_id"], "reason": reason, "scores": {"lint.words": float(words)}}
