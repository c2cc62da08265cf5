"""What a run folder holds, counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from cirgen.backends.speed import told
from cirgen.parquet_sql import rows_of
from cirgen.run_folder import SPEED

if TYPE_CHECKING:
    from cirgen.run_folder import Run

PENDING = "pending"


@dataclass(frozen=True)
class Figures:
    """Counts of one run."""

    stages: dict[str, dict[str, int]]
    """Stage to status to rows; `pending` are planned rows that have no answer yet."""
    images: int
    """Unique pictures."""
    pairs: int
    triplets: int
    """Pairs that have a text."""
    accepted: int
    rejected: dict[str, int] = field(default_factory=dict)
    """Reason to triplets, most frequent first."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall time per stage, all calls of this run together."""
    usage: dict[str, dict[str, float]] = field(default_factory=dict)
    """Model to requests, tokens and cost, all calls of this run together."""
    speed: dict[str, dict[str, float]] = field(default_factory=dict)
    """Of the models, per stage (`backends.speed.told`)."""

    def record(self) -> dict[str, Any]:
        """Return plain data."""
        return {**vars(self), "rejected_total": sum(self.rejected.values())}


def usage_lines(usage: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return what each model was asked in all, in words; nothing of one that counts no tokens."""
    return [
        f"{model}: {used['requests']:,} requests, {used['prompt_tokens']:,} prompt tokens, "
        f"{used['output_tokens']:,} output tokens{_cost(used['cost'])}"
        for model, used in usage.items()
        if used["prompt_tokens"]
    ]


def _cost(cost: float) -> str:
    return f", cost {cost:,.4g}" if cost else ""


def figures(run: Run) -> Figures:
    """Count what a run has; stages it has not reached count nothing."""
    verdicts, facts = _verdicts(run), run.read_facts()
    return Figures(
        stages={stage: _statuses(run, stage, plan) for stage, plan in _plans(run).items()},
        images=_rows(run.catalog),
        pairs=_rows(run.pairs),
        triplets=_rows(run.triplets),
        accepted=verdicts.pop("", 0),
        rejected=verdicts,
        seconds=facts.get("seconds", {}),
        usage=facts.get("usage", {}),
        speed={stage: told(counts) for stage, counts in facts.get(SPEED, {}).items()},
    )


def _plans(run: Run) -> dict[str, Path]:
    return {
        "ingest": run.ingest_plan,
        "caption": run.caption_plan,
        "embed": run.embed_plan,
        "modify": run.modify_plan,
    }


def _statuses(run: Run, stage: str, plan: Path) -> dict[str, int]:
    return run.store.statuses(stage, plan) if plan.is_file() else {}


def _rows(path: Path) -> int:
    return int(pq.ParquetFile(path).metadata.num_rows) if path.is_file() else 0


def _verdicts(run: Run) -> dict[str, int]:
    """Count verdicts by reason, accepted ones under the empty reason."""
    if not run.verdicts.is_file():
        return {}
    with run.store.connect() as connection:
        query = f"SELECT reason, count(*) AS n FROM {rows_of(run.verdicts)} GROUP BY reason ORDER BY n DESC, reason"
        return {str(reason): int(count) for reason, count in connection.execute(query).fetchall()}
