"""A tiny corpus of the figures that ship with cirgen, and presets that judge it within seconds.

The corpus is exported as a run exports it; only its texts come from rules instead of a model, so that it is known
which of them are right.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
from tiny_models import tiny_checkpoint

from cirgen import yaml_text
from cirgen.keys import digest
from cirgen.recipe import Recipe
from cirgen.run_folder import Run
from cirgen.schemas import CATALOG, MODIFY_PLAN, PAIR, TRIPLET, VERDICT
from cirgen.shards import write_rows
from cirgen.stages.export import export
from cirgen.stages.ingest import INGEST_PLAN
from cirgen.store import Store
from cirgen.world import grammar
from cirgen.world.build import IMAGES, TABLE, read_truth, shipped
from cirgen.world.figure import Figure
from cirgen.world.pairs import Pair, draw_pairs
from cirgen_benchmark.verdict.preset import Preset
from cirgen_benchmark.verdict.results import Results

FAMILY = 60
"""Images of each of the two families."""
SPLITS = ("train",) * 8 + ("validation", "test")
REASON = "agreement: the text is about another picture"
CHANGE_TYPES = ("any", "attribute", "count")
TINY_STEPS = {"batch": 16, "temperature": 0.05, "evaluate_every": 2}


class Judged(NamedTuple):
    """A finished verdict and its folder."""

    results: Results
    folder: Path


def world_corpus(folder: Path, each: int = 25, **export_settings: Any) -> Path:
    """Export a corpus and return its dataset folder.

    Args:
        folder: of the run.
        each: pairs of one, of two and of three edits in the training split.
        export_settings: fields of the recipe's section `export`.
    """
    truth = read_truth(shipped() / TABLE)
    rows = [row for family in (0, 1) for row in _members(truth.families, family)]
    ids, figures = [truth.image_ids[row] for row in rows], [truth.figures[row] for row in rows]
    families = [truth.families[row] for row in rows]
    run = Run(folder, _recipe(export_settings), Store(folder / "store"))
    split_of = {image_id: SPLITS[place % len(SPLITS)] for place, image_id in enumerate(ids)}
    _write_images(run, split_of)
    pairs, triplets = [], []
    for split, count in (("train", each), ("validation", 4), ("test", 4)):
        places = [place for place, image_id in enumerate(ids) if split_of[image_id] == split]
        drawn = draw_pairs([figures[p] for p in places], [families[p] for p in places], count, seed=0)
        unique = {(pair.reference, pair.target): pair for pair in drawn}
        for number, pair in enumerate(unique.values()):
            ends = [places[pair.reference], places[pair.target]]
            row = _pair(pair, [ids[end] for end in ends], split, [figures[end] for end in ends])
            pairs.append(row)
            triplets += _triplets(row, number, [figures[end] for end in ends], random.Random(f"{split} {number}"))
    _write_triplets(run, pairs, triplets)
    run.note_facts(cirgen="0", recipe_hash="r" * 64, models={}, prompts={}, seconds={})
    export(run)
    return run.dataset


def tiny_preset(**sections: Any) -> Preset:
    """Return a preset with three arms, two seeds and one curve; `sections` replace whole sections of it."""
    return Preset.model_validate({**tiny_fields(), **sections})


def write_preset(path: Path, **sections: Any) -> Path:
    """Write a tiny preset as a user has it: a YAML file. Mistakes in `sections` go into the file as they are."""
    fields = tiny_preset().model_dump(mode="json", exclude_unset=True)
    path.write_text(yaml_text.write_yaml({**fields, **sections}), encoding="utf8")
    return path


def tiny_fields() -> dict[str, Any]:
    """Return the fields of `tiny_preset`, with a random CLIP and queries of the corpus's own held-out splits."""
    return {**TINY_PRESET, "base": {"family": "clip", "model": str(tiny_checkpoint("clip")), "device": "cpu"}}


TINY_PRESET: dict[str, Any] = {
    "name": "tiny",
    "about": "A few steps on a few figures.",
    "indicative": True,
    "seeds": (0, 1),
    "human": {"kind": "world", "triplets": 48},
    "development": {"kind": "corpus", "split": "validation"},
    "evaluation": {"kind": "corpus", "split": "test"},
    "stages": {
        "one": {**TINY_STEPS, "loss": "in_batch", "trains": "all", "steps": 3, "optimiser": {"rate": 3e-4}},
        "two": {**TINY_STEPS, "loss": "bank", "trains": "query", "steps": 4, "optimiser": {"rate": 1e-3}},
    },
    "data": {"human": {"human": True}, "both": {"human": True, "corpus": "accepted"}},
    "arms": {
        "untrained": {"about": "the base model"},
        "human": {"steps": ({"stage": "one", "on": "human"}, {"stage": "two", "on": "human"})},
        "corpus": {"steps": ({"stage": "one", "on": "human"}, {"stage": "two", "on": "both"})},
    },
    "contrasts": {
        "corpus": {"question": "Does the corpus help?", "plus": ("corpus",), "minus": ("human",), "primary": True},
        "training": {"question": "Does training help?", "plus": ("human",), "minus": ("untrained",)},
    },
    "verdict": "corpus",
    "curves": {"people": {"vary": "human", "values": (24, 48), "arms": ("corpus",)}},
}


def _members(families: list[int], family: int) -> list[int]:
    return [row for row, of in enumerate(families) if of == family][:FAMILY]


def _recipe(export_settings: dict[str, Any]) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "tiny",
            "images": {"kind": "folder", "path": str(shipped() / IMAGES), "license": "CC0-1.0"},
            "mllm": {"model": "example/rules"},
            "encoder": {"model": "example/encoder"},
            "pair": {"signals": [{"kind": "neighbours"}]},
            "filter": [{"name": "similarity", "lower": 0.0}],
            "export": {"license": "cc0-1.0", "preview": 2, **export_settings},
        }
    )


def _write_images(run: Run, split_of: dict[str, str]) -> None:
    rows = []
    for image_id, split in sorted(split_of.items()):
        path = shipped() / IMAGES / f"{image_id}.png"
        names = {"source": "figures", "source_id": path.name, "license": "CC0-1.0"}
        alias = dict.fromkeys(("category", "author", "url"), "") | names
        sizes = {"width": 96, "height": 96, "offset": 0, "length": path.stat().st_size}
        texts = dict.fromkeys(("blob", "caption", "category"), "") | {"path": str(path), "split": split}
        hashes = dict.fromkeys(("image_id", "pixel_hash", "group"), image_id)
        rows.append({**hashes, **sizes, **texts, "aliases": [alias]})
    write_rows(run.catalog, rows, CATALOG)
    plan = [{"key": image_id, "path": "", "caption": "", "alias": {}} for image_id in sorted(split_of)]
    write_rows(run.ingest_plan, plan, INGEST_PLAN)


def _pair(pair: Pair, ids: list[str], split: str, figures: list[Figure]) -> dict[str, Any]:
    one, other = (astuple(figure) for figure in figures)
    alike = sum(a == b for a, b in zip(one, other, strict=True)) / len(one)
    return {
        "pair_id": digest("pair", *ids), "reference_id": ids[0], "target_id": ids[1], "split": split,
        "signal": "neighbours", "similarity": alike, "rank": pair.edits,
        "hard_negatives": [{"image_id": ids[0], "kind": "reference"}],
    }  # fmt: skip


def _triplets(
    pair: dict[str, Any], number: int, figures: list[Figure], rng: random.Random
) -> Iterator[dict[str, Any]]:
    """Yield the rows of a pair: most are right, every fourth is wrong; some pairs have two texts, some have none."""
    right = [text for _ in range(9) if (text := grammar.change(*figures, rng))]
    wrong = "give it a unicorn"
    texts = [wrong] if number % 4 == 3 else [right[0]]
    if number % 5 == 0:
        texts = [*list(dict.fromkeys(right))[:2], wrong]
    for place, text in enumerate(texts):
        yield _triplet(pair, text, CHANGE_TYPES[(number + place) % len(CHANGE_TYPES)], REASON if text == wrong else "")
    if number % 10 == 9:
        yield _triplet(pair, "", "any", "generation: truncated")


def _whole(row: dict[str, Any], schema: pa.Schema) -> dict[str, Any]:
    """Return the columns of a schema; those that rules of this kind never fill are empty."""
    return {field.name: row.get(field.name, _empty(field.type)) for field in schema}


def _empty(of: pa.DataType) -> Any:
    if pa.types.is_list(of):
        return []
    return "" if pa.types.is_string(of) else pa.scalar(0).cast(of).as_py()


def _triplet(pair: dict[str, Any], text: str, change_type: str, reason: str) -> dict[str, Any]:
    written = {
        "prompt": "rules@1",
        "prompt_hash": "p" * 64,
        "model": "example/rules",
        "revision": "",
        "backend": "rules",
    }
    captions = {"reference_caption": "", "target_caption": ""}
    groups = {"reference_group": pair["reference_id"], "target_group": pair["target_id"]}
    own = {
        "triplet_id": digest("triplet", pair["pair_id"], text), "text": text, "change_type": change_type,
        "direction": "forward", "regenerated": 0, "status": "ok" if text else "truncated", "reason": reason,
    }  # fmt: skip
    return {**pair, **written, **captions, **groups, **own}


def _write_triplets(run: Run, pairs: list[dict[str, Any]], triplets: list[dict[str, Any]]) -> None:
    triplets.sort(key=lambda row: row["triplet_id"])
    write_rows(run.pairs, sorted(pairs, key=lambda row: row["pair_id"]), PAIR)
    write_rows(run.triplets, [_whole(row, TRIPLET) for row in triplets], TRIPLET)
    plan = {"rendered": "", "intent": "any", "sample_index": 0}
    planned = [{**row, **plan, "key": row["triplet_id"]} for row in triplets]
    write_rows(run.modify_plan, [_whole(row, MODIFY_PLAN) for row in planned], MODIFY_PLAN)
    scored = [(row, {"similarity.cosine": row["similarity"]} if row["text"] else {}) for row in triplets]
    verdicts = [{"triplet_id": row["triplet_id"], "reason": row["reason"], "scores": scores} for row, scores in scored]
    write_rows(run.verdicts, verdicts, VERDICT)
