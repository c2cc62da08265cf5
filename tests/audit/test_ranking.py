"""Ranks are those of a plain search of the whole gallery; whatever ties with the target stands before it."""

from __future__ import annotations

import itertools
import json
from dataclasses import asdict, replace
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cirgen.audit.catalog import Catalog, Hashes
from cirgen.audit.corpus import Corpus, Row
from cirgen.audit.embeddings import Embedded
from cirgen.audit.ranking import NOBODY, Ranks, answerable, chance, first_rivals, rank
from cirgen.audit.rivals import rivals_section
from cirgen.audit.shortcuts import shortcuts_section
from cirgen.keys import digest
from cirgen.progress import Silent

NO_HASH = Hashes("", "0" * 16, "00" * 96)


def catalog(ids: list[str]) -> Catalog:
    return Catalog(tuple(ids), tuple(ids), (NO_HASH,) * len(ids), (), ())


def unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def coarse(rng: np.random.Generator, rows: int, dimensions: int) -> np.ndarray:
    """Few different vectors, so that there are many ties."""
    while True:
        found = rng.integers(-1, 2, size=(rows, dimensions))
        if found.any(axis=1).all():
            return unit(found)


def made(seed: int, images: int = 12, rows: int = 15, encoders: int = 1) -> tuple[Corpus, Catalog, list[Embedded]]:
    """Make a corpus of two galleries, with some listed positives, and coarse embeddings of it."""
    rng = np.random.default_rng(seed)
    ids = [f"i{number:02d}" for number in range(images)]
    galleries = {"all": tuple(ids), "half": tuple(ids[: images // 2 + 3])}
    found = []
    for number in range(rows):
        gallery = "all" if number % 2 else "half"
        reference, target, other = (str(i) for i in rng.choice(galleries[gallery], 3, replace=False))
        positives = (other,) if number % 3 == 0 else ()
        found.append(Row(f"r{number}", "train", gallery, reference, f"text {number % 7}", target, positives))
    corpus = Corpus("made", "made", tuple(found), galleries)
    texts = list(dict.fromkeys(row.text for row in found))
    embedded = [
        Embedded(f"e{n}", f"e{n}", coarse(rng, images, 3), coarse(rng, len(texts), 3)) for n in range(encoders)
    ]
    return corpus, catalog(ids), embedded


def ranked(corpus: Corpus, pictures: Catalog, encoders: list[Embedded]) -> Ranks:
    texts = list(dict.fromkeys(row.text for row in corpus.triplets))
    return rank(corpus, pictures, answerable(corpus, pictures, texts), encoders, Silent())


Whole = list[int]


def whole(vector: np.ndarray) -> Whole:
    """Round to multiples of 2**-24, as `cirgen.cosine` does: Python's integers then make no error at all."""
    return [round(float(number) * 2**24) for number in vector]


def product(one: Whole, other: Whole) -> int:
    return sum(a * b for a, b in zip(one, other, strict=True))


def plain_rank(scores: dict[str, int], rights: set[str]) -> int:
    best = max(score for image, score in scores.items() if image in rights)
    return 1 + sum(score >= best for image, score in scores.items() if image not in rights)


@given(st.integers(0, 10_000), st.integers(1, 2))
def test_ranks_are_those_of_a_plain_search(seed: int, encoders: int) -> None:
    corpus, pictures, embedded = made(seed, encoders=encoders)
    found = ranked(corpus, pictures, embedded)
    assert [query.row for query in found.queries] == list(corpus.rows)
    texts = list(dict.fromkeys(row.text for row in corpus.rows))
    for place, row in enumerate(corpus.rows):
        candidates = [i for i in corpus.galleries[row.gallery] if i != row.reference]
        rights = {row.target, *row.positives} - {row.reference}
        assert (found.candidates[place], found.rights[place]) == (len(candidates), len(rights))
        for number, one in enumerate(embedded):
            image = dict(zip(pictures.ids, map(whole, one.images), strict=True))
            shown, said = image[row.reference], whole(one.texts[texts.index(row.text)])
            both = [a + b for a, b in zip(shown, said, strict=True)]
            for kind, asked in enumerate((both, said, shown)):
                scores = {i: product(image[i], asked) for i in candidates}
                assert found.ranks[number, kind, place] == plain_rank(scores, rights)


@given(st.integers(0, 10_000), st.integers(1, 2))
def test_a_rival_is_as_near_to_both_halves_under_every_encoder(seed: int, encoders: int) -> None:
    corpus, pictures, embedded = made(seed, encoders=encoders)
    found = ranked(corpus, pictures, embedded)
    texts = list(dict.fromkeys(row.text for row in corpus.rows))
    firsts = first_rivals(found, pictures)
    for place, row in enumerate(corpus.rows):
        rivals = {i for i in corpus.galleries[row.gallery] if i not in (row.reference, row.target, *row.positives)}
        for one in embedded:
            image = dict(zip(pictures.ids, map(whole, one.images), strict=True))
            for half in (image[row.reference], whole(one.texts[texts.index(row.text)])):
                rivals = {i for i in rivals if product(image[i], half) >= product(image[row.target], half)}
        assert found.rivals[place] == len(rivals)
        assert (firsts.get(row) in rivals) if rivals else (row not in firsts)


@given(st.integers(0, 10_000))
def test_more_encoders_never_find_more_rivals(seed: int) -> None:
    corpus, pictures, embedded = made(seed, encoders=2)
    both = ranked(corpus, pictures, embedded).rivals
    assert (both <= ranked(corpus, pictures, embedded[:1]).rivals).all()


def test_equal_pictures_stand_before_the_target() -> None:
    same = unit(np.ones((6, 3)))
    corpus = Corpus("same", "made", (Row("r", "all", "g", "a", "text", "b"),), {"g": tuple("abcdef")})
    found = ranked(corpus, catalog(list("abcdef")), [Embedded("e", "e", same, same[:1])])
    assert found.ranks[0, :, 0].tolist() == [5, 5, 5]
    assert found.rivals[0] == 4


def test_rows_that_cannot_be_asked_are_left_out() -> None:
    rows = (
        Row("itself", "all", "g", "a", "text", "a"),
        Row("no picture", "all", "g", "gone", "text", "a"),
        Row("withheld", "all", "g", "a", "text", ""),
        Row("elsewhere", "all", "g", "a", "text", "d"),
        Row("fine", "all", "g", "d", "text", "b"),
    )
    corpus = Corpus("made", "made", rows, {"g": ("a", "b", "c", "gone")})
    queries = answerable(corpus, catalog(["a", "b", "c", "d"]), ["text"])
    assert [query.row.row_id for query in queries] == ["fine"]


@pytest.mark.parametrize("top", [1, 3, 10])
def test_chance_is_that_of_a_random_order(top: int) -> None:
    assert chance(np.array([1499]), np.array([1]), top)[0] == pytest.approx(top / 1499)
    for candidates, rights in itertools.product((4, 20), (1, 2, 3)):
        wrong = candidates - rights
        missed = comb(wrong, top) / comb(candidates, top) if top <= candidates else 0.0
        assert chance(np.array([candidates]), np.array([rights]), top)[0] == pytest.approx(1 - missed)


def one_hot_world(text_knows: bool, image_knows: bool) -> Ranks:
    """Every image differs in two places; each half knows one of them, both, or none."""
    values = list(itertools.product(range(20), range(20)))
    vectors = np.zeros((400, 40))
    for number, (one, other) in enumerate(values):
        vectors[number, one] = vectors[number, 20 + other] = 1
    ids = [f"{one:02d}-{other:02d}" for one, other in values]
    rows, texts = [], np.zeros((400, 40))
    for number, (one, other) in enumerate(values):
        target = (one, (other + 1) % 20) if image_knows else ((one + 1) % 20, (other + 1) % 20)
        rows.append(Row(f"r{number}", "all", "g", ids[number], f"t{number}", f"{target[0]:02d}-{target[1]:02d}"))
        texts[number, 20 + target[1]] = 1
        if text_knows:
            texts[number, target[0]] = 1
    corpus = Corpus("made", "made", tuple(rows), {"g": tuple(ids)})
    return ranked(corpus, catalog(ids), [Embedded("e", "e", unit(vectors), unit(texts))])


def values(ranks: Ranks) -> dict[str, float]:
    return {f.name: f.value for f in shortcuts_section(ranks, 0).figures if f.value is not None}


def test_queries_that_need_both_halves_have_a_composition_gap_and_no_shortcut() -> None:
    found = values(one_hot_world(text_knows=False, image_knows=True))
    assert found["rate"] == 0
    assert found["recall_both"] == found["gap"] == 100


def test_texts_that_are_captions_are_shortcuts_and_leave_no_gap() -> None:
    found = values(one_hot_world(text_knows=True, image_knows=False))
    assert found["rate"] == found["rate_text"] == found["recall_text"] == 100
    assert found["gap"] <= 0
    assert found["chance"] == pytest.approx(100 * 10 / 399)


def test_the_chance_of_the_rate_grows_with_the_rankings_that_are_tried() -> None:
    corpus, pictures, embedded = made(3, images=60, encoders=2)
    one, two = (values(ranked(corpus, pictures, embedded[:n])) for n in (1, 2))
    assert one["chance"] < one["rate_chance"] < two["rate_chance"]
    assert {"recall_both_1", "recall_both_2", "gap_1", "gap_2"} <= set(two)


def test_embeddings_that_know_nothing_solve_as_many_queries_as_chance() -> None:
    rng = np.random.default_rng(5)
    ids = [f"i{number:03d}" for number in range(150)]
    rows = tuple(
        Row(f"r{n}", "all", "g", str(a), f"t{n}", str(b))
        for n, (a, b) in enumerate(rng.choice(ids, 2, replace=False) for _ in range(1500))
    )
    corpus = Corpus("made", "made", rows, {"g": tuple(ids)})
    embedded = Embedded("e", "e", unit(rng.normal(size=(150, 24))), unit(rng.normal(size=(1500, 24))))
    found = {f.name: f for f in shortcuts_section(ranked(corpus, catalog(ids), [embedded]), 0).figures}
    for rate, by_chance in (("recall_text", "chance"), ("recall_image", "chance"), ("rate", "rate_chance")):
        figure, expected = found[rate], found[by_chance].value
        assert figure.low is not None and figure.high is not None and expected is not None
        assert figure.low - 0.5 <= expected <= figure.high + 0.5


def test_a_quotient_by_a_rare_hit_has_no_interval_and_json_stays_json() -> None:
    found = one_hot_world(text_knows=True, image_knows=False)
    ranks = np.full_like(found.ranks, 500)
    ranks[0, 0, 0] = 1  # one query finds its target by both, three by text
    ranks[0, 1, :3] = 1
    section = shortcuts_section(found._replace(ranks=ranks), 0)
    figure = next(one for one in section.figures if one.name == "text_ratio")
    assert (figure.value, figure.low, figure.high) == (pytest.approx(3), None, None)
    json.dumps([asdict(one) for one in section.figures], allow_nan=False)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12))
def test_the_control_takes_the_next_text_that_says_something_else(texts: list[int]) -> None:
    rows = tuple(Row(f"r{n}", "train", "all", "a", f"text {text}", "b") for n, text in enumerate(texts))
    corpus = Corpus("made", "made", rows, {"all": ("a", "b")})
    names = list(dict.fromkeys(row.text for row in rows))
    queries = answerable(corpus, catalog(["a", "b"]), names)
    order = sorted(range(len(rows)), key=lambda place: digest("audit-foreign", rows[place].row_id))
    for at, place in enumerate(order):
        following = [queries[order[(at + step) % len(order)]].text for step in range(1, len(order))]
        expected = next((text for text in following if text != queries[place].text), NOBODY)
        assert queries[place].foreign == expected


def test_a_corpus_that_always_says_the_same_has_no_control() -> None:
    corpus, pictures, encoders = made(3)
    same = replace(corpus, rows=tuple(row._replace(text="make it red") for row in corpus.rows))
    section = rivals_section(ranked(same, pictures, [encoders[0]._replace(texts=encoders[0].texts[:1])]), (), "")
    control = next(one for one in section.figures if one.name == "control")
    assert control.value is None
    assert "the same text" in control.absent
