from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cirgen.cosine import cosines, on_grid
from cirgen.stages import clusters as module
from cirgen.stages.clusters import Clusters, Queries, clusters_for
from cirgen.stages.mining import Pool

seeds = st.integers(0, 2**32 - 1)


def vectors_of(seed: int, count: int, size: int = 12) -> np.ndarray:
    """Vectors around some centres, a tenth of them twins of others."""
    draws = np.random.default_rng(seed)
    centres = draws.normal(size=(12, size))
    vectors = centres[draws.integers(12, size=count)] + 0.5 * draws.normal(size=(count, size))
    vectors[: count // 10] = vectors[-(count // 10) :] if count >= 10 else vectors[:0]
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def built(folder: Path, vectors: np.ndarray, groups: np.ndarray | None = None) -> Clusters:
    places = np.arange(len(vectors))
    pool = Pool("train", places, places if groups is None else groups, np.zeros(len(vectors), dtype=np.int64))
    return Clusters(pool, vectors, folder / "by-cluster.npy")


def asked(vectors: np.ndarray, groups: np.ndarray) -> Queries:
    return Queries(vectors, on_grid(vectors), groups[:, None])


def found(clusters: Clusters, queries: Queries, count: int, probes: int) -> list[list[int]]:
    """What is found, nearest first."""
    return [f.places[f.row.nearest(count)].tolist() for f in clusters.find(queries, count, probes)]


@given(seed=seeds, count=st.integers(2, 300), wanted=st.integers(1, 20))
@settings(max_examples=20, deadline=None)
def test_looking_into_every_cluster_finds_what_a_stable_argsort_finds(
    tmp_path_factory: pytest.TempPathFactory, seed: int, count: int, wanted: int
) -> None:
    vectors = vectors_of(seed, count)
    groups = np.random.default_rng(seed).integers(0, count, size=count)
    clusters = built(tmp_path_factory.mktemp("c"), vectors, groups)
    exact = cosines(on_grid(vectors), vectors, np.arange(count))
    exact[groups[:, None] == groups] = -np.inf
    order = [[p for p in np.argsort(-row, kind="stable").tolist() if row[p] > -np.inf][:wanted] for row in exact]
    assert found(clusters, asked(vectors, groups), wanted, 10**6) == order
    assert [p.tolist() for p in clusters.exactly_nearest(asked(vectors, groups), wanted)] == order


@given(seed=seeds, chunk=st.integers(1, 90), at_once=st.integers(1, 90), probes=st.integers(1, 9))
@settings(max_examples=10, deadline=None)
def test_what_is_found_depends_neither_on_chunks_nor_on_the_order_of_the_queries(
    tmp_path_factory: pytest.TempPathFactory, seed: int, chunk: int, at_once: int, probes: int
) -> None:
    vectors = vectors_of(seed, 200)
    nobody = np.full(200, -1)
    plain = built(tmp_path_factory.mktemp("c"), vectors)
    whole = found(plain, asked(vectors, nobody), 6, probes)
    order = np.random.default_rng(seed).permutation(200)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHUNK", chunk)
        patch.setattr(module, "AT_ONCE", at_once)
        clusters = built(tmp_path_factory.mktemp("c"), vectors)
        assert np.array_equal(clusters.centres, plain.centres)
        assert np.array_equal(clusters.order, plain.order)
        assert found(clusters, asked(vectors[order], nobody), 6, probes) == [whole[place] for place in order]


@given(seed=seeds)
@settings(max_examples=3, deadline=None)
def test_as_many_clusters_as_the_sample_asks_for_reach_the_recall_on_clustered_vectors(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    vectors = vectors_of(seed, 900)
    clusters = built(tmp_path_factory.mktemp("c"), vectors)
    places = np.arange(900)
    tried, others = (asked(vectors[part::3], places[part::3]) for part in (0, 1))
    probes = clusters.probes_for(tried, 10)
    assert clusters.recall(tried, 10, probes) >= 0.995
    assert clusters.recall(others, 10, probes) >= 0.98
    assert probes < len(clusters.centres)
    if probes > 1:
        assert clusters.recall(tried, 10, probes - 1) < 0.995


def test_clusters_grow_with_the_square_root_of_the_images() -> None:
    assert [clusters_for(count) for count in (1, 1_000, 200_000, 1_000_000)] == [4, 128, 2_048, 4_096]


def test_a_middle_of_two_finds_neither_end_nor_their_twins(tmp_path: Path) -> None:
    vectors = vectors_of(3, 120)
    groups = np.arange(120) // 2
    clusters = built(tmp_path, vectors, groups)
    one, other = vectors[:5], vectors[50:55]
    middles = Queries(one + other, on_grid(one) + on_grid(other), np.stack((groups[:5], groups[50:55]), axis=1))
    exact = cosines(middles.exact, vectors, np.arange(120))
    for number, places in enumerate(found(clusters, middles, 4, 10**6)):
        allowed = [p for p in np.argsort(-exact[number], kind="stable") if groups[p] not in middles.groups[number]]
        assert places == allowed[:4]
