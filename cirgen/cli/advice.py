"""What to do about rows that failed: another attempt where it can end otherwise, else the field that has to change."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from cirgen.cli.figures import PENDING

if TYPE_CHECKING:
    from cirgen.cli.figures import Figures
    from cirgen.model_settings import Sampling
    from cirgen.run_folder import Run

WRITTEN = {"caption": "captions", "modify": "texts"}
"""Stage that asks a model to what it writes."""
FAULTS = {"truncated": "cut off", "parse_error": "empty"}
"""Status of an answer that the same decoding gives again to what was wrong with it."""
LEFT_TO_THEMSELVES = ("ok", PENDING, "image_error")
"""Statuses that no retry is suggested for."""


def advice(run: Run, found: Figures, before: Figures | None = None) -> list[str]:
    """Return a line for each thing that can be done about failed rows.

    Args:
        run: after its last stage.
        found: its figures now.
        before: its figures before this retry; what has not become fewer is not suggested again.
    """
    tried = {
        status for status in run.retry if before is not None and _count(found, status) >= _count(before, status) > 0
    }
    lines = [*unchanging(run, found), *_still_cut_off(run, found, tried)]
    again = sorted({status for stage in found.stages for status in _retriable(run, found, stage)} - tried)
    if again:
        lines.append(f"try failed rows again: cirgen retry {shlex.quote(str(run.folder))} --status {','.join(again)}")
    return lines


def unchanging(run: Run, found: Figures) -> Iterator[str]:
    """Yield why another attempt at an answer would be for nothing: greedy decoding gives the same one."""
    for stage, written in WRITTEN.items():
        for status, fault in FAULTS.items():
            count = found.stages.get(stage, {}).get(status, 0)
            if count and _is_fixed(_sampling(run, stage)):
                yield (
                    f"{status}: {count:,} {written} are {fault}, and greedy decoding writes the same again; "
                    f"{_remedy(run, stage, status)}, and run the recipe again"
                )


def _still_cut_off(run: Run, found: Figures, tried: set[str]) -> Iterator[str]:
    for stage, written in WRITTEN.items():
        count = found.stages.get(stage, {}).get("truncated", 0)
        if count and "truncated" in tried and not _is_fixed(_sampling(run, stage)):
            yield f"truncated: {count:,} {written} are cut off still; {_longer(run, stage)}, and run the recipe again"


def _retriable(run: Run, found: Figures, stage: str) -> Iterator[str]:
    for status in found.stages[stage]:
        fixed = stage in WRITTEN and status in FAULTS and _is_fixed(_sampling(run, stage))
        if status not in LEFT_TO_THEMSELVES and not fixed:
            yield status


def _sampling(run: Run, stage: str) -> Sampling:
    return run.recipe.caption.sampling if stage == "caption" else run.recipe.modify.sampling


def _is_fixed(sampling: Sampling) -> bool:
    return sampling.temperature == 0 and not sampling.ladder


def _remedy(run: Run, stage: str, status: str) -> str:
    ladder = f"give {stage}.sampling.ladder a temperature, as in [0.5]"
    return f"{_longer(run, stage)} or {ladder}" if status == "truncated" else ladder


def _longer(run: Run, stage: str) -> str:
    return f"raise {stage}.sampling.max_new_tokens (now {_sampling(run, stage).max_new_tokens})"


def _count(found: Figures, status: str) -> int:
    return sum(statuses.get(status, 0) for statuses in found.stages.values())
