"""Results of arms that were never trained: hits of each query are given, so that figures can be worked out by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from bench_runs import tiny_preset
from numpy.typing import NDArray

from cirgen_benchmark.protocols.figures import Figure
from cirgen_benchmark.verdict.plan import planned
from cirgen_benchmark.verdict.results import Results
from cirgen_benchmark.verdict.runner import At, Outcome

Hits = NDArray[np.float64]
"""Per cent by seed and query [S, Q]; NaN where a query does not count."""


def made_results(
    hits: Mapping[str, Hits],
    best: Mapping[str, Hits] | None = None,
    parts: Mapping[str, int] | None = None,
    references: int | None = None,
    steps: Mapping[str, int] | None = None,
    **sections: Any,
) -> Results:
    """Return the results of the arms of a preset, whose seeds are as many as the rows.

    Args:
        hits: of each arm at its last step.
        best: of arms at their best step.
        parts: name and queries of each part, in order; one without a name by default.
        references: queries in turn are about so many; each is about its own by default.
        steps: of each arm, where they are not equal.
        sections: of the preset.
    """
    seeds, queries = next(iter(hits.values())).shape
    layout = parts or {"": queries}
    names = [f"image {place % (references or queries)}" for place in range(queries)]
    table = pa.table(
        {
            "query": [str(place) for place in range(queries)],
            "part": [part for part, size in layout.items() for _ in range(size)],
            "reference": names,
            "rank": pa.array([1] * queries, pa.int32()),
        }
    )
    preset = tiny_preset(
        **{
            "seeds": tuple(range(seeds)),
            "arms": {name: {"steps": ()} for name in hits},
            "contrasts": {"corpus": {"question": "?", "plus": ("corpus",), "minus": ("human",), "primary": True}},
            "curves": {},
            **sections,
        }
    )
    taken: list[tuple[str, At, Hits]] = [(name, "last", found) for name, found in hits.items()]
    taken += [(name, "best", found) for name, found in (best or {}).items()]
    arms = {arm.name: arm for arm in planned(preset)}
    splits = np.cumsum(list(layout.values()))[:-1]
    outcomes = []
    for seed in reversed(range(seeds)):  # in whatever order processes hand them in
        for name, at, found in taken:
            primary = Figure(dict(zip(layout, np.split(found[seed], splits), strict=True)))
            metrics = {"made.recall@10": primary.mean()}
            outcomes.append(
                Outcome(
                    arms[name], seed, at, 3 + seed, metrics, primary, (steps or {}).get(name, 7), (40, 20), table, ()
                )
            )
    return Results(preset, outcomes)
