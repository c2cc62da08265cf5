"""queries.parquet: what an audit found of every query."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from cirgen.audit.audit import Findings
from cirgen.audit.leaks import ENDS, leaked
from cirgen.audit.ranking import KINDS, NOBODY
from cirgen.audit.texts import FAULTS, faults
from cirgen.filters.words import words
from cirgen.shards import write_rows

QUERIES_NAME = "queries.parquet"


def write_queries(path: Path, found: Findings) -> int:
    """Write a row for every query of the corpus: who it is, its ranks, its leaks and its faults; return how many."""
    encoders = found.ranks.encoders if found.ranks is not None else ()
    return write_rows(path, _rows(found), _schema(len(encoders)))


def _suffixes(encoders: int) -> list[str]:
    return [""] if encoders == 1 else [f"_{place + 1}" for place in range(encoders)]


def _schema(encoders: int) -> pa.Schema:
    texts = ("row_id", "split", "gallery", "reference", "text", "target", "change_type")
    return pa.schema(
        [
            *(pa.field(name, pa.string()) for name in texts),
            *(
                pa.field(name, kind)
                for suffix in _suffixes(encoders)
                for name, kind in (
                    *((f"rank_{kind}{suffix}", pa.int64()) for kind in KINDS),  # from 1; ties count against the query
                    (f"cosine{suffix}", pa.float64()),  # of reference and target
                )
            ),
            pa.field("candidates", pa.int64()),  # images ranked
            pa.field("rivals", pa.int64()),
            pa.field("rival", pa.string()),
            *(pa.field(f"{end}_leak", pa.float64()) for end in ENDS),
            *(pa.field(name, pa.bool_()) for name, _ in FAULTS.values()),
            pa.field("words", pa.int64()),
            pa.field("judged", pa.float64()),  # the judge's probability of yes
        ]
    )


def _rows(found: Findings) -> Iterator[dict[str, Any]]:
    corpus = found.corpus
    ranked = dict(_ranked(found))
    judged = {one.row: one.own for one in found.judged}
    leaks = {end: dict(zip(corpus.triplets, leaked(corpus, end), strict=True)) for end in ENDS}
    for row, faulty in zip(corpus.rows, faults(corpus.rows), strict=True):
        named = {name: getattr(row, name) for name in ("row_id", "split", "gallery", "reference", "text", "target")}
        yield {
            **named,
            "change_type": row.change_type,
            **ranked.get(row, {}),
            **{f"{end}_leak": _number(leaks[end].get(row)) for end in ENDS},
            **{name: faulty[pattern] > 0 for pattern, (name, _) in FAULTS.items()},
            "words": len(words(row.text)),
            "judged": judged.get(row),
        }


def _number(value: Any) -> float | None:
    return None if value is None or np.isnan(value) else float(value)


def _ranked(found: Findings) -> Iterator[tuple[Any, dict[str, Any]]]:
    if found.ranks is None or found.catalog is None:
        return
    ranks = found.ranks
    for place, query in enumerate(ranks.queries):
        values: dict[str, Any] = {
            "candidates": int(ranks.candidates[place]),
            "rivals": int(ranks.rivals[place]),
            "rival": "" if ranks.rival[place] == NOBODY else found.catalog.ids[ranks.rival[place]],
        }
        for number, suffix in enumerate(_suffixes(len(ranks.encoders))):
            values |= {f"rank_{k}{suffix}": int(ranks.ranks[number, kind, place]) for kind, k in enumerate(KINDS)}
            values[f"cosine{suffix}"] = float(ranks.cosines[number, place])
        yield query.row, values
