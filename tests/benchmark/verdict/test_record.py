"""bench.json holds every figure of a verdict and what it was measured on, and nothing of the machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from bench_runs import Judged, tiny_preset

from cirgen_benchmark.data.corpus import Corpus
from cirgen_benchmark.verdict.bench import bench
from cirgen_benchmark.verdict.preset import Preset
from cirgen_benchmark.verdict.preset_file import load_preset
from cirgen_benchmark.verdict.words import sentence


@pytest.fixture(scope="module")
def written(judged: Judged) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((judged.folder / "bench.json").read_text(encoding="utf8"))
    return found


def test_every_figure_of_every_arm_is_there(judged: Judged, written: dict[str, Any]) -> None:
    arms = {(one["arm"], one["at"]): one for one in written["arms"]}
    assert set(arms) == {("untrained", "last"), *((arm, at) for arm in ("human", "corpus") for at in ("last", "best"))}
    for arm in judged.results.arms():
        found = arms[arm.arm, arm.at]
        assert tuple(found["primary"].values()) == arm.primary[:3]
        assert found["metrics"] == arm.metrics
        assert (tuple(found["steps"]), found["human"], found["synthetic"]) == (arm.steps, arm.human, arm.synthetic)
    assert {key.rsplit(".", 1)[1] for key in arms["corpus", "last"]["metrics"]} == {
        f"{metric}@{k}" for metric in ("recall", "map") for k in (1, 5, 10, 50)
    }


def test_every_contrast_and_every_point_of_a_curve_is_there(judged: Judged, written: dict[str, Any]) -> None:
    assert [(one["name"], one["at"], one["p"], one["significant"]) for one in written["contrasts"]] == [
        (one.name, one.at, one.p, one.significant) for one in judged.results.contrasts()
    ]
    assert [(one["arm"], one["value"], one["primary"]["value"]) for one in written["curves"]] == [
        (one.arm, one.value, one.primary.value) for one in judged.results.curves()
    ]


def test_it_says_what_was_measured_on_what(judged: Judged, written: dict[str, Any], corpus_folder: Path) -> None:
    assert written["verdict"] == sentence(judged.results)
    assert written["corpora"] == {"judged": Corpus(corpus_folder).fingerprint}
    assert written["seeds"] == [0, 1]
    assert (written["queries"], written["metric"]) == (judged.results.queries, "recall@10")
    assert Preset.model_validate_json(json.dumps(written["preset"]), strict=False) == judged.results.preset
    assert {"cirgen", "code", "torch", "transformers"} == written["versions"].keys()


def test_the_preset_beside_it_trains_the_same(judged: Judged) -> None:
    assert load_preset(str(judged.folder / "preset.yaml")) == judged.results.preset


def test_every_query_of_every_arm_is_in_the_parquet_file(judged: Judged) -> None:
    table = pq.read_table(judged.folder / "queries.parquet")
    results = judged.results
    assert table.num_rows == len(results.outcomes) * results.queries
    rows = table.to_pylist()
    for outcome in results.outcomes:
        own = [row["rank"] for row in rows
               if (row["arm"], row["seed"], row["at"]) == (outcome.arm.name, outcome.seed, outcome.at)]  # fmt: skip
        assert own == outcome.queries["rank"].to_pylist()
        recall = 100 * sum(rank <= 10 for rank in own) / len(own)
        assert recall == pytest.approx(outcome.metrics["corpus.test.recall@10"])


def test_nothing_written_names_a_place_that_the_user_did_not(
    corpus_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Results are committed and published: what was typed stays, the way to it does not."""
    (tmp_path / "corpus").symlink_to(corpus_folder)
    base = tiny_preset().base
    (tmp_path / "model").symlink_to(base.model)
    monkeypatch.chdir(tmp_path)
    arms = {"untrained": {"steps": ()}}
    preset = tiny_preset(
        base={**base.model_dump(), "model": "model"}, arms=arms, contrasts={}, curves={}, verdict=None
    )  # fmt: skip
    bench("corpus", preset, Path("out"))
    for name in ("bench.json", "report.html", "preset.yaml"):
        text = (tmp_path / "out" / name).read_text(encoding="utf8")
        assert str(Path.home()) not in text
        assert str(tmp_path) not in text
        assert str(corpus_folder) not in text
