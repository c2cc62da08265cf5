"""`cirgen score`: tables that fit a terminal, JSON, comparisons, files for servers, and errors of one sentence."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from made_benchmarks import made_features, write_circo, write_cirr, write_fashioniq, write_genecis
from safetensors.numpy import save_file

from cirgen.cli.app import main
from cirgen_benchmark.protocols.cirr import CIRR
from cirgen_benchmark.protocols.registry import open_benchmark
from commands import cirgen, said

WRITERS: dict[str, Any] = {
    "fashioniq": write_fashioniq,
    "cirr": write_cirr,
    "circo": write_circo,
    "genecis": write_genecis,
}


@pytest.fixture
def score(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        try:
            main(["score", *arguments])
            code = 0
        except SystemExit as caught:
            code = int(caught.code or 0)
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return call


def made(name: str, root: Path, split: str | None = None, seed: int = 0) -> str:
    """Write a benchmark and a features file; return the path of the latter."""
    protocol = open_benchmark(name, split, root)
    path = root / f"{seed}.safetensors"
    save_file(made_features(protocol, seed=seed), path)
    return str(path)


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("compared", [False, True], ids=["alone", "compared"])
def test_every_figure_is_in_a_table_that_fits_80_columns(
    score: Any, tmp_path: Path, name: str, compared: bool
) -> None:
    root = WRITERS[name](tmp_path / "copy")
    arguments = ["--benchmark", name, "--root", str(root), "--features", made(name, root)]
    arguments += ["--compare", made(name, root, seed=1)] if compared else []
    code, out, _ = score(*arguments)
    figures = json.loads(score(*arguments, "--json")[1])
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    rows = dict(line.split(None, 1) for line in out.splitlines()[2:] if not line.startswith("The vectors"))
    for key, value in figures["metrics"].items():
        assert rows[key.removeprefix(f"{figures['benchmark']}.")].startswith(f"{value:.2f} ")
    assert "…" not in out


def test_json_has_metrics_intervals_and_paired_differences(score: Any, tmp_path: Path) -> None:
    root = write_cirr(tmp_path / "copy", queries=40)
    arguments = ["--benchmark", "cirr", "--root", str(root), "--features", made("cirr", root), "--json"]
    found = json.loads(score(*arguments)[1])
    assert (found["benchmark"], found["queries"], found["left_out"]) == ("cirr.val", 40, 0)
    assert found["metrics"].keys() == found["intervals"].keys()
    for key, (low, high) in found["intervals"].items():
        assert low <= found["metrics"][key] <= high
    other = made("cirr", root, seed=1)
    compared = json.loads(score(*arguments, "--compare", other)[1])
    alone = json.loads(score(*arguments[:-2], other, "--json")[1])
    assert compared["metrics"] == found["metrics"]
    assert compared["compared"] == alone["metrics"]
    for key, one in compared["differences"].items():
        assert one["value"] == pytest.approx(found["metrics"][key] - alone["metrics"][key])
        assert one["low"] <= one["value"] <= one["high"]
    assert json.loads(score(*arguments, "--seed", "1")[1])["intervals"] != found["intervals"]
    assert json.loads(score(*arguments)[1]) == found


def test_the_rank_of_every_query_is_written(score: Any, tmp_path: Path) -> None:
    root = write_fashioniq(tmp_path / "copy")
    path = tmp_path / "out" / "ranks.parquet"
    code, out, _ = score(
        "--benchmark", "fashioniq", "--root", str(root), "--features", made("fashioniq", root),
        "--compare", made("fashioniq", root, seed=1), "--per-query", str(path),
    )  # fmt: skip
    assert code == 0
    assert out.splitlines()[-1] == f"written: {path}"
    table = pq.read_table(path)
    assert table.num_rows == 27
    assert table.column_names == [
        "query", "part", "reference", "target", "rank", "rank_val_union", "rank_compared", "rank_val_union_compared",
    ]  # fmt: skip
    assert str(table.schema.field("rank").type) == "int32"
    assert table["rank"].to_pylist() != table["rank_compared"].to_pylist()


def test_the_reference_and_the_gallery_of_fashioniq_are_options(score: Any, tmp_path: Path) -> None:
    root = write_fashioniq(tmp_path / "copy")
    given = ["--benchmark", "fashioniq", "--root", str(root), "--features", made("fashioniq", root), "--json"]
    kept = json.loads(score(*given)[1])["metrics"]
    removed = json.loads(score(*given, "--reference", "remove", "--gallery", "val_union")[1])["metrics"]
    assert all(".ref_keep." in key for key in kept)
    assert len(removed) == len(kept) / 2
    assert all(key.startswith("fashioniq.val.val_union.ref_remove.") for key in removed)


def test_test1_writes_the_servers_files_and_no_figures(score: Any, tmp_path: Path) -> None:
    root = write_cirr(tmp_path / "copy", "test1")
    given = ["--benchmark", "cirr", "--split", "test1", "--root", str(root)]
    given += ["--features", made("cirr", root, "test1")]
    code, _, err = score(*given)
    assert (code, err.count("\n")) == (1, 1)
    assert "cirr.test1 withholds its targets; write what its server scores: --submission FOLDER." in err
    code, out, _ = score(*given, "--submission", "sub")
    assert code == 0
    assert [line.partition(":")[0] for line in out.splitlines()[:2]] == [
        "sub/cirr.test1.recall.json",
        "sub/cirr.test1.recall_subset.json",
    ]
    assert {path.name for path in Path("sub").iterdir()} == {"cirr.test1.recall.json", "cirr.test1.recall_subset.json"}
    files = json.loads(score(*given, "--submission", "sub", "--json")[1])["files"]
    assert [json.loads(Path(path).read_text())["metric"] for path in files] == ["recall", "recall_subset"]


def test_rankings_are_scored_and_compared_as_features_are(score: Any, tmp_path: Path) -> None:
    root = write_cirr(tmp_path / "copy")
    given = ["--benchmark", "cirr", "--root", str(root)]
    features = made("cirr", root)
    score(*given, "--features", features, "--submission", "sub")
    files = [f"sub/cirr.val.{metric}.json" for metric in ("recall", "recall_subset")]
    code, out, _ = score(*given, "--rankings", files[0], "--rankings", files[1], "--json")
    assert code == 0
    assert len(json.loads(out)["metrics"]) == 8
    compared = json.loads(score(*given, "--features", features, "--compare", files[1], "--json")[1])
    assert {key.rpartition("@")[0] for key in compared["differences"]} == {"cirr.val.recall_subset"}


def test_a_copy_with_holes_is_refused_or_marked_in_every_key(score: Any, tmp_path: Path) -> None:
    root = write_cirr(tmp_path / "copy")
    protocol = CIRR(root)
    features = made_features(protocol)
    hole = protocol.parts[0].targets[0, 0]
    features["gallery"][hole] = 0
    save_file(features, tmp_path / "holed.safetensors")
    given = ["--benchmark", "cirr", "--root", str(root), "--features", "holed.safetensors"]
    code, out, err = score(*given)
    assert (code, out) == (1, "")
    missing = protocol.galleries()["gallery"][hole]
    assert f"Error: Missing: 1 of 60 images of gallery ({missing})" in err
    assert err.endswith("marked as partial: --allow-missing (of cirgen bench: --set allow_missing=true).\n")
    code, out, _ = score(*given, "--allow-missing")
    assert code == 0
    lost = sum(one.targets[0] == missing for one in protocol.parts[0].asked)
    assert out.startswith(f"cirr.val.partial, 12 queries ({lost} left out), in per cent")
    assert "Missing: 1 of 60 images" in out
    found = json.loads(score(*given, "--allow-missing", "--json")[1])
    assert all(key.startswith("cirr.val.partial.") for key in found["metrics"])
    assert len(found["notes"]) == 2  # and that these vectors are not normalised


def test_vectors_of_any_length_are_told_and_may_be_normalised(score: Any, tmp_path: Path) -> None:
    root = write_cirr(tmp_path / "copy")
    given = ["--benchmark", "cirr", "--root", str(root), "--features", made("cirr", root)]
    assert "compared by dot product" in " ".join(score(*given)[1].split())
    assert "have norms" not in score(*given, "--normalize")[1]


def test_a_metric_that_the_other_model_lacks_stands_alone(score: Any, tmp_path: Path) -> None:
    root = write_cirr(tmp_path / "copy")
    given = ["--benchmark", "cirr", "--root", str(root), "--features", made("cirr", root)]
    score(*given, "--submission", "sub")
    rows = score(*given, "--compare", "sub/cirr.val.recall_subset.json")[1].splitlines()
    assert len(next(row for row in rows if row.startswith("recall@1 ")).split()) == 2
    assert len(next(row for row in rows if row.startswith("recall_subset@1 ")).split()) == 7


def test_a_model_with_holes_is_not_compared_with_a_whole_one(score: Any, tmp_path: Path) -> None:
    root = write_cirr(tmp_path / "copy")
    features = made_features(CIRR(root))
    features["gallery"][5] = 0
    save_file(features, tmp_path / "holed.safetensors")
    given = ["--benchmark", "cirr", "--root", str(root), "--features", made("cirr", root), "--allow-missing"]
    code, _, err = score(*given, "--compare", "holed.safetensors")
    assert code == 1
    assert "have no metric in common (cirr.val.recall@1, cirr.val.partial.recall@1)" in err


def test_what_cannot_be_written_is_told_before_anything_is_scored(score: Any, tmp_path: Path) -> None:
    root = write_cirr(write_cirr(tmp_path / "copy"), "test1")
    features = made("cirr", root)
    given = ["--benchmark", "cirr", "--root", str(root), "--features", features]
    assert "copy is a folder; name a file for --per-query" in score(*given, "--per-query", "copy")[2]
    assert f"{features} is a file; name a folder for --submission" in score(*given, "--submission", features)[2]
    withheld = [*given[:-1], made("cirr", root, "test1", seed=1), "--split", "test1", "--submission", "sub"]
    assert "leave out --compare and --per-query" in score(*withheld, "--per-query", "a.parquet")[2]
    assert not Path("sub").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Give what is to be scored: either --features FILE.safetensors or --rankings FILE.json."),
        (["--features", "a", "--rankings", "b"], "Give what is to be scored"),
        (["--features", "none.safetensors"], "none.safetensors cannot be read as a features file"),
        (["--rankings", "none.json", "--normalize"], "Rankings are in an order already; leave out --normalize."),
        (["--rankings", "none.json"], "none.json cannot be read as rankings"),
        (["--features", "a", "--split", "train"], "cirr has no split 'train' to score; choose one of val, test1."),
        (["--features", "a", "--reference", "keep"], "cirr has no option reference; leave it out."),
    ],
)
def test_mistakes_are_told_in_one_sentence(score: Any, tmp_path: Path, arguments: list[str], message: str) -> None:
    root = write_cirr(tmp_path / "copy")
    code, out, err = score("--benchmark", "cirr", "--root", str(root), *arguments)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert f"Error: {message}" in err


def test_annotations_that_are_not_there_are_told_with_the_option_that_names_them(score: Any, tmp_path: Path) -> None:
    for name in WRITERS:
        code, _, err = score("--benchmark", name, "--root", str(tmp_path / "nothing"), "--features", "a")
        assert code == 1
        assert "set --root to" in err


@pytest.mark.parametrize("arguments", [[], ["--benchmark", "imagenet", "--root", "x"], ["--benchmark", "cirr"]])
def test_wrong_usage_leaves_with_2(score: Any, arguments: list[str]) -> None:
    assert score(*arguments)[0] == 2


def test_help_has_an_example_and_fits_80_columns(score: Any) -> None:
    code, out, _ = score("--help")
    assert code == 0
    assert "Example: cirgen score --benchmark cirr --root CIRR --features mine.safetensors" in out
    assert max(map(len, out.splitlines())) <= 80


def test_as_a_process_of_its_own_it_scores_without_a_library_that_trains(tmp_path: Path) -> None:
    root = write_cirr(tmp_path / "copy")
    features = made("cirr", root)
    arguments = ["score", "--benchmark", "cirr", "--root", str(root), "--features", features, "--json"]
    code = (
        "import sys\nfrom cirgen.cli.app import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "print(sorted({'torch', 'transformers', 'datasets', 'duckdb', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_file_that_cannot_be_read_is_told_without_a_traceback(tmp_path: Path) -> None:
    root = write_cirr(tmp_path / "copy")
    (tmp_path / "bad.safetensors").write_bytes(b"\x00" * 40)
    message = said(
        cirgen(tmp_path, "score", "--benchmark", "cirr", "--root", str(root), "--features", "bad.safetensors")
    )
    assert "bad.safetensors cannot be read as a features file" in message


def test_features_of_many_vectors_an_image_are_scored(score: Any, tmp_path: Path) -> None:
    root = write_cirr(tmp_path / "copy")
    features = made_features(CIRR(root))
    features["gallery"] = np.stack([features["gallery"], features["gallery"][::-1]], axis=1)
    save_file(features, tmp_path / "many.safetensors")
    assert score("--benchmark", "cirr", "--root", str(root), "--features", "many.safetensors")[0] == 0


def test_what_is_scored_is_never_overwritten(score: Any, tmp_path: Path) -> None:
    root = write_cirr(tmp_path / "copy")
    features = made("cirr", root)
    before = Path(features).read_bytes()
    given = ["--benchmark", "cirr", "--root", str(root), "--features", features]
    assert "--per-query would overwrite" in score(*given, "--per-query", features)[2]
    assert "is no regular file" in score(*given, "--per-query", "/dev/null")[2]
    assert Path(features).read_bytes() == before


def test_rankings_in_the_folder_of_submissions_are_compared_before_that_is_written(score: Any, tmp_path: Path) -> None:
    root = write_cirr(tmp_path / "copy", queries=40)
    old, new = made("cirr", root), made("cirr", root, seed=1)
    given = ["--benchmark", "cirr", "--root", str(root), "--features"]
    score(*given, old, "--submission", "sub")
    compare = ["--compare", "sub/cirr.val.recall_subset.json", "--json"]
    first = json.loads(score(*given, new, *compare)[1])
    both = json.loads(score(*given, new, *compare, "--submission", "sub")[1])
    assert first["differences"] == both["differences"]
    assert any(one["value"] for one in both["differences"].values())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--per-query", "file/ranks.parquet"], "file/ranks.parquet cannot be written (File exists)"),
        (["--submission", "file/sub"], "file/sub cannot be written (Not a directory)"),
        (["--submission", "s" * 300], "cannot be used ([Errno 36] File name too long"),
        (
            ["--per-query", "~nobody-of-that-name/r.parquet"],
            "The path '~nobody-of-that-name/r.parquet' cannot be used",
        ),
    ],
)
def test_places_that_cannot_be_written_are_told(
    score: Any, tmp_path: Path, arguments: list[str], message: str
) -> None:
    root = write_cirr(tmp_path / "copy")
    (tmp_path / "file").touch()
    code, out, err = score("--benchmark", "cirr", "--root", str(root), "--features", made("cirr", root), *arguments)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert message in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "file"]


def test_rankings_may_have_any_name_and_features_too(score: Any, tmp_path: Path) -> None:
    root = write_cirr(tmp_path / "copy")
    features = Path(made("cirr", root)).rename(tmp_path / "features.json")
    given = ["--benchmark", "cirr", "--root", str(root)]
    assert score(*given, "--features", str(features), "--submission", "sub")[0] == 0
    Path("sub/cirr.val.recall.json").rename("recall.txt")
    assert score(*given, "--rankings", "recall.txt")[0] == 0
    assert "cannot be read as rankings" in score(*given, "--rankings", str(features))[2]


def test_a_seed_is_not_negative_and_a_task_counts_once(score: Any, tmp_path: Path) -> None:
    root = write_genecis(tmp_path / "copy")
    given = ["--benchmark", "genecis", "--root", str(root), "--features", made("genecis", root)]
    assert score(*given, "--seed", "-1")[0] == 2
    task = ["--task", "focus_object", "--json"]
    assert score(*given, *task, *task[:2])[1] == score(*given, *task)[1]
