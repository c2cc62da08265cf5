"""What the embedded world asks: nothing that was trained on, every right answer known, texts that are exact."""

from __future__ import annotations

from dataclasses import astuple
from functools import cache
from pathlib import Path
from typing import Literal

import pytest

from cirgen.world.families import collection
from cirgen.world.gallery import Gallery
from cirgen.world.truth import judge, judge_all
from cirgen_benchmark.data.corpus import Corpus
from cirgen_benchmark.verdict import world as world_module
from cirgen_benchmark.verdict.world import (
    PngImages,
    WorldCollection,
    drawn_collection,
    furniture_collection,
    human_like,
    shipped_collection,
    world_queries,
)

Purpose = Literal["development", "evaluation"]


@cache
def undrawn(purpose: Purpose, images: int = 400) -> WorldCollection:
    """Return a collection without its pictures: queries are about attributes."""
    samples = {f"{purpose} {number}": sample for number, sample in enumerate(collection(purpose, "medium", 0, images))}
    figures = {name: sample.figure for name, sample in samples.items()}
    return WorldCollection(figures, {name: sample.family for name, sample in samples.items()}, PngImages({}))


def test_no_figure_is_in_the_shipped_corpus_and_in_development_or_evaluation() -> None:
    sets = [set(shipped_collection().figures.values())]
    sets += [set(undrawn(purpose, 1500).figures.values()) for purpose in ("development", "evaluation")]
    assert all(sets)
    assert not sets[0] & sets[1]
    assert not sets[0] & sets[2]
    assert not sets[1] & sets[2]


@pytest.mark.parametrize("purpose", ["development", "evaluation"])
def test_every_right_answer_has_the_targets_attributes_and_every_image_that_has_them_is_one(purpose: Purpose) -> None:
    world = undrawn(purpose)
    queries = world_queries(world, 40, seed=1)
    assert any(query.positives for query in queries)
    for query in queries:
        alike = {name for name, figure in world.figures.items() if figure == world.figures[query.target]}
        assert {query.target, *query.positives} == alike
        assert query.reference not in alike


@pytest.mark.parametrize("purpose", ["development", "evaluation"])
def test_texts_of_the_second_grammar_are_exact_and_say_everything(purpose: Purpose) -> None:
    world = undrawn(purpose)
    queries = world_queries(world, 60, seed=1)
    gallery = Gallery(world.ids, list(world.figures.values()))
    verdicts = judge_all(gallery, [(query.reference, query.text, query.target) for query in queries])
    assert all(verdict.correct and verdict.exhaustive for verdict in verdicts)


def test_there_are_as_many_queries_of_one_two_and_three_edits() -> None:
    world = undrawn("evaluation")
    queries = world_queries(world, 25, seed=1)
    assert [query.edits for query in queries] == [1, 2, 3] * 25
    changed = [sum(a != b for a, b in zip(*(astuple(world.figures[x]) for x in (q.reference, q.target)), strict=True))
               for q in queries]  # fmt: skip
    assert all(attributes >= query.edits for attributes, query in zip(changed, queries, strict=True))


def test_fewer_human_like_triplets_are_the_beginning_of_more() -> None:
    """So that a curve over their number varies their number alone."""
    world = undrawn("evaluation")
    many = human_like(world, 200, seed=3).triplets
    assert [human_like(world, count, seed=3).triplets for count in (1, 10, 77)] == [many[:1], many[:10], many[:77]]
    assert human_like(world, 77, seed=4).triplets != many[:77]
    assert {triplet.origin for triplet in many} == {"human"}


def test_a_shipped_picture_has_the_content_that_it_has_in_a_corpus(corpus_folder: Path) -> None:
    world, corpus = shipped_collection().images, Corpus(corpus_folder).images
    assert [world.content(name) for name in corpus.ids] == [corpus.content(name) for name in corpus.ids]


@pytest.mark.integration
def test_pictures_are_drawn_once_and_read_afterwards_unless_a_disk_damaged_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIRGEN_CACHE", str(tmp_path))
    first = drawn_collection("development", images=5)
    monkeypatch.setattr(world_module, "render_many", None)
    again = drawn_collection("development", images=5)
    assert again.figures == first.figures
    assert len(first.ids) == 5
    for name in first.ids:
        assert first.images.open(name).tobytes() == again.images.open(name).tobytes()
        assert first.images.content(name) == again.images.content(name)
    with pytest.raises(KeyError):
        first.images.content("nowhere")
    (path,) = tmp_path.rglob("*.parquet")
    whole, pngs = path.read_bytes(), world_module._read(path, 5)
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0x40
    for damaged in (whole[: len(whole) // 2], b"", bytes(flipped)):
        path.write_bytes(damaged)
        assert world_module._read(path, 5) is None
    monkeypatch.setattr(world_module, "render_many", lambda _: pngs)
    assert drawn_collection("development", images=5).figures == first.figures
    assert path.read_bytes() == whole


def test_furniture_has_exact_queries_and_human_like_triplets_of_collections_that_share_nothing() -> None:
    corpus, evaluation = furniture_collection("corpus"), furniture_collection("evaluation")
    assert not {*corpus.figures.values()} & {*evaluation.figures.values()}
    gallery = Gallery(evaluation.ids, list(evaluation.figures.values()), evaluation.world)
    for query in world_queries(evaluation, 10, 0):
        verdict = judge(gallery, query.reference, query.text, query.target)
        assert verdict.correct and verdict.exhaustive and not query.positives
    assert len(human_like(corpus, 12, 0).triplets) == 12
