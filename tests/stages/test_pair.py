from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cirgen.cosine import cosines, on_grid
from cirgen.errors import UserError
from cirgen.keys import digest
from cirgen.recipe import Recipe
from cirgen.run_folder import Run
from cirgen.schemas import CATALOG, PAIR
from cirgen.shards import write_rows
from cirgen.sources.base import GivenPair
from cirgen.sources.folder import Folder
from cirgen.stages.fields import EXACT_UP_TO
from cirgen.stages.pair import pair
from cirgen.store import Store

NEIGHBOURS = {"kind": "neighbours", "per_image": 2}


@dataclass
class Pictures:
    """A catalog of pictures that exist as vectors alone."""

    ids: list[str]
    groups: list[str]
    splits: list[str]
    categories: list[str]
    vectors: np.ndarray

    @classmethod
    def random(cls, seed: int = 0, count: int = 40, groups: int = 30, size: int = 8) -> Pictures:
        draws = np.random.default_rng(seed)
        ids = sorted(digest("image", seed, number) for number in range(count))
        group = draws.integers(groups, size=count)
        splits = {number: ("train", "train", "test")[draws.integers(3)] for number in range(groups)}
        vectors = draws.normal(size=(count, size)).astype(np.float32)
        return cls(
            ids,
            [f"g{number}" for number in group],
            [splits[number] for number in group],
            [("", "dress", "shirt")[draws.integers(3)] for _ in ids],
            vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
        )

    def rows(self) -> Iterator[dict[str, Any]]:
        for number, image_id in enumerate(self.ids):
            alias = {name: "" for name in ("source", "category", "license", "author", "url")}
            yield {
                **{name: "" for name in ("pixel_hash", "path", "blob", "caption")},
                **{name: 0 for name in ("width", "height", "offset", "length")},
                "image_id": image_id,
                "category": self.categories[number],
                "aliases": [{**alias, "source_id": f"{number}.png"}],
                "group": self.groups[number],
                "split": self.splits[number],
            }

    def run(self, folder: Path, *signals: dict[str, Any], **pairing: Any) -> Run:
        recipe = Recipe.model_validate(
            {
                "name": "test",
                "images": {"kind": "folder", "path": "."},
                "encoder": {"model": "cirgen:filter-encoder"},
                "pair": {"signals": signals or (NEIGHBOURS,), **pairing},
            }
        )
        run = Run(folder, recipe, Store(folder / "store"))
        write_rows(run.catalog, self.rows(), CATALOG)
        np.save(run.image_vectors, self.vectors)
        np.save(run.caption_vectors, self.vectors[::-1])
        return run

    def mine(
        self,
        folder: Path,
        *signals: dict[str, Any],
        block_bytes: int = 2**20,
        exact_up_to: int = EXACT_UP_TO,
        **pairing: Any,
    ) -> list[Any]:
        run = self.run(folder, *signals, **pairing)
        pair(run, block_bytes, exact_up_to)
        table = pq.read_table(run.pairs)
        assert table.schema.equals(PAIR)
        return table.to_pylist()

    def candidates(self, reference: int, same_category: bool = False) -> list[int]:
        """Who may be a target, nearest first, by brute force."""
        similarities = self.similarities()[reference]
        allowed = [
            other
            for other in range(len(self.ids))
            if self.splits[other] == self.splits[reference]
            and self.groups[other] != self.groups[reference]
            and not (same_category and "" in (self.categories[other], self.categories[reference]))
            and not (same_category and self.categories[other] != self.categories[reference])
        ]
        return sorted(allowed, key=lambda other: (-similarities[other], other))

    def similarities(self) -> np.ndarray:
        return cosines(on_grid(self.vectors), self.vectors, np.arange(len(self.ids)))

    def chosen(self, rows: list[Any]) -> set[tuple[int, int]]:
        return {(self.ids.index(row["reference_id"]), self.ids.index(row["target_id"])) for row in rows}


ANY_SIGNALS: list[dict[str, Any]] = [
    {"kind": "random", "per_image": 2},
    {"kind": "rank", "lower": 3, "upper": 9, "per_image": 2},
    {"kind": "percentile", "lower": 20, "upper": 60},
    {"kind": "neighbours", "lower": -0.2, "upper": 0.7, "by": "caption"},
    {"kind": "rank", "lower": 1, "upper": 4, "same_category": True},
]


@given(seed=st.integers(0, 10**6))
@settings(max_examples=10, deadline=None)
def test_pairs_keep_to_their_split_and_leave_their_group(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    pictures = Pictures.random(seed)
    rows = pictures.mine(tmp_path_factory.mktemp("run"), *ANY_SIGNALS)
    for reference, target in pictures.chosen(rows):
        assert pictures.splits[reference] == pictures.splits[target]
        assert pictures.groups[reference] != pictures.groups[target]
    assert len(pictures.chosen(rows)) == len(rows)
    assert [row["pair_id"] for row in rows] == sorted(
        digest("pair", row["reference_id"], row["target_id"]) for row in rows
    )


@given(seed=st.integers(0, 10**6), per_image=st.integers(1, 5))
@settings(max_examples=10, deadline=None)
def test_neighbours_are_the_nearest_within_the_bounds(
    tmp_path_factory: pytest.TempPathFactory, seed: int, per_image: int
) -> None:
    pictures = Pictures.random(seed)
    signal = {"kind": "neighbours", "lower": -0.1, "upper": 0.6, "per_image": per_image}
    rows = pictures.mine(tmp_path_factory.mktemp("run"), signal)
    similarities = pictures.similarities()
    expected = set()
    for reference in range(len(pictures.ids)):
        within = [t for t in pictures.candidates(reference) if -0.1 <= similarities[reference, t] <= 0.6]
        expected |= {(reference, target) for target in within[:per_image]}
    assert pictures.chosen(rows) == expected


@pytest.mark.parametrize("same_category", [False, True])
def test_a_rank_window_holds_and_ranks_are_those_of_a_full_sort(tmp_path: Path, same_category: bool) -> None:
    pictures = Pictures.random(1)
    signal = {"kind": "rank", "lower": 2, "upper": 5, "per_image": 9, "same_category": same_category}
    rows = pictures.mine(tmp_path, signal)
    expected = set()
    for reference in range(len(pictures.ids)):
        expected |= {(reference, target) for target in pictures.candidates(reference, same_category)[1:5]}
    assert pictures.chosen(rows) == expected
    for row in rows:
        reference, target = (pictures.ids.index(row[end]) for end in ("reference_id", "target_id"))
        assert pictures.candidates(reference, same_category).index(target) + 1 == row["rank"]
        assert row["similarity"] == np.float32(pictures.similarities()[reference, target])


def test_a_percentile_window_holds_its_share_of_all_candidate_pairs(tmp_path: Path) -> None:
    pictures = Pictures.random(2, count=60)
    rows = pictures.mine(tmp_path, {"kind": "percentile", "lower": 50, "upper": 70, "per_image": 1_000})
    similarities = pictures.similarities()
    everything = [similarities[r, t] for r in range(60) for t in pictures.candidates(r)]
    low, high = np.percentile(everything, [50, 70], method="lower")
    assert len(rows) == pytest.approx(0.2 * len(everything), abs=2)
    assert all(low - 1e-5 <= row["similarity"] <= high + 1e-5 for row in rows)


def test_random_pairs_reach_near_and_far_candidates_alike(tmp_path: Path) -> None:
    pictures = Pictures.random(3, count=200, groups=200)
    rows = pictures.mine(tmp_path, {"kind": "random", "per_image": 5})
    places = [row["rank"] / len(pictures.candidates(pictures.ids.index(row["reference_id"]))) for row in rows]
    assert len(rows) == 1_000
    assert 0.45 < np.mean(places) < 0.55


def test_a_signal_can_measure_by_caption(tmp_path: Path) -> None:
    pictures = Pictures.random(4)
    rows = pictures.mine(tmp_path, {"kind": "neighbours", "by": "caption"})
    assert {row["signal"] for row in rows} == {"neighbours-by-caption"}
    by_caption = Pictures(pictures.ids, pictures.groups, pictures.splits, pictures.categories, pictures.vectors[::-1])
    assert all(row["rank"] == 1 for row in rows)
    assert pictures.chosen(rows) == {(r, by_caption.candidates(r)[0]) for r in range(40) if by_caption.candidates(r)}
    similarities = pictures.similarities()
    for row in rows:  # similarity is always that of the images
        reference, target = (pictures.ids.index(row[end]) for end in ("reference_id", "target_id"))
        assert row["similarity"] == np.float32(similarities[reference, target])


@given(block_bytes=st.integers(1, 50_000), seed=st.integers(0, 10**6))
@settings(max_examples=10, deadline=None)
def test_block_size_changes_nothing(tmp_path_factory: pytest.TempPathFactory, block_bytes: int, seed: int) -> None:
    pictures = Pictures.random(seed)
    blocked = pictures.mine(tmp_path_factory.mktemp("run"), *ANY_SIGNALS, block_bytes=block_bytes)
    assert blocked == pictures.mine(tmp_path_factory.mktemp("run"), *ANY_SIGNALS)


def test_two_runs_write_the_same_bytes(tmp_path: Path) -> None:
    pictures = Pictures.random(5)
    runs = [pictures.run(tmp_path / name, *ANY_SIGNALS) for name in ("a", "b")]
    for run in runs:
        pair(run)
    assert runs[0].pairs.read_bytes() == runs[1].pairs.read_bytes()


def test_other_splits_do_not_move_the_pairs_of_a_split(tmp_path: Path) -> None:
    pictures = Pictures.random(6)
    alone = [number for number, split in enumerate(pictures.splits) if split == "train"]
    part = Pictures(
        *([column[number] for number in alone] for column in (pictures.ids, pictures.groups, pictures.splits)),
        [pictures.categories[number] for number in alone],
        pictures.vectors[alone],
    )
    signals = [{"kind": "random"}, {"kind": "rank", "lower": 2, "upper": 9}]
    whole = [row for row in pictures.mine(tmp_path / "whole", *signals) if row["split"] == "train"]
    assert whole == part.mine(tmp_path / "part", *signals)


def test_a_pair_that_two_signals_choose_belongs_to_the_first(tmp_path: Path) -> None:
    pictures = Pictures.random(7)
    everything = {"kind": "random", "per_image": 1_000}
    rows = pictures.mine(tmp_path, {"kind": "neighbours"}, everything, {"kind": "rank", "lower": 1, "upper": 5})
    assert {row["signal"] for row in rows} == {"neighbours", "random"}
    assert all((row["rank"] == 1) == (row["signal"] == "neighbours") for row in rows)


def test_two_signals_of_one_kind_are_told_apart(tmp_path: Path) -> None:
    near, far = {"kind": "rank", "lower": 1, "upper": 1}, {"kind": "rank", "lower": 5, "upper": 5}
    rows = Pictures.random(8).mine(tmp_path, near, far)
    assert {(row["signal"], row["rank"]) for row in rows} == {("rank", 1), ("rank#2", 5)}


def test_max_pairs_keeps_an_even_sample_that_a_larger_limit_keeps_too(tmp_path: Path) -> None:
    pictures = Pictures.random(9)
    everything = pictures.mine(tmp_path / "all")
    assert pictures.mine(tmp_path / "few", max_pairs=7) == everything[:7]


def test_more_pairs_per_image_keep_the_pairs_already_chosen(tmp_path: Path) -> None:
    pictures = Pictures.random(10)
    few, many = (
        pictures.chosen(pictures.mine(tmp_path / str(count), {"kind": "random", "per_image": count}))
        for count in (2, 4)
    )
    assert few < many


def test_hard_negatives_are_the_reference_and_what_is_nearest_to_both_ends(tmp_path: Path) -> None:
    pictures = Pictures.random(11)
    similarities = pictures.similarities()
    for row in pictures.mine(tmp_path, hard_negatives=3):
        first, *mined = row["hard_negatives"]
        assert first == {"image_id": row["reference_id"], "kind": "reference"}
        ends = [pictures.ids.index(row[end]) for end in ("reference_id", "target_id")]
        allowed = set(pictures.candidates(ends[0])) & set(pictures.candidates(ends[1]))
        expected = sorted(
            allowed, key=lambda other: (-(similarities[ends[0], other] + similarities[ends[1], other]), other)
        )
        assert mined == [{"image_id": pictures.ids[other], "kind": "mined"} for other in expected[:3]]


def test_a_window_beyond_the_pool_gives_no_pair_and_is_counted(tmp_path: Path) -> None:
    pictures = Pictures.random(12)
    run = pictures.run(tmp_path, {"kind": "neighbours"}, {"kind": "rank", "lower": 500, "upper": 900})
    pair(run)
    facts = run.read_facts()["pairs"]
    assert facts["references_without_target"]["rank"] == 40
    assert facts["by_signal"] == {"neighbours": facts["count"], "rank": 0}


def test_no_pair_at_all_names_the_window_and_the_similarities_there_are(tmp_path: Path) -> None:
    run = Pictures.random(13).run(tmp_path, {"kind": "neighbours", "lower": 0.999})
    with pytest.raises(
        UserError, match=r"neighbours with lower=0.999 upper=None saw similarities from -0\.\d+ to 0\.\d+"
    ):
        pair(run)
    assert not run.pairs.exists()


def test_images_that_are_all_near_duplicates_cannot_be_paired(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no near duplicate"):
        pair(Pictures.random(14, groups=1).run(tmp_path))


def test_an_image_without_an_embedding_is_left_out_and_counted(tmp_path: Path) -> None:
    pictures = Pictures.random(15)
    pictures.vectors[3] = 0
    run = pictures.run(tmp_path)
    pair(run)
    assert all(3 not in ends for ends in pictures.chosen(pq.read_table(run.pairs).to_pylist()))
    assert run.read_facts()["pairs"]["without_embedding"] == 1


def test_given_pairs_come_from_the_source_and_lost_ones_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = Pictures.random(16)
    first = pictures.candidates(0)
    twin = next(n for n in range(40) for m in range(n) if pictures.groups[n] == pictures.groups[m])
    other_twin = pictures.groups.index(pictures.groups[twin])
    elsewhere = next(n for n in range(40) if pictures.splits[n] != pictures.splits[0])
    named = [(0, first[5]), (0, first[2]), (0, first[5]), (0, 0), (twin, other_twin), (0, elsewhere), (0, "lost")]
    monkeypatch.setattr(Folder, "pairs", lambda self: iter([GivenPair(f"{r}.png", f"{t}.png") for r, t in named]))
    run = pictures.run(tmp_path, {"kind": "given"})
    pair(run)
    rows = pq.read_table(run.pairs).to_pylist()
    assert pictures.chosen(rows) == {(0, first[5]), (0, first[2])}
    assert sorted(row["rank"] for row in rows) == [3, 6]
    lost = {"image missing": 1, "same image": 1, "near duplicates": 1, "across splits": 1}
    assert run.read_facts()["pairs"]["given_lost"] == lost


def test_only_images_that_the_source_names_as_references_are_references_where_the_recipe_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = Pictures.random(17)
    named = [("3.png", "4.png"), ("3.png", "9.png"), ("8.png", "lost"), ("lost", "8.png")]
    monkeypatch.setattr(Folder, "pairs", lambda self: iter(GivenPair(*pair) for pair in named))
    signals = [{"kind": "rank", "lower": 1, "upper": 4, "per_image": 2}, {"kind": "random"}]
    everyone = pictures.mine(tmp_path / "all", *signals)
    few = pictures.mine(tmp_path / "given", *signals, references="given")
    assert {pictures.ids.index(row["reference_id"]) for row in few} == {3, 8}
    assert few == [row for row in everyone if pictures.ids.index(row["reference_id"]) in (3, 8)]


def test_without_a_named_reference_there_is_no_pair_and_the_sentence_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Folder, "pairs", lambda self: iter([GivenPair("lost", "3.png")]))
    with pytest.raises(UserError, match=r"No image is the reference of a pair .* set pair\.references to all"):
        pair(Pictures.random(18).run(tmp_path, references="given"))


@given(seed=st.integers(0, 10**6), lower=st.integers(0, 99), width=st.integers(1, 100))
@settings(max_examples=10, deadline=None)
def test_a_window_in_percent_is_the_same_part_of_every_split(
    tmp_path_factory: pytest.TempPathFactory, seed: int, lower: int, width: int
) -> None:
    pictures = Pictures.random(seed)
    upper = min(100, lower + width)
    signals = [{"kind": "neighbours"}, {"kind": "rank_percent", "lower": lower, "upper": upper, "per_image": 99}]
    rows = pictures.mine(tmp_path_factory.mktemp("run"), *signals)
    expected = set()
    for reference in range(len(pictures.ids)):
        candidates = pictures.candidates(reference)
        first, last = (len(candidates) * share // 100 for share in (lower, upper))
        expected |= {(reference, target) for target in [*candidates[:1], *candidates[first : max(last, first + 1)]]}
    assert pictures.chosen(rows) == expected


LARGE = 100
"""A split of more images than this is a large one in the tests below."""
FAR_SIGNALS: list[dict[str, Any]] = [
    {"kind": "rank_percent", "lower": 40, "upper": 60, "per_image": 2},
    {"kind": "percentile", "lower": 20, "upper": 60},
    {"kind": "random", "per_image": 2},
]


def clustered(seed: int, count: int = 400, size: int = 16) -> Pictures:
    """Pictures of one split around some 20 centres of unlike sizes."""
    pictures = Pictures.random(seed, count, groups=count, size=size)
    draws = np.random.default_rng(seed)
    centres = draws.normal(size=(20, size))
    spread = centres[np.minimum(19, draws.geometric(0.15, size=count) - 1)] + 0.4 * draws.normal(size=(count, size))
    pictures.vectors = (spread / np.linalg.norm(spread, axis=1, keepdims=True)).astype(np.float32)
    pictures.splits = ["train"] * count
    return pictures


def approximate(run: Run) -> dict[str, dict[str, Any]]:
    return {check["search"]: check for check in run.read_facts()["pairs"]["approximate"]}


@given(seed=st.integers(0, 10**6))
@settings(max_examples=2, deadline=None)
def test_a_large_split_finds_nearly_all_true_neighbours_and_tells_how_many(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    pictures = clustered(seed)
    signals = [{"kind": "neighbours", "per_image": 5}, {"kind": "rank", "lower": 6, "upper": 9, "per_image": 4}]
    run = pictures.run(tmp_path_factory.mktemp("run"), *signals)
    pair(run, exact_up_to=LARGE)
    found = pictures.chosen(pq.read_table(run.pairs).to_pylist())
    exact = pictures.chosen(pictures.mine(tmp_path_factory.mktemp("run"), *signals))
    assert len(found & exact) >= 0.97 * len(exact)
    checks = approximate(run)
    assert set(checks) == {"neighbours by image", "hard negatives"}
    for check in checks.values():
        assert check["share"] >= 0.97
        assert f"{check['share']:.1%} are right" in check["told"]


@given(block_bytes=st.integers(1, 200_000), seed=st.integers(0, 10**6))
@settings(max_examples=2, deadline=None)
def test_block_size_changes_nothing_in_a_large_split_either(
    tmp_path_factory: pytest.TempPathFactory, block_bytes: int, seed: int
) -> None:
    pictures = clustered(seed, count=200)
    signals = [*ANY_SIGNALS, *FAR_SIGNALS[:1]]
    blocked, whole = (
        pictures.mine(tmp_path_factory.mktemp("run"), *signals, block_bytes=size, exact_up_to=LARGE)
        for size in (block_bytes, 2**20)
    )
    assert blocked == whole


@given(seed=st.integers(0, 10**6))
@settings(max_examples=2, deadline=None)
def test_far_windows_of_a_large_split_are_nearly_those_of_all_images(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    pictures = clustered(seed)
    run = pictures.run(tmp_path_factory.mktemp("run"), *FAR_SIGNALS)
    pair(run, exact_up_to=LARGE)
    rows = pq.read_table(run.pairs).to_pylist()
    places: dict[str, list[float]] = {}
    for row in rows:
        reference, target = (pictures.ids.index(row[end]) for end in ("reference_id", "target_id"))
        rank = pictures.candidates(reference).index(target) + 1
        places.setdefault(row["signal"], []).append(rank)
        assert abs(rank - row["rank"]) < 200  # an estimate: a part of 100 images stands for 400
    inside = np.mean([0.36 * 399 <= rank <= 0.64 * 399 for rank in places["rank_percent"]])
    assert inside > 0.8
    assert approximate(run)["window of rank_percent"]["share"] > 0.7
    assert len({row["target_id"] for row in rows if row["signal"] == "random"}) > 300  # any image can be a target


def test_every_signal_keeps_its_promises_in_a_large_split(tmp_path: Path) -> None:
    pictures = Pictures.random(20, count=300, groups=200, size=12)
    rows = pictures.mine(tmp_path, *ANY_SIGNALS, *FAR_SIGNALS, exact_up_to=LARGE)
    chosen = pictures.chosen(rows)
    assert len(chosen) == len(rows)
    similarities = pictures.similarities()
    for reference, target in chosen:
        assert pictures.splits[reference] == pictures.splits[target]
        assert pictures.groups[reference] != pictures.groups[target]
    for row in rows:
        ends = [pictures.ids.index(row[end]) for end in ("reference_id", "target_id")]
        assert row["similarity"] == np.float32(similarities[tuple(ends)])
        groups = {pictures.groups[end] for end in ends}
        assert all(pictures.groups[pictures.ids.index(n["image_id"])] not in groups for n in row["hard_negatives"][1:])
    same = [row for row in rows if row["signal"] == "rank#2"]
    categories = [
        [pictures.categories[pictures.ids.index(row[e])] for e in ("reference_id", "target_id")] for row in same
    ]
    assert same and all(one == other != "" for one, other in categories)


def test_given_pairs_of_a_large_split_are_all_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = clustered(21)
    named = [(0, target) for target in pictures.candidates(0)[10:400:67]]
    monkeypatch.setattr(Folder, "pairs", lambda self: iter([GivenPair(f"{r}.png", f"{t}.png") for r, t in named]))
    rows = pictures.mine(tmp_path, {"kind": "given"}, exact_up_to=LARGE)
    assert pictures.chosen(rows) == set(named)
    for row in rows:
        rank = pictures.candidates(0).index(pictures.ids.index(row["target_id"])) + 1
        assert abs(rank - row["rank"]) < 120


def test_a_small_split_beside_a_large_one_is_searched_in_full(tmp_path: Path) -> None:
    pictures = clustered(22, count=300)
    pictures.splits = ["test" if number % 5 == 0 else "train" for number in range(300)]
    whole = pictures.mine(tmp_path / "whole", *ANY_SIGNALS[:1], *ANY_SIGNALS[3:])
    rows = pictures.mine(tmp_path / "large", *ANY_SIGNALS[:1], *ANY_SIGNALS[3:], exact_up_to=LARGE)
    assert [row for row in rows if row["split"] == "test"] == [row for row in whole if row["split"] == "test"]
