"""bench.json: every figure of a verdict with what it was measured on, for programs and for committing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
import transformers

from cirgen import __version__
from cirgen_benchmark.training.provenance import code_version
from cirgen_benchmark.verdict.results import Results
from cirgen_benchmark.verdict.statistics import DRAWS, Estimate
from cirgen_benchmark.verdict.words import sentence


def record(
    results: Results,
    corpus: str,
    fingerprints: Mapping[str, str],
    model: Mapping[str, str],
    submissions: Sequence[str] = (),
) -> dict[str, Any]:
    """Return plain data: the sentence, arms, contrasts and curves, per cent and points.

    Args:
        results: of a preset.
        corpus: as the user named it.
        fingerprints: of the corpora that trained, by name.
        model: what every arm began with, which may be another than the preset's.
        submissions: files for a server, relative to the folder of the verdict.
    """
    preset = results.preset
    return {
        "verdict": sentence(results),
        "indicative": preset.is_indicative,
        "corpus": corpus,
        "corpora": dict(fingerprints),
        "model": dict(model),
        "notes": list(results.notes),
        "metric": preset.primary,
        "seeds": list(preset.seeds),
        "queries": results.queries,
        "references": results.references,
        "selected_on_reported_split": preset.selects_on_reported_split,
        "intervals": f"95 %, crossed bootstrap over seeds and references, {DRAWS:,} draws",
        "arms": [{**asdict(arm), "primary": _figure(arm.primary)} for arm in results.arms()],
        "contrasts": [
            {**asdict(one), "difference": _figure(one.difference), "significant": one.significant}
            for one in results.contrasts()
        ],
        "curves": [{**asdict(point), "primary": _figure(point.primary)} for point in results.curves()],
        "submissions": list(submissions),
        "preset": preset.model_dump(mode="json"),
        "versions": {
            "cirgen": __version__,
            "code": code_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
    }


def _figure(estimate: Estimate) -> dict[str, float]:
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}
