"""Filters that ask a model, in a real run: each question asked once, whatever is killed, moved or added later."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from cirgen.backends.loaded_model import LoadedModel
from cirgen.backends.transformers import TransformersBackend
from cirgen.errors import NothingAcceptedError, UserError
from cirgen.model_settings import Model
from cirgen.models import Models
from cirgen.pipeline import run_pipeline
from cirgen.recipe import Recipe
from cirgen.recipe_file import load_recipe
from cirgen.run_folder import Run
from cirgen.store import Store

pytestmark = [pytest.mark.integration, pytest.mark.long]

IMAGES = 30
STACK: list[dict[str, Any]] = [
    {"name": "lint"},
    {"name": "likelihood", "min_share_percentile": 5},
    {"name": "judge", "min_yes_percentile": 5},
    {"name": "claims", "min_true_percentile": 5},
    {"name": "round_trip", "min_passed": 1},
]


def a_run(folder: Path, stack: list[dict[str, Any]], **store: Any) -> Run:
    nearest = "pair.signals=[{kind: neighbours, per_image: 2}]"  # of few figures, others are far
    fields = load_recipe("demo", [nearest]).recipe.model_dump(mode="json")
    return Run(
        folder, Recipe.model_validate({**fields, "filter": stack}), Store(folder / "store", **store), limit=IMAGES
    )


def verdicts(run: Run) -> list[dict[str, Any]]:
    """Return the verdicts on texts that were written whole: of others no filter is asked."""
    rows = pq.read_table(run.verdicts).to_pylist()
    return [row for row in rows if not row["reason"].startswith("generation: ")]


def shares(run: Run) -> dict[str, float | None]:
    return {row["triplet_id"]: dict(row["scores"]).get("likelihood.share") for row in verdicts(run)}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = a_run(tmp_path_factory.mktemp("asking"), STACK)
    run_pipeline(run)
    return run


def test_every_filter_that_asks_leaves_its_scores_and_the_model_is_named(finished: Run) -> None:
    scored = [dict(row["scores"]) for row in verdicts(finished) if not row["reason"]]
    assert scored
    for scores in scored:
        assert {"judge.yes", "claims.true", "round_trip.passed", "likelihood.share"} <= set(scores)
    funnel = finished.read_facts()["funnel"]["filters"]
    assert any("Letters picked" in remark for remark in funnel[-1]["remarks"])
    assert "Letters picked" in finished.report.read_text()


def test_a_pair_is_observed_once_however_many_texts_it_has(finished: Run) -> None:
    with finished.store.connect() as connection:
        rows = connection.execute(
            "SELECT prompt, count(*), count(DISTINCT key) "
            f"FROM {finished.store.rows(connection, 'observe')} GROUP BY prompt"
        ).fetchall()
    assert {prompt for prompt, _, _ in rows} == {"change-images@1", "split-claims@1"}
    assert all(count == keys for _, count, keys in rows)


def test_running_again_and_moving_thresholds_asks_nothing(finished: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: Any, **__: Any) -> Any:
        raise AssertionError("a model was asked")

    monkeypatch.setattr(LoadedModel, "generate", forbidden)
    monkeypatch.setattr(LoadedModel, "forward", forbidden)
    before = verdicts(finished)
    run_pipeline(a_run(finished.folder, STACK))
    assert verdicts(finished) == before
    tighter = [*STACK[:-1], {"name": "round_trip", "min_passed": 3}]
    run_pipeline(a_run(finished.folder, tighter))
    run_pipeline(a_run(finished.folder, STACK))
    assert verdicts(finished) == before


def test_what_fails_while_asking_runs_again_and_ends_the_same(
    finished: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose, calls = TransformersBackend.choose, []

    def dies(self: TransformersBackend, requests: Any, options: Any, images: Any) -> Any:
        calls.append(options)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return choose(self, requests, options, images)

    monkeypatch.setattr(TransformersBackend, "choose", dies)
    with pytest.raises(KeyboardInterrupt):
        run_pipeline(a_run(tmp_path, STACK))
    run = a_run(tmp_path, STACK)
    run_pipeline(run)
    assert verdicts(run) == verdicts(finished)


def test_a_question_that_ran_out_of_memory_is_a_row_and_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = LoadedModel.forward

    def too_big(*_: Any, **__: Any) -> Any:
        raise MemoryError("no memory")

    monkeypatch.setattr(LoadedModel, "forward", too_big)
    stack = STACK[:2]
    with pytest.raises(NothingAcceptedError):
        run_pipeline(a_run(tmp_path, stack))
    reasons = {row["reason"] for row in verdicts(a_run(tmp_path, stack))}
    assert reasons == {"likelihood: not scored"}
    monkeypatch.setattr(LoadedModel, "forward", forward)
    run = a_run(tmp_path, stack)
    run_pipeline(run)
    assert "likelihood: not scored" not in {row["reason"] for row in verdicts(run)}


def test_what_fails_is_asked_once_a_run_however_often_texts_are_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, lost = LoadedModel.forward, []

    def fails_at_first(self: LoadedModel, inputs: Any, last: int) -> Any:
        if len(lost) < 2:
            lost.append(inputs)
            raise MemoryError("no memory")
        return read(self, inputs, last)

    monkeypatch.setattr(LoadedModel, "forward", fails_at_first)
    stack = [{"name": "lint"}, {"name": "likelihood", "min_text_percentile": 60}]
    run = a_run(tmp_path, stack)
    regenerate = run.recipe.modify.regenerate.model_copy(update={"tries": 2, "temperature": 1.5})
    recipe = run.recipe.model_copy(update={"modify": run.recipe.modify.model_copy(update={"regenerate": regenerate})})
    run = Run(tmp_path, recipe, Store(tmp_path / "store"), limit=IMAGES)
    run_pipeline(run)
    assert max(row["regenerated"] for row in pq.read_table(run.triplets).to_pylist()) == 2

    def attempts() -> list[int]:
        with run.store.connect() as connection:
            rows = connection.execute(f"SELECT attempt FROM {run.store.rows(connection, 'score-likelihood')}")
            return sorted(attempt for (attempt,) in rows.fetchall())

    assert set(attempts()) == {0}
    assert "likelihood: not scored" in {row["reason"] for row in verdicts(run)}
    run_pipeline(run)
    assert set(attempts()) == {0, 1}
    assert "likelihood: not scored" not in {row["reason"] for row in verdicts(run)}


def test_models_that_differ_in_speed_alone_share_their_weights(tmp_path: Path) -> None:
    models = Models(a_run(tmp_path, STACK))

    def weights(**settings: Any) -> LoadedModel:
        backend = models.backend(Model(model="cirgen:mllm", **settings))
        assert isinstance(backend, TransformersBackend)
        return backend._loaded

    assert weights(batch_size=3) is weights(batch_size=64)
    assert weights(batch_size=3) is not weights(batch_size=3, max_pixels=10_000)


def test_a_longer_answer_is_another_question(finished: Run, tmp_path: Path) -> None:
    stack = [{"name": "judge", "min_yes": 0, "observed_tokens": 1}]
    run = a_run(tmp_path, stack)
    with pytest.raises(NothingAcceptedError):
        run_pipeline(run)  # one token of an answer is a truncated answer
    assert {row["reason"] for row in verdicts(run)} == {"judge: not scored"}
    run = a_run(tmp_path, [{**stack[0], "observed_tokens": 96}])
    run_pipeline(run)
    assert "judge: not scored" not in {row["reason"] for row in verdicts(run)}


def test_a_score_belongs_to_the_near_images_that_it_read(finished: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recipe that lists more hard negatives asks nothing anew of a filter that reads the first five."""
    before = shares(finished)
    more = finished.recipe.pair.model_copy(update={"hard_negatives": 9})
    run = Run(
        finished.folder,
        finished.recipe.model_copy(update={"pair": more}),
        Store(finished.folder / "store"),
        limit=IMAGES,
    )

    def forbidden(*_: Any, **__: Any) -> Any:
        raise AssertionError("a model was asked")

    monkeypatch.setattr(LoadedModel, "forward", forbidden)
    monkeypatch.setattr(LoadedModel, "generate", forbidden)
    run_pipeline(run)
    assert shares(run) == before
    assert any(before.values())
    monkeypatch.undo()
    run_pipeline(a_run(finished.folder, STACK))


def test_another_model_asks_anew_and_stands_in_the_card(finished: Run, tmp_path: Path) -> None:
    own = [{**STACK[1], "model": {"model": "cirgen:mllm", "max_pixels": 10_000}}]
    run = a_run(tmp_path, own)
    run_pipeline(run)
    assert run.read_facts()["models"]["likelihood"] == run.read_facts()["models"]["mllm"]
    with run.store.connect() as connection:
        keys = {
            key
            for (key,) in connection.execute(
                f"SELECT key FROM {run.store.rows(connection, 'score-likelihood')}"
            ).fetchall()
        }
        others = {
            key
            for (key,) in connection.execute(
                f"SELECT key FROM {finished.store.rows(connection, 'score-likelihood')}"
            ).fetchall()
        }
    assert keys
    assert not keys & others
    assert "likelihood" in (run.dataset / "README.md").read_text()


def test_a_filter_that_asks_without_a_model_says_so(tmp_path: Path) -> None:
    fields = load_recipe("demo").recipe.model_dump(mode="json")
    texts = {"caption": {"prompts": []}, "modify": {**fields["modify"], "prompts": ["change-images"]}}
    recipe = Recipe.model_validate({**fields, **texts, "filter": [STACK[2]]})
    run = Run(tmp_path, recipe.model_copy(update={"mllm": None}), Store(tmp_path / "store"), limit=IMAGES)
    from cirgen.filters.registry import FILTERS
    from cirgen.stages.filter_tools import Toolbox

    part = FILTERS.build(recipe.filter[0])
    with pytest.raises(UserError, match="'judge' asks a model; add a section 'mllm'"):
        Toolbox(run, Models(run), NoImages()).tools("judge", part)


class NoImages:
    """A run without pictures."""

    def open(self, image_id: str) -> Any:
        raise OSError(image_id)
