"""CIRR: the reference always removed, the subset of five, and the two files of the server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_benchmarks import made_features, oracle_rank, ranked_by, write_cirr, write_json

from cirgen.errors import UserError
from cirgen_benchmark.protocols import cirr
from cirgen_benchmark.protocols.base import Features
from cirgen_benchmark.protocols.cirr import CIRR
from cirgen_benchmark.protocols.rankings import RankingsFile, read_rankings


def rows_of(root: Path, split: str = "val") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((root / "captions" / f"cap.rc2.{split}.json").read_text())
    return found


def names_of(root: Path, split: str = "val") -> list[str]:
    return list(json.loads((root / "image_splits" / f"split.rc2.{split}.json").read_text()))


def oracle(root: Path, features: Features) -> tuple[list[int], list[int]]:
    """Rank every query in the gallery and in its set, in plain Python."""
    names, whole, subset = names_of(root), [], []
    for row, query in zip(rows_of(root), features["queries"], strict=True):
        similar = ranked_by(features, "gallery", names, query)
        whole.append(oracle_rank(similar, row["target_hard"], [row["reference"]]))
        others = {name: similar[name] for name in row["img_set"]["members"]}
        subset.append(oracle_rank(others, row["target_hard"], [row["reference"]]))
    return whole, subset


@pytest.mark.parametrize("seed", range(5))
def test_ranks_and_figures_are_those_of_a_count_by_hand(tmp_path: Path, seed: int) -> None:
    root = write_cirr(tmp_path, queries=40, seed=seed)
    protocol = CIRR(root)
    features = made_features(protocol, seed=seed)
    scores = protocol.score(features)
    whole, subset = oracle(root, features)
    assert scores.queries["rank"].to_pylist() == whole
    assert scores.queries["rank_subset"].to_pylist() == subset
    for k in (1, 5, 10, 50):
        assert scores.metrics[f"cirr.val.recall@{k}"] == pytest.approx(100 * np.mean([r <= k for r in whole]))
    for k in (1, 2, 3):
        assert scores.metrics[f"cirr.val.recall_subset@{k}"] == pytest.approx(100 * np.mean([r <= k for r in subset]))
    mean = (scores.metrics["cirr.val.recall@5"] + scores.metrics["cirr.val.recall_subset@1"]) / 2
    assert scores.metrics["cirr.val.mean"] == pytest.approx(mean)
    assert len(scores.metrics) == 8


def test_a_model_that_returns_the_reference_first_loses_nothing_by_it(tmp_path: Path) -> None:
    protocol = CIRR(write_cirr(tmp_path))
    part = protocol.parts[0]
    gallery = np.eye(len(part.gallery), dtype=np.float32)
    queries = 5 * gallery[part.references] + gallery[part.targets[:, 0]]
    assert protocol.score({"gallery": gallery, "queries": queries}).metrics["cirr.val.recall@1"] == 100


def test_the_layout_with_the_cirr_level_is_found(tmp_path: Path) -> None:
    write_cirr(tmp_path / "cirr")
    assert CIRR(tmp_path).query_ids()["queries"][:2] == ["12000", "12007"]


@pytest.mark.parametrize("split", ["val", "test1"])
def test_submissions_are_what_the_server_takes(tmp_path: Path, split: Any) -> None:
    root = write_cirr(tmp_path, split)
    protocol = CIRR(root, split)
    features = made_features(protocol)
    files = {file.name: json.loads(file.text) for file in protocol.submissions(features)}
    assert set(files) == {f"cirr.{split}.recall.json", f"cirr.{split}.recall_subset.json"}
    names = names_of(root, split)
    for metric, length in (("recall", 50), ("recall_subset", 3)):
        content = files[f"cirr.{split}.{metric}.json"]
        assert (content.pop("version"), content.pop("metric")) == ("rc2", metric)
        for row, query in zip(rows_of(root, split), features["queries"], strict=True):
            similar = ranked_by(features, "gallery", names, query)
            among = names if metric == "recall" else row["img_set"]["members"]
            ranked = sorted((n for n in among if n != row["reference"]), key=lambda n: (-similar[n], n))
            assert content.pop(str(row["pairid"])) == ranked[:length]
        assert content == {}


def test_figures_of_the_submission_files_are_those_of_the_features(tmp_path: Path) -> None:
    protocol = CIRR(write_cirr(tmp_path))
    rng = np.random.default_rng(0)  # without ties, which a list has to break one way or the other
    features = {
        "gallery": rng.normal(size=(60, 8)).astype(np.float32),
        "queries": rng.normal(size=(12, 8)).astype(np.float32),
    }
    files = [read_rankings(file.write(tmp_path / "sub")) for file in protocol.submissions(features)]
    by_features, by_rankings = protocol.score(features), protocol.score_rankings(files)
    assert by_rankings.metrics == by_features.metrics
    whole = by_features.queries["rank"].to_pylist()
    assert by_rankings.queries["rank"].to_pylist() == [rank if rank <= 50 else None for rank in whole]
    alone = protocol.score_rankings(files[1:])
    assert set(alone.metrics) == {f"cirr.val.recall_subset@{k}" for k in (1, 2, 3)}


def test_targets_that_are_withheld_cannot_be_scored(tmp_path: Path) -> None:
    protocol = CIRR(write_cirr(tmp_path, "test1"), "test1")
    assert protocol.withheld
    with pytest.raises(UserError, match=r"cirr\.test1 withholds its targets; .* --submission"):
        protocol.score(made_features(protocol))
    with pytest.raises(UserError, match="withholds its targets"):
        protocol.score_rankings([])


@pytest.fixture
def listed(tmp_path: Path) -> tuple[CIRR, dict[str, list[str]], dict[str, list[str]]]:
    protocol = CIRR(write_cirr(tmp_path))
    whole, subset = (json.loads(file.text) for file in protocol.submissions(made_features(protocol)))
    return protocol, whole, subset


def scored(protocol: CIRR, content: object, folder: Path) -> Any:
    return protocol.score_rankings([read_rankings(write_json(folder / "mine.json", content))])


def test_rankings_that_a_server_would_refuse_are_refused(tmp_path: Path, listed: Any) -> None:
    protocol, whole, subset = listed
    first = protocol.parts[0].asked[0]

    def wrong(**changes: object) -> dict[str, object]:
        return {**whole, **changes}

    cases = {
        r"mine.json has queries without at least 50 images: 1 \(12000\)": wrong(**{first.id: whole[first.id][:49]}),
        "mine.json has queries that name an image twice: 1": wrong(
            **{first.id: [whole[first.id][0], *whole[first.id][:49]]}
        ),
        "rank their own reference": wrong(**{first.id: [first.reference, *whole[first.id][:49]]}),
        "rank an image from outside the gallery": wrong(**{first.id: ["dev-x", *whole[first.id][:49]]}),
        r"mine.json has queries that are not of this split: 1 \(77\)": wrong(**{"77": whole[first.id]}),
        'must say "version": "rc2"': wrong(version="rc1"),
        'must say "version": "rc2" and "metric"': wrong(metric="map"),
        "rank an image from outside their set": {**subset, first.id: whole[first.id][-3:]},
        "must have a list of image ids": wrong(**{first.id: {"a": 1}}),
        "must be a JSON object": [whole],
    }
    for message, content in cases.items():
        with pytest.raises(UserError, match=message):
            scored(protocol, content, tmp_path)


def test_a_query_without_a_ranking_is_told_or_marks_every_figure(tmp_path: Path, listed: Any) -> None:
    protocol, whole, _ = listed
    del whole["12007"]
    with pytest.raises(UserError, match=r"1 of 12 rows of .*mine.json \(12007\)"):
        scored(protocol, whole, tmp_path)
    lenient = CIRR(tmp_path, allow_missing=True)
    scores = scored(lenient, whole, tmp_path)
    assert set(scores.metrics) == {f"cirr.val.partial.recall@{k}" for k in (1, 5, 10, 50)}
    assert scores.queries["rank"].to_pylist()[1] is None


def test_two_files_of_one_metric_are_refused(tmp_path: Path, listed: Any) -> None:
    protocol, whole, _ = listed
    file = read_rankings(write_json(tmp_path / "mine.json", whole))
    with pytest.raises(UserError, match="have the same metric"):
        protocol.score_rankings([file, RankingsFile(Path("other"), file.lists, file.header)])


def test_a_submission_with_a_query_missing_or_too_large_is_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    protocol = CIRR(write_cirr(tmp_path, "test1"), "test1", allow_missing=True)
    features = made_features(protocol)
    features["queries"][3] = 0
    with pytest.raises(UserError, match=r"No ranking for 1 of 12 queries \(12021\)"):
        protocol.submissions(features)
    monkeypatch.setattr(cirr, "MAX_BYTES", 1_000)
    with pytest.raises(UserError, match="the server takes 1,000"):
        protocol.submissions(made_features(protocol))


def test_a_query_that_comes_twice_in_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text('{"version": "rc2", "metric": "recall", "12000": ["a"], "12000": ["b"]}')
    with pytest.raises(UserError, match="'12000' comes twice"):
        read_rankings(path)


@pytest.mark.parametrize("value", ["dev-1", True, None, [1.5], [True], {"a": 1}])
def test_a_query_has_a_list_of_ids_and_nothing_else(tmp_path: Path, value: object) -> None:
    with pytest.raises(UserError, match=r"Query 12000 of .* must have a list of image ids"):
        read_rankings(write_json(tmp_path / "mine.json", {"version": "rc2", "metric": "recall", "12000": value}))


def test_a_version_that_is_a_number_is_told_as_a_wrong_version(tmp_path: Path) -> None:
    protocol = CIRR(write_cirr(tmp_path))
    file = read_rankings(write_json(tmp_path / "mine.json", {"version": 2, "metric": "recall"}))
    with pytest.raises(UserError, match='must say "version": "rc2"'):
        protocol.score_rankings([file])


def test_rankings_without_any_query_are_no_figures_even_with_holes_allowed(tmp_path: Path) -> None:
    protocol = CIRR(write_cirr(tmp_path), allow_missing=True)
    file = read_rankings(write_json(tmp_path / "mine.json", {"version": "rc2", "metric": "recall"}))
    with pytest.raises(UserError, match="ranks images for no query; give the file with all 12 lists"):
        protocol.score_rankings([file])


def test_two_files_that_share_no_query_have_no_mean(tmp_path: Path) -> None:
    protocol = CIRR(write_cirr(tmp_path), allow_missing=True)
    recall, subset = (json.loads(file.text) for file in protocol.submissions(made_features(protocol)))
    for query in protocol.query_ids()["queries"]:
        del (recall if int(query) < 12_020 else subset)[query]
    files = [read_rankings(write_json(tmp_path / f"{half['metric']}.json", half)) for half in (recall, subset)]
    metrics = protocol.score_rankings(files).metrics
    assert len(metrics) == 7
    assert not np.isnan(list(metrics.values())).any()
