"""Filters run on tables made in a test."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from cirgen.filters.base import Filter, Score
from cirgen.filters.registry import FILTERS
from cirgen.filters.tools import Belief, Embeddings, Gallery, Match, Question, Reading, Tools
from cirgen.keys import digest, draw
from cirgen.recipe import Recipe
from cirgen.schemas import TRIPLET

ENDS = ("reference_id", "target_id")


def make_filter(name: str, **settings: Any) -> Filter:
    """Build a filter as a recipe does."""
    recipe = Recipe.model_validate(
        {
            "name": "test",
            "images": {"kind": "folder", "path": "."},
            "encoder": {"model": "cirgen:filter-encoder"},
            "filter": [{"name": name, **settings}],
        }
    )
    return FILTERS.build(recipe.filter[0])


def triplets(*rows: dict[str, Any] | str) -> list[dict[str, Any]]:
    """Fill up rows of `schemas.TRIPLET`; a text alone makes one of an own pair."""
    blank = {
        **{name: "" for name in TRIPLET.names},
        "rank": 1,
        "regenerated": 0,
        "similarity": 0.5,
        "hard_negatives": [],
        "status": "ok",
    }
    return [
        {
            **blank,
            "triplet_id": digest(number),
            "reference_id": f"r{number}",
            "target_id": f"t{number}",
            **({"text": row} if isinstance(row, str) else row),
        }
        for number, row in enumerate(rows)
    ]


def decide(part: Filter, rows: Sequence[dict[str, Any]], embeddings: Embeddings | None = None) -> list[str]:
    """Score and decide, as the stage does."""
    scores = measure(part, rows, embeddings)
    batch = pa.RecordBatch.from_pylist(
        [row for row, score in zip(rows, scores, strict=True) if score.status == "ok"], schema=TRIPLET
    )
    values = [score.values for score in scores if score.status == "ok"]
    columns = {name: batch.column(name) for name in ("triplet_id", *part.decides_on)}
    measured = {name: pa.array([row[name] for row in values], pa.float64()) for name in part.score_notes}
    reasons = iter(part.decide(pa.Table.from_pydict(columns | measured)) if batch.num_rows else [])
    return [next(reasons) if score.status == "ok" else "not scored" for score in scores]


def measure(part: Filter, rows: Sequence[dict[str, Any]], embeddings: Embeddings | None = None) -> list[Score]:
    """Score rows."""
    return part.score(batch_of(part, rows), tools_of(rows, embeddings))


def batch_of(part: Filter, rows: Sequence[dict[str, Any]]) -> pa.RecordBatch:
    """Return rows as a filter scores them; what it has observed first is what it asked."""
    batch = pa.RecordBatch.from_pylist(list(rows), schema=TRIPLET)
    if part.observes:
        batch = batch.append_column("observed", pa.array([part.question(row).rendered for row in rows], pa.string()))
    return batch


class Opinion:
    """A model whose answers are drawn by what it is asked: beliefs without weights."""

    identity: Mapping[str, Any] = {"content": "opinion"}

    def choose(self, questions: Sequence[Question], options: Sequence[str]) -> list[Belief]:
        drawn = [[draw("belief", q.rendered, q.image_ids, option) + 1e-9 for option in options] for q in questions]
        return [Belief("ok", "", tuple(one / sum(row) for one in row), 1.0) for row in drawn]

    def read(self, answers: Sequence[tuple[Question, str]]) -> list[Reading]:
        return [
            Reading("ok", "", -10 * draw("reading", question.rendered, question.image_ids, text), 3)
            for question, text in answers
        ]


class Labels:
    """A classifier whose probabilities are drawn by what it is shown."""

    identity = "labels"
    labels = ("contradiction", "neutral", "entailment")
    exclusive = True

    def probabilities(self, texts: Sequence[str], seconds: Sequence[str] | None = None) -> np.ndarray:
        drawn = [
            [draw("label", text, second, label) + 1e-9 for label in self.labels]
            for text, second in zip(texts, seconds or texts, strict=True)
        ]
        return np.asarray([[one / sum(row) for one in row] for row in drawn]).reshape(len(texts), len(self.labels))


class Listed:
    """A list of known pictures that has every third one."""

    identity = "listed"

    def matches(self, image_ids: Sequence[str]) -> list[Match]:
        levels = [int(6 * draw("known", image_id)) for image_id in image_ids]
        return [Match(level, "bench") if level < 4 and level else Match(0, "") for level in levels]


def tools_of(rows: Sequence[dict[str, Any]], embeddings: Embeddings | None) -> Tools:
    """Return tools with models and lists, and a gallery of every picture that rows name and nine more."""
    more = {str(10 * number) for number in range(1, 10)}
    shown = more | {row[end] for row in rows for end in ENDS}
    return Tools((embeddings,) if embeddings else (), gallery(shown), Opinion(), Labels(), Listed())


def gallery(image_ids: Iterable[str], groups: Mapping[str, str] | None = None) -> Gallery:
    """Return a gallery in which pictures are their own group, where nothing else is said."""
    ids = sorted(image_ids)
    names = [(groups or {}).get(image_id, image_id) for image_id in ids]
    return Gallery("gallery", np.asarray(ids, dtype="S64"), np.asarray(names, dtype="S64"))


def reason(part: Filter, text: str = "", **fields: Any) -> str:
    """Return what a filter says of one triplet."""
    return decide(part, triplets({"text": text, **fields}))[0]


class Plane:
    """Embeddings in the plane: a name that is a number is an angle in degrees, any other gets one by hash."""

    identity = "plane"

    def images(self, image_ids: Sequence[str]) -> np.ndarray:
        angles = np.radians([float(name) if name.isdigit() else 90 * draw("angle", name) for name in image_ids])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)

    texts = images

    def expect(self, texts: Iterable[str]) -> None:
        """Every text has its angle already."""
