"""Benchmarks by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from made_benchmarks import made_features, write_circo, write_cirr, write_fashioniq, write_genecis

from cirgen.errors import UserError
from cirgen_benchmark.protocols.registry import BENCHMARKS, open_benchmark

WRITERS: dict[str, Any] = {
    "fashioniq": write_fashioniq,
    "cirr": write_cirr,
    "circo": write_circo,
    "genecis": write_genecis,
}


@pytest.mark.parametrize("name", BENCHMARKS)
def test_the_public_split_is_opened_and_scored_by_default(name: str, tmp_path: Path) -> None:
    protocol = open_benchmark(name, root=WRITERS[name](tmp_path))
    scores = protocol.score(made_features(protocol))
    assert not protocol.withheld
    assert all(key.startswith(f"{protocol.name}.") and 0 <= value <= 100 for key, value in scores.metrics.items())
    assert scores.queries.column_names[:5] == ["query", "part", "reference", "target", "rank"]
    asked = [(query.reference, one) for name, ids in protocol.query_ids().items()
             for query, one in zip(protocol.queries()[name], ids, strict=True)]  # fmt: skip
    assert asked == list(
        zip(scores.queries["reference"].to_pylist(), scores.queries["query"].to_pylist(), strict=True)
    )


@pytest.mark.parametrize(
    ("name", "split", "options", "message"),
    [
        ("imagenet", None, {}, "no benchmark 'imagenet'; choose one of fashioniq, cirr, circo, genecis"),
        ("fashioniq", "test", {}, "fashioniq has no split 'test' to score; choose one of val"),
        ("cirr", "val", {"reference": "keep"}, "cirr has no option reference; leave it out"),
    ],
)
def test_what_is_not_there_is_told(name: str, split: Any, options: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        open_benchmark(name, split, Path(), **options)  # type: ignore[arg-type]


def test_an_option_that_is_none_is_not_given(tmp_path: Path) -> None:
    assert open_benchmark("cirr", "val", write_cirr(tmp_path), reference=None).name == "cirr.val"
