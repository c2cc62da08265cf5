from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cirgen.filters.base import Filter, Score
from cirgen.filters.lint import Lint
from cirgen.filters.similarity import Similarity
from cirgen.filters.tools import Embeddings, Tools
from cirgen.keys import digest, draw
from cirgen.recipe import Recipe
from cirgen.run_folder import Run
from cirgen.schemas import TRIPLET, VERDICT
from cirgen.shards import write_rows
from cirgen.stages.filter import filter_triplets
from cirgen.store import Store
from deciding import gallery

LINT = {"name": "lint", "min_words": 3}
SIMILARITY = {"name": "similarity", "upper": 0.5}
AGREEMENT = {"name": "agreement", "min_target_percentile": 20}


class Drawn:
    """Embeddings drawn by content: an encoder without a model."""

    def __init__(self, identity: str = "drawn") -> None:
        self.identity = identity
        self.encoded: list[str] = []
        self.expected: set[str] = set()

    def images(self, image_ids: Sequence[str]) -> np.ndarray:
        return np.stack([self._vector(image_id) for image_id in image_ids])

    def expect(self, texts: Iterable[str]) -> None:
        self.expected = set(texts)

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        assert self.expected >= set(texts)
        self.encoded += texts
        return np.stack([self._vector(text) for text in texts])

    def _vector(self, content: str) -> np.ndarray:
        vector = np.asarray([draw(self.identity, content, number) - 0.5 for number in range(8)], dtype=np.float32)
        return vector / np.linalg.norm(vector)


def tools(embeddings: Embeddings | None = None) -> Callable[[str, Filter], Tools]:
    """Hand out embeddings and nothing else."""
    return lambda name, part: Tools((embeddings,) if embeddings and part.needs_embeddings else ())


def triplet(number: int, **fields: Any) -> dict[str, Any]:
    text = {name: "" for name in TRIPLET.names}
    return {
        **text,
        "triplet_id": digest("triplet", number),
        "reference_id": f"r{number % 5}",
        "target_id": f"t{number}",
        "text": f"make the shirt number {number}",
        "split": "train",
        "similarity": number / 20,
        "rank": 1,
        "regenerated": 0,
        "status": "ok",
        "hard_negatives": [],
        **fields,
    }


def make_run(folder: Path, filters: Sequence[dict[str, Any]], rows: Sequence[dict[str, Any]]) -> Run:
    recipe = Recipe.model_validate(
        {
            "name": "test",
            "images": {"kind": "folder", "path": "."},
            "encoder": {"model": "cirgen:filter-encoder"},
            "filter": filters,
        }
    )
    run = Run(folder, recipe, Store(folder / "store"))
    write_rows(run.triplets, sorted(rows, key=lambda row: str(row["triplet_id"])), TRIPLET)
    return run


def verdicts(run: Run) -> dict[str, dict[str, Any]]:
    table = pq.read_table(run.verdicts)
    assert table.schema.equals(VERDICT)
    rows = table.to_pylist()
    assert [row["triplet_id"] for row in rows] == sorted(row["triplet_id"] for row in rows)
    return {row["triplet_id"]: {**row, "scores": dict(row["scores"])} for row in rows}


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the filters that measured a row, once per row."""
    calls: list[str] = []
    for part in (Lint, Similarity):

        def score(self: Any, triplets: pa.RecordBatch, tools: Tools, original: Any = part.score) -> list[Score]:
            calls.extend([type(self).__name__] * triplets.num_rows)
            return original(self, triplets, tools)  # type: ignore[no-any-return]

        monkeypatch.setattr(part, "score", score)
    return calls


ROWS = [triplet(number) for number in range(20)]


def test_every_triplet_gets_a_verdict_with_the_scores_of_every_filter_that_saw_it(tmp_path: Path) -> None:
    short = triplet(30, text="blue shirt")
    failed = triplet(31, status="truncated")
    run = make_run(tmp_path, [LINT, SIMILARITY], [*ROWS, short, failed])
    filter_triplets(run, tools())
    found = verdicts(run)
    assert len(found) == 22
    assert found[failed["triplet_id"]]["reason"] == "generation: truncated"
    assert found[failed["triplet_id"]]["scores"] == {}
    assert found[short["triplet_id"]]["reason"] == "lint: too short"
    assert found[short["triplet_id"]]["scores"]["lint.words"] == 2
    assert "similarity.cosine" not in found[short["triplet_id"]]["scores"]
    for number, row in enumerate(ROWS):
        verdict = found[row["triplet_id"]]
        assert verdict["reason"] == ("" if number <= 10 else "similarity: too similar")
        assert verdict["scores"]["similarity.cosine"] == pytest.approx(number / 20)


def test_the_funnel_counts_every_step(tmp_path: Path) -> None:
    run = make_run(tmp_path, [LINT, SIMILARITY], [*ROWS, triplet(30, text="blue"), triplet(31, status="oom")])
    filter_triplets(run, tools())
    assert run.read_facts()["funnel"] == {
        "planned": 22,
        "generated": 21,
        "filters": [
            {"name": "lint", "seen": 21, "scored": 21, "rejected": 1, "reasons": {"too short": 1}, "remarks": []},
            {
                "name": "similarity",
                "seen": 20,
                "scored": 20,
                "rejected": 9,
                "reasons": {"too similar": 9},
                "remarks": [],
            },
        ],
        "accepted": 11,
    }


def test_without_filters_all_that_was_generated_is_accepted(tmp_path: Path) -> None:
    run = make_run(tmp_path, [], [*ROWS, triplet(31, status="parse_error")])
    filter_triplets(run, tools())
    assert sum(not verdict["reason"] for verdict in verdicts(run).values()) == 20


def test_other_thresholds_score_nothing_again(tmp_path: Path, scored: list[str]) -> None:
    filter_triplets(make_run(tmp_path, [LINT, SIMILARITY], ROWS), tools())
    assert len(scored) == 40
    tighter = make_run(tmp_path, [{**LINT, "min_words": 4}, {**SIMILARITY, "upper": 0.21}], ROWS)
    filter_triplets(tighter, tools())
    filter_triplets(tighter, tools())
    assert len(scored) == 40
    assert sum(not verdict["reason"] for verdict in verdicts(tighter).values()) == 5


def test_a_loosened_threshold_scores_only_rows_never_scored(tmp_path: Path, scored: list[str]) -> None:
    rows = [triplet(number, text="make it " + "very " * (number % 4) + "blue") for number in range(20)]
    filter_triplets(make_run(tmp_path, [{**LINT, "min_words": 5}, SIMILARITY], rows), tools())
    assert scored.count("Similarity") == 10
    filter_triplets(make_run(tmp_path, [{**LINT, "min_words": 4}, SIMILARITY], rows), tools())
    assert (scored.count("Lint"), scored.count("Similarity")) == (20, 15)


def test_a_changed_text_or_similarity_is_scored_again(tmp_path: Path, scored: list[str]) -> None:
    filter_triplets(make_run(tmp_path, [SIMILARITY], ROWS), tools())
    changed = [{**ROWS[0], "text": "another text of it"}, {**ROWS[1], "similarity": 0.75}, *ROWS[2:]]
    filter_triplets(make_run(tmp_path, [SIMILARITY], changed), tools())
    assert len(scored) == 22


def test_triplets_with_the_same_words_and_images_are_scored_once(tmp_path: Path, scored: list[str]) -> None:
    twins = [{**ROWS[0], "triplet_id": digest("twin", number)} for number in range(4)]
    run = make_run(tmp_path, [SIMILARITY], twins)
    filter_triplets(run, tools())
    assert len(scored) == 1
    assert all(verdict["scores"] == {"similarity.cosine": 0.0} for verdict in verdicts(run).values())


def test_scores_are_those_of_one_encoder(tmp_path: Path) -> None:
    run, first, again, other = make_run(tmp_path, [AGREEMENT], ROWS), Drawn(), Drawn(), Drawn("other")
    for embeddings in (first, again, other):
        filter_triplets(run, tools(embeddings))
    assert [len(embeddings.encoded) for embeddings in (first, again, other)] == [20, 0, 20]


def test_an_expensive_filter_says_first_how_many_rows_a_loosened_one_lets_it_score(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict = make_run(tmp_path, [SIMILARITY, AGREEMENT], ROWS)
    loose = make_run(tmp_path, [AGREEMENT], ROWS)
    said: list[str] = []
    for run in (strict, loose):
        monkeypatch.setattr(run.progress, "say", said.append)
        filter_triplets(run, tools(Drawn()))
        filter_triplets(run, tools(Drawn()))
    assert said == ["Filter 'agreement' has 9 triplets to score that it never saw before."]


def test_a_percentile_is_of_the_triplets_that_earlier_filters_accepted(tmp_path: Path) -> None:
    run = make_run(tmp_path, [SIMILARITY, AGREEMENT], ROWS)
    filter_triplets(run, tools(Drawn()))
    steps = run.read_facts()["funnel"]["filters"]
    assert (steps[1]["seen"], steps[1]["rejected"]) == (11, 2)


def test_a_filter_that_measures_nothing_stores_nothing(tmp_path: Path) -> None:
    run = make_run(tmp_path, [{"name": "duplicate"}], [*ROWS, {**ROWS[3], "triplet_id": digest("copy")}])
    filter_triplets(run, tools())
    assert run.read_facts()["funnel"]["filters"][0]["reasons"] == {"same text": 1}
    assert not run.store.shards("score-duplicate")


def test_verdicts_are_the_same_bytes_from_one_store_or_from_scratch(tmp_path: Path) -> None:
    stack = [LINT, {"name": "duplicate"}, SIMILARITY, AGREEMENT, {"name": "diversity", "always": 3}]
    fresh, grown = make_run(tmp_path / "fresh", stack, ROWS), make_run(tmp_path / "grown", stack, ROWS)
    filter_triplets(make_run(tmp_path / "grown", stack[2:4], ROWS[:7]), tools(Drawn()))
    filter_triplets(make_run(tmp_path / "grown", stack, ROWS), tools(Drawn()))
    filter_triplets(fresh, tools(Drawn()))
    assert fresh.verdicts.read_bytes() == grown.verdicts.read_bytes()


def test_marks_are_published_beside_the_scores_and_follow_the_settings(tmp_path: Path) -> None:
    def with_gallery(name: str, part: Filter) -> Tools:
        return Tools((Drawn(),), gallery({row[end] for row in ROWS for end in ("reference_id", "target_id")}))

    def found(folder: Path, **settings: Any) -> list[dict[str, Any]]:
        run = make_run(folder, [LINT, {"name": "shortcut", **settings}], [*ROWS, triplet(30, text="blue")])
        filter_triplets(run, with_gallery)
        return list(verdicts(run).values())

    rejecting = found(tmp_path / "one", min_text_rank=6)
    tagging = found(tmp_path / "two", min_text_rank=6, action="tag")
    assert 0 < sum(row["reason"].startswith("shortcut") for row in rejecting) < 20
    assert [row["scores"].get("shortcut.tagged") for row in tagging] == [
        None if row["reason"].startswith("lint") else float(bool(row["reason"])) for row in rejecting
    ]
    again = found(tmp_path / "two", min_text_rank=1, action="tag")
    assert not any(row["scores"].get("shortcut.tagged") for row in again)


def test_no_triplet_at_all_is_no_error(tmp_path: Path) -> None:
    run = make_run(tmp_path, [LINT, SIMILARITY, {"name": "diversity"}], [])
    filter_triplets(run, tools())
    assert verdicts(run) == {}
    assert run.read_facts()["funnel"]["accepted"] == 0


def test_a_recipe_that_lists_a_filter_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="lint is listed twice; merge"):
        make_run(tmp_path, [LINT, LINT], ROWS)
