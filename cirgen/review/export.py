"""The verdicts of a review as a table that thresholds can be fitted to (`filters.labels`)."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from cirgen.errors import UserError
from cirgen.review.figures import Judged
from cirgen.review.verdicts import GOOD
from cirgen.shards import write_batches

LABEL = pa.schema(
    [
        pa.field("triplet_id", pa.string(), nullable=False),
        pa.field("reference_id", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("target_id", pa.string(), nullable=False),
        pa.field("verdict", pa.string(), nullable=False),  # of the majority; a tie is unclear
        pa.field("good", pa.bool_(), nullable=False),  # whether the verdict is good: unclear is not
        pa.field("reviewers", pa.int32(), nullable=False),  # who judged it
        pa.field("weight", pa.float64(), nullable=False),  # triplets of the run that the row stands for
    ]
)


def export_labels(path: Path, judged: list[Judged]) -> None:
    """Write what was judged, sorted by triplet_id: the same verdicts give the same bytes.

    Raises:
        UserError: nothing was judged, or the path is a folder.
    """
    if not judged:
        raise UserError("Nobody judged a triplet of this run yet; begin with `cirgen review RUN`.")
    if path.is_dir():
        raise UserError(f"{path} is a folder; name a file, such as {path / 'labels.parquet'}.")
    rows = [
        {
            **{name: getattr(one.row, name) for name in ("triplet_id", "reference_id", "text", "target_id")},
            "verdict": one.verdict,
            "good": one.verdict == GOOD,
            "reviewers": one.reviewers,
            "weight": one.weight,
        }
        for one in sorted(judged, key=lambda one: one.row.triplet_id)
    ]
    write_batches(path, [pa.RecordBatch.from_pylist(rows, schema=LABEL)], LABEL)
