"""Arms that begin alike are trained once; what is trained is found again; a step is chosen on development alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bench_runs import TINY_PRESET, Judged, tiny_preset
from tiny_models import tiny_retriever

from cirgen.errors import UserError
from cirgen.keys import digest
from cirgen_benchmark.data.corpus import Corpus
from cirgen_benchmark.verdict.bench import bench
from cirgen_benchmark.verdict.mixture import Mixture
from cirgen_benchmark.verdict.preset import Preset
from cirgen_benchmark.verdict.results import Results
from cirgen_benchmark.verdict.runner import Outcome


def stages(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the result of every stage that was trained in a folder."""
    found = (folder / "work" / "stages").glob("*/result.json")
    return {path.parent.name: json.loads(path.read_text()) for path in found}


def stage_two(folder: Path) -> dict[str, Any]:
    """Return the result of the only stage two that was trained in a folder."""
    (found,) = (one for one in stages(folder).values() if one["provenance"]["settings"]["trains"] == "query")
    return found


def untouched(folder: Path) -> dict[str, float]:
    """Return when each file of a trained stage was written."""
    return {str(path): path.stat().st_mtime for path in (folder / "work" / "stages").rglob("*") if path.is_file()}


def of(results: Results, arm: str, at: str, seed: int = 0) -> Outcome:
    (found,) = (one for one in results.outcomes if (one.arm.name, one.at, one.seed) == (arm, at, seed))
    return found


@pytest.mark.long
def test_arms_that_begin_alike_share_what_they_begin_with(judged: Judged) -> None:
    """Of each seed: stage one with 48 and with 24 human triplets, and stage two of both arms and of the point with 24.

    The curve's point with 48 is the arm itself.
    """
    seeds = [one["provenance"]["seed"] for one in stages(judged.folder).values()]
    assert {seed: seeds.count(seed) for seed in seeds} == {0: 5, 1: 5}
    point = of(judged.results, "corpus (people: 48)", "last")
    assert point.primary.values[""].tolist() == of(judged.results, "corpus", "last").primary.values[""].tolist()


def test_the_same_call_finds_everything_and_says_the_same(
    judged: Judged, corpus_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: (judged.folder / path).read_bytes() for path in ("bench.json", "queries.parquet", "report.html")}
    written = untouched(judged.folder)
    monkeypatch.setattr("cirgen_benchmark.training.trainer.Loop", None)
    bench(corpus_folder, tiny_preset(), judged.folder)
    assert untouched(judged.folder) == written
    assert {path: (judged.folder / path).read_bytes() for path in before} == before


def test_an_arm_without_steps_is_the_base_model_at_no_step(judged: Judged) -> None:
    outcome = of(judged.results, "untrained", "last")
    assert (outcome.step, outcome.triplets) == (0, (0, 0))
    assert not [one for one in judged.results.outcomes if one.arm.name == "untrained" and one.at == "best"]
    assert of(judged.results, "untrained", "last", seed=1).queries == outcome.queries


def test_seeds_train_different_models_on_different_draws(judged: Judged) -> None:
    losses = [tuple(one["state"]["losses"]) for one in stages(judged.folder).values()]
    assert len(set(losses)) == len(losses)


def alone(*arms: str, **sections: Any) -> Preset:
    """Return a preset of one seed and a few arms, which compares none."""
    chosen = {name: TINY_PRESET["arms"][name] for name in arms}
    asked: dict[str, Any] = {"contrasts": {}, "verdict": None}
    return tiny_preset(**{"seeds": (0,), "curves": {}, "arms": chosen, **asked, **sections})


@pytest.mark.long
def test_a_changed_setting_trains_what_depends_on_it_and_nothing_else(corpus_folder: Path, tmp_path: Path) -> None:
    two = {**TINY_PRESET["stages"]["two"], "temperature": 0.1}
    changes: list[tuple[dict[str, Any], int]] = [
        ({}, 2),
        ({"stages": {**TINY_PRESET["stages"], "two": two}}, 1),
        ({"human": {"kind": "world", "triplets": 40}}, 2),
        ({"about": "Other words."}, 0),
    ]
    before: set[str] = set()
    for sections, trained in changes:
        bench(corpus_folder, alone("corpus", **sections), tmp_path)
        after = set(stages(tmp_path))
        assert before <= after
        assert len(after) - len(before) == trained
        before = after


def test_the_best_step_is_the_best_on_development_by_the_metric_that_the_preset_names(
    corpus_folder: Path, tmp_path: Path
) -> None:
    often = {name: {**stage, "evaluate_every": 1} for name, stage in TINY_PRESET["stages"].items()}
    results = bench(corpus_folder, alone("corpus", select_by="map@50", stages=often), tmp_path)
    (history,) = (
        dict(one["state"]["history"]) for one in stages(tmp_path).values() if len(one["state"]["losses"]) == 4
    )
    assert list(history) == [1, 2, 3, 4]
    best = of(results, "corpus", "best").step
    assert history[best] == max(history.values()) >= history[4]
    assert of(results, "corpus", "last").step == 4
    assert not set(history.values()) <= {100 * hits / 12 for hits in range(13)}  # no recall of twelve queries


def test_where_nothing_is_developed_on_the_last_step_is_all_there_is(corpus_folder: Path, tmp_path: Path) -> None:
    results = bench(corpus_folder, alone("corpus", development=None), tmp_path)
    assert results.ats() == ("last",)


def test_an_arm_of_half_a_query_is_trained_and_examined_so(corpus_folder: Path, tmp_path: Path) -> None:
    """Without its text, a query about a reference finds the same whatever was asked."""
    steps = TINY_PRESET["arms"]["corpus"]["steps"]
    arms = {name: {"inputs": name, "steps": steps} for name in ("text", "image")}
    arms["corpus"] = {"steps": steps}
    contrasts = {"corpus": {"question": "?", "plus": ("corpus",), "minus": ("text",)}}
    results = bench(corpus_folder, tiny_preset(seeds=(0,), curves={}, arms=arms, contrasts=contrasts), tmp_path)
    assert len(stages(tmp_path)) == 6
    assert len({tuple(of(results, name, "last").queries["rank"].to_pylist()) for name in arms}) == 3


@pytest.mark.long
def test_a_bank_with_extra_images_holds_none_that_a_query_is_about(corpus_folder: Path, tmp_path: Path) -> None:
    two = {**TINY_PRESET["stages"]["two"], "bank": {"extra_images": True}}
    preset = alone("corpus", stages={**TINY_PRESET["stages"], "two": two})
    bench(corpus_folder, preset, tmp_path)
    found = stage_two(tmp_path)["provenance"]["extra_images"]
    corpus = Corpus(corpus_folder)
    held = [row.triplet for split in ("validation", "test") for row in corpus.of_split(split).accepted]
    asked = {name for triplet in held for name in (triplet.reference, triplet.target, *triplet.positives)}
    images = Mixture(preset, corpus).images
    rest = [name for name in images.ids if name not in asked]
    assert asked <= set(images.ids)
    assert found == digest([images.content(name) for name in rest])


@pytest.mark.long
def test_pictures_that_both_training_and_queries_show_are_counted(corpus_folder: Path, tmp_path: Path) -> None:
    """The human-like triplets are about the figures that ship, of which this corpus has its test split, too."""
    preset = alone("human", human={"kind": "world", "triplets": 600})
    results = bench(corpus_folder, preset, tmp_path)
    mixture = Mixture(preset, Corpus(corpus_folder))
    shown = {name for triplet in mixture.triplets("human", 0) for name in (triplet.reference, triplet.target)}
    asked = [row.triplet for row in Corpus(corpus_folder, ("test",)).accepted]
    both = shown & {name for one in asked for name in (one.reference, one.target, *one.positives)}
    assert len(both) > 1
    (note,) = results.notes
    assert note.startswith(f"Evaluation asks about {len(both)} pictures that training showed, too")
    assert json.loads((tmp_path / "bench.json").read_text())["notes"] == [note]
    assert note in (tmp_path / "report.html").read_text(encoding="utf8")


def test_a_model_that_other_processes_cannot_be_given_is_told_at_once(corpus_folder: Path, tmp_path: Path) -> None:
    model = tiny_retriever("clip")
    model.odd = lambda: None  # as an object of a notebook has it
    with pytest.raises(UserError, match="define its class in a module, or set jobs to 1"):
        bench(corpus_folder, tiny_preset(), tmp_path / "out", model=model, jobs=2)
    assert not (tmp_path / "out").exists()


def test_any_model_plugs_in_and_is_told_apart(judged: Judged, corpus_folder: Path, tmp_path: Path) -> None:
    preset = tiny_preset(arms={"untrained": {}}, contrasts={}, curves={}, verdict=None)
    bench(corpus_folder, preset, tmp_path, model=tiny_retriever("combiner"))
    (one, other) = (json.loads((folder / "bench.json").read_text())["model"] for folder in (judged.folder, tmp_path))
    assert (one["class"], other["class"]) == ("ClipRetriever", "CombinerRetriever")
    assert one["content"] != other["content"]
