"""The plain protocol: recall by the best-ranked right image, mAP over all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_benchmarks import made_features, oracle_average_precision, oracle_places, ranked_by

from cirgen.errors import UserError
from cirgen_benchmark.protocols.parts import Asked
from cirgen_benchmark.protocols.retrieval import Retrieval

GALLERY = [f"image-{number}" for number in range(12)]


@st.composite
def protocols(draw: st.DrawFn) -> tuple[Retrieval, bool]:
    removes = draw(st.booleans())
    asked = []
    for number in range(draw(st.integers(1, 6))):
        reference, *targets = draw(st.lists(st.sampled_from(GALLERY), min_size=2, max_size=6, unique=True))
        asked.append(Asked(f"q{number}", reference, "another hat", tuple(targets)))
    return Retrieval("toy", GALLERY, asked, reference="remove" if removes else "keep", depths=(1, 3, 10)), removes


@given(protocols(), st.integers(0, 2**32))
def test_figures_are_those_of_a_count_by_hand(given_protocol: tuple[Retrieval, bool], seed: int) -> None:
    protocol, removes = given_protocol
    features = made_features(protocol, dimensions=3, seed=seed)
    scores = protocol.score(features)
    asked = protocol.parts[0].asked
    places = []
    for one, query in zip(asked, features["queries"], strict=True):
        similar = ranked_by(features, "gallery", GALLERY, query)
        places.append(oracle_places(similar, one.targets, [one.reference] if removes else []))
    assert scores.queries["rank"].to_pylist() == [own[0] for own in places]
    for k in (1, 3, 10):
        assert scores.metrics[f"toy.recall@{k}"] == pytest.approx(100 * np.mean([own[0] <= k for own in places]))
        expected = [oracle_average_precision(own, len(own), k) for own in places]
        assert scores.metrics[f"toy.map@{k}"] == pytest.approx(np.mean(expected))


def test_a_reference_that_is_not_in_the_gallery_is_not_removed() -> None:
    protocol = Retrieval("toy", GALLERY, [Asked("q", "elsewhere", "red", (GALLERY[0],))])
    assert protocol.score(made_features(protocol)).metrics["toy.recall@50"] == 100


@pytest.mark.parametrize("targets", [(), ("image-1", "image-0")])
def test_a_query_needs_a_right_image_beside_its_reference(targets: Any) -> None:
    with pytest.raises(ValueError, match="query q has no right image"):
        Retrieval("toy", GALLERY, [Asked("q", "image-0", "red", targets)])


def test_a_target_outside_the_gallery_is_told_or_left_out() -> None:
    asked = [Asked("a", "image-0", "red", ("gone",)), Asked("b", "image-0", "red", ("image-1", "lost"))]
    strict, lenient = (Retrieval("toy", GALLERY, asked, allow_missing=allowed) for allowed in (False, True))
    features = made_features(strict)
    with pytest.raises(
        UserError, match=r"2 of 14 images of gallery \(gone, lost\), and with them .* of 1 of 2 queries"
    ):
        strict.score(features)
    scores = lenient.score(features)
    assert scores.queries["rank"].to_pylist()[0] is None
    assert scores.metrics.keys() == {f"toy.partial.{name}@{k}" for name in ("recall", "map") for k in (1, 5, 10, 50)}
    assert scores.notes == (
        "Missing: 2 of 14 images of gallery (gone, lost), and with them the targets of 1 of 2 queries.",
    )


def test_rankings_and_submissions_need_a_format() -> None:
    protocol = Retrieval("toy", GALLERY, [Asked("q", "image-0", "red", ("image-1",))])
    with pytest.raises(UserError, match="toy has no submission format; score its features"):
        protocol.score_rankings([])
    with pytest.raises(UserError, match="toy has no submission format; leave out --submission"):
        protocol.submissions({})
