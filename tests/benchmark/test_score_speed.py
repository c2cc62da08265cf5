"""The speed script compares two implementations that share nothing, and fails where they differ."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import cirgen
from cirgen_benchmark.protocols.cirr import CIRR

SCRIPT = Path(cirgen.__file__).parents[1] / "benchmark" / "perf" / "score_speed.py"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("score_speed", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sizes = {"dress": (80, 30), "shirt": (90, 40), "toptee": (70, 20)}
    monkeypatch.setattr(module, "CATEGORIES", sizes)
    monkeypatch.setattr(module, "CIRR_SIZE", (120, 60))
    monkeypatch.setattr(sys, "argv", ["score_speed.py", "--repeats", "1", "--dimensions", "8"])
    return module


def test_both_implementations_find_the_same_ranks_and_figures(
    script: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    script.main()
    cirr, fashioniq = capsys.readouterr().out.splitlines()
    assert "60 queries agree, and so do 8 figures" in cirr
    assert "90 queries agree, and so do 9 figures" in fashioniq


def test_a_rank_that_differs_fails(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    score = CIRR.score

    def other(protocol: CIRR, features: dict[str, Any]) -> Any:
        return score(protocol, {**features, "queries": -features["queries"]})

    monkeypatch.setattr(CIRR, "score", other)
    with pytest.raises(SystemExit, match=r"CIRR val: .* ranks differ"):
        script.main()
