"""What a corpus is compared with: the same number of rows without its filters, matched rows, and ceilings by truth."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from bench_runs import world_corpus
from hypothesis import given
from hypothesis import strategies as st

from cirgen.errors import UserError
from cirgen.world.build import TABLE, shipped
from cirgen.world.gallery import Gallery
from cirgen.world.truth import judge
from cirgen_benchmark.data.corpus import Corpus, CorpusRow
from cirgen_benchmark.triplets import Triplet
from cirgen_benchmark.verdict.preset import Selection
from cirgen_benchmark.verdict.selection import SIMILARITY_BINS, Selector, by_pair, matched
from cirgen_benchmark.verdict.world import Truth


@pytest.fixture(scope="module")
def corpus(corpus_folder: Path) -> Corpus:
    return Corpus(corpus_folder)


@pytest.fixture(scope="module")
def selector(corpus: Corpus) -> Selector:
    return Selector(corpus, Truth(corpus.images.ids))


@pytest.fixture(scope="module")
def bare(scratch: Path) -> Corpus:
    return Corpus(world_corpus(scratch / "no rejects", each=2, rejected=False))


def test_accepted_and_all_are_what_their_names_say(corpus: Corpus, selector: Selector) -> None:
    accepted = [row.triplet for row in corpus.accepted]
    assert selector.triplets("accepted", 0) == accepted
    everything = selector.triplets("all", 0)
    assert len(everything) == len(corpus.accepted) + len(corpus.rejected)
    assert set(everything) == {*accepted, *(row.triplet for row in corpus.rejected)}


def test_random_rows_are_as_many_as_the_accepted_without_repeats_and_anew_for_every_seed(
    corpus: Corpus, selector: Selector
) -> None:
    drawn = [selector.triplets("random", seed) for seed in range(4)]
    everything = set(selector.triplets("all", 0))
    for triplets in drawn:
        assert len(triplets) == len(set(triplets)) == len(corpus.accepted)
        assert set(triplets) <= everything
    assert len({frozenset(triplets) for triplets in drawn}) == 4
    assert selector.triplets("random", 2) == drawn[2]


def test_random_rows_hold_rejected_ones_in_proportion(corpus: Corpus, selector: Selector) -> None:
    rejected = {row.triplet for row in corpus.rejected}
    share = [sum(one in rejected for one in selector.triplets("random", seed)) for seed in range(40)]
    expected = len(corpus.accepted) * len(rejected) / (len(rejected) + len(corpus.accepted))
    assert sum(share) / len(share) == pytest.approx(expected, rel=0.1)


def test_matched_rows_are_drawn_anew_for_every_seed_too(corpus: Corpus, selector: Selector) -> None:
    assert len({frozenset(selector.triplets("matched", seed)) for seed in range(4)}) == 4
    assert len(selector.triplets("matched", 0)) == len(corpus.accepted)


@st.composite
def rows(draw: st.DrawFn) -> tuple[list[CorpusRow], list[CorpusRow]]:
    """Accepted rows, and all rows, of a few change types; similarities may be missing."""
    similarity = st.one_of(st.none(), st.floats(-1, 1))
    facts = draw(st.lists(st.tuples(st.sampled_from(["any", "count"]), similarity, st.booleans()), min_size=1))
    triplet = Triplet("a", "b", ("text",))
    found = [
        CorpusRow(f"{n:03d}", triplet, kind, value, "" if kept else "no")
        for n, (kind, value, kept) in enumerate(facts)
    ]
    return [row for row in found if not row.reason], found


@given(rows(), st.integers(0, 3))
def test_matched_rows_have_the_change_types_and_similarities_of_the_accepted(
    given_rows: tuple[list[CorpusRow], list[CorpusRow]], seed: int
) -> None:
    accepted, everything = given_rows
    drawn = matched(accepted, everything, seed)
    assert len({row.triplet_id for row in drawn}) == len(drawn) == len(accepted)
    assert Counter(row.change_type for row in drawn) == Counter(row.change_type for row in accepted)
    assert tenths(drawn, everything) == tenths(accepted, everything)


def tenths(some: list[CorpusRow], everything: list[CorpusRow]) -> Counter[tuple[str, int]]:
    """Count rows by change type and by how many tenths of all similarities lie below theirs."""
    scores = [row.similarity for row in everything if row.similarity is not None]
    edges = [np.quantile(scores, number / SIMILARITY_BINS) for number in range(1, SIMILARITY_BINS)] if scores else []

    def tenth(value: float | None) -> int:
        return -1 if value is None else sum(edge < value for edge in edges)

    return Counter((row.change_type, tenth(row.similarity)) for row in some)


def test_good_rows_are_those_that_exact_truth_calls_good_accepted_or_not(corpus: Corpus, selector: Selector) -> None:
    gallery = Gallery.load(shipped() / TABLE, only=corpus.images.ids)
    expected = {
        row.triplet
        for row in (*corpus.accepted, *corpus.rejected)
        if judge(gallery, row.triplet.reference, row.triplet.texts[0], row.triplet.target).good
    }
    assert set(selector.triplets("good", 0)) == expected
    assert 0 < len(expected) < len(corpus.accepted) + len(corpus.rejected)


def test_true_texts_stand_on_the_accepted_pairs_and_are_right(corpus: Corpus, selector: Selector) -> None:
    gallery = Gallery.load(shipped() / TABLE, only=corpus.images.ids)
    found = selector.triplets("truth_text", 0)
    assert [(t.reference, t.target) for t in found] == [
        (row.triplet.reference, row.triplet.target) for row in corpus.accepted
    ]
    verdicts = [judge(gallery, t.reference, t.texts[0], t.target) for t in found]
    assert all(verdict.correct and verdict.exhaustive for verdict in verdicts)
    assert {t.origin for t in found} == {"synthetic"}


@pytest.mark.parametrize("selection", ["all", "random", "matched", "good"])
def test_a_corpus_without_rejected_rows_cannot_be_compared_with_them(selection: Selection, bare: Corpus) -> None:
    with pytest.raises(UserError, match=r"publishes no rejected rows.*export it with rejected rows"):
        Selector(bare, Truth(bare.images.ids)).triplets(selection, 0)


@pytest.mark.parametrize("selection", ["good", "truth_text"])
def test_ceilings_need_truth(selection: Selection, corpus: Corpus) -> None:
    with pytest.raises(UserError, match=r"no exact truth of the images of .*leave out the arms"):
        Selector(corpus, None).triplets(selection, 0)


def test_truth_of_other_images_is_refused() -> None:
    with pytest.raises(UserError):
        Truth(["another image"])


def test_rows_of_one_pair_become_one_triplet_with_all_their_texts(corpus: Corpus) -> None:
    triplets = [row.triplet for row in corpus.accepted]
    together = by_pair(triplets)
    assert len(together) == len({(t.reference, t.target) for t in triplets}) < len(triplets)
    for one in together:
        own = [t for t in triplets if (t.reference, t.target) == (one.reference, one.target)]
        assert one.texts == tuple(text for t in own for text in t.texts)


class Weighted:
    """A corpus in memory whose rows have weights."""

    name = "weighted"
    rejected = ()

    def __init__(self, *weights: float | None) -> None:
        self.accepted = tuple(
            CorpusRow(f"t{place}", Triplet(f"r{place}", f"{place}", ("red",)), "", None, "", weight)
            for place, weight in enumerate(weights)
        )


def test_a_weighted_row_trains_as_often_over_seeds_as_its_weight_says() -> None:
    weights = (1.0, 0.5, 0.1, 0.0, None)
    selector = Selector(Weighted(*weights), None)  # type: ignore[arg-type]
    found = Counter(one.target for seed in range(2000) for one in selector.triplets("accepted", seed, weighted=True))
    assert (found["0"], found["3"], found["4"]) == (2000, 0, 2000)
    assert found["1"] == pytest.approx(1000, rel=0.1)
    assert found["2"] == pytest.approx(200, rel=0.25)
    assert len(selector.triplets("accepted", 0)) == len(weights)


def test_weights_that_no_filter_gave_are_asked_for_with_the_setting_that_gives_them(corpus: Corpus) -> None:
    with pytest.raises(UserError, match="shortcut with action: weight"):
        Selector(corpus, None).triplets("accepted", 0, weighted=True)
