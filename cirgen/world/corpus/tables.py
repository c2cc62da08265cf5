"""The tables of the corpus: those of a run under the corpus's splits, and those that the truth adds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from cirgen.parquet_sql import rows_of
from cirgen.publish.parquet import Written, write_split
from cirgen.publish.tables import HARD_NEGATIVE, SPLITS, Tables
from cirgen.run_folder import Run
from cirgen.store import stream
from cirgen.world.build import Truth
from cirgen.world.corpus.mined import Annotator, Truthful
from cirgen.world.corpus.questions import Question
from cirgen.world.worlds import World

if TYPE_CHECKING:
    import duckdb

_STRINGS = pa.list_(pa.string())
SLICES = pa.field("slices", _STRINGS)

TEXT_FIRST = pa.schema(
    [
        pa.field("query_id", pa.string()),
        pa.field("reference_id", pa.string()),
        pa.field("text", pa.string()),
        pa.field("target_id", pa.string()),
        pa.field("positive_ids", _STRINGS),  # all other images that answer
        pa.field("reworded", pa.string()),  # the same request in the second grammar; empty in train
        SLICES,
        pa.field(
            "changes",
            pa.list_(pa.struct([pa.field(name, pa.string()) for name in ("attribute", "before", "after")])),
        ),
        pa.field("hard_negatives", pa.list_(HARD_NEGATIVE)),
        pa.field("written_by", pa.string()),
    ]
)


def attributes_schema(world: World) -> pa.Schema:
    """Return the columns of `attributes`."""
    known = [("image_id", pa.string()), ("split", pa.string()), ("family", pa.int32()), ("unseen_pair", pa.bool_())]
    return pa.schema([*known, *((name, pa.string()) for name in world.names)])


VERDICTS = ("parsed", "correct", "exhaustive", "unique", "composed", "good")
TRUTH = pa.schema(
    [
        pa.field("triplet_id", pa.string()),
        pa.field("reason", pa.string()),  # empty where the filters accepted the row
        pa.field("edits", pa.int32()),
        *(pa.field(name, pa.bool_()) for name in VERDICTS),
    ]
)

_ATTACHED = pa.schema(
    [
        pa.field("triplet_id", pa.string()),
        pa.field("split", pa.string()),
        pa.field("positive_ids", _STRINGS),
        pa.field("hard_negatives", pa.list_(HARD_NEGATIVE)),
        SLICES,
    ]
)
_ATTACH = """
CREATE TEMP TABLE placed AS
SELECT p.* REPLACE (t.split AS split, t.positive_ids AS positive_ids, t.hard_negatives AS hard_negatives), t.slices
FROM published AS p JOIN attached AS t USING (triplet_id);
CREATE OR REPLACE TEMP VIEW published AS FROM placed
"""
_EVERY_IMAGE = """
CREATE OR REPLACE TEMP TABLE named AS SELECT image_id FROM {catalog}
"""


class CorpusTables(Tables):
    """What a run publishes, under the corpus's splits, with the truth attached; every image of the run is named."""

    def __init__(self, run: Run, connection: duckdb.DuckDBPyConnection, annotator: Annotator) -> None:
        super().__init__(run, connection)
        batches = stream(connection, "SELECT * FROM published ORDER BY triplet_id")
        rows = [row for batch in batches for row in batch.to_pylist()]
        self.truths = list(annotator.annotated(rows))
        self.reasons = {str(row["triplet_id"]): str(row["reason"]) for row in rows}
        self.left_out = _left_out(self.reasons, self.truths)
        kept = [{name: getattr(one, name) for name in _ATTACHED.names} for one in self.truths]
        connection.register("attached", pa.Table.from_pylist(kept, _ATTACHED))
        connection.execute(_ATTACH)
        connection.execute(_EVERY_IMAGE.format(catalog=rows_of(run.catalog)))

    @property
    def triplet_schema(self) -> pa.Schema:
        """Return the columns of `triplets`, and the slices of each row."""
        return super().triplet_schema.append(SLICES)

    def accepted(self, split: str, recipe_hash: str) -> list[dict[str, Any]]:
        """Return the accepted triplets of a split."""
        return [row for batch in self.triplets(split, recipe_hash) for row in batch.to_pylist()]


def _left_out(reasons: Mapping[str, str], kept: Iterable[Truthful]) -> dict[str, int]:
    """Count the rows between two splits, accepted and rejected."""
    there = {one.triplet_id for one in kept}
    gone = [reason for name, reason in reasons.items() if name not in there]
    return {"accepted": sum(not reason for reason in gone), "rejected": sum(map(bool, gone))}


def truth_rows(tables: CorpusTables, split: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of `truth` of a split, by triplet_id."""
    for one in tables.truths:
        if one.split == split:
            verdict = {**asdict(one.verdict), "good": one.verdict.good}
            yield {
                "triplet_id": one.triplet_id,
                "reason": tables.reasons[one.triplet_id],
                "edits": one.edits,
                **verdict,
            }


def attribute_rows(truth: Truth, split_of: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Yield the rows of `attributes`, by image_id."""
    rows = zip(truth.image_ids, truth.figures, truth.families, strict=True)
    for name, figure, family in sorted(rows, key=lambda row: row[0]):
        known = {"split": split_of[name], "family": family, "unseen_pair": figure.shows_held_out_pair()}
        yield {"image_id": name, **known, **asdict(figure)}


def question_rows(
    questions: Iterable[Question], split: str, annotator: Annotator, written_by: str
) -> Iterator[dict[str, Any]]:
    """Yield the rows of `text_first` of a split, by query_id."""
    for one in questions:
        asked = (one.query_id, one.reference, one.text, one.targets[0], one.targets)
        yield {
            "query_id": one.query_id,
            "reference_id": one.reference,
            "text": one.text,
            "target_id": one.targets[0],
            "positive_ids": sorted(one.targets[1:]),
            "reworded": "" if split == "train" else one.reworded,
            "slices": list(one.slices),
            "changes": [change._asdict() for change in one.changes],
            "hard_negatives": annotator.negatives(split, *asked),
            "written_by": written_by,
        }


def write_rows_of(
    root: Path, config: str, schema: pa.Schema, rows: Callable[[str], Iterable[Mapping[str, Any]]]
) -> Iterator[Written]:
    """Write a config split by split."""
    for split in SPLITS:
        yield from write_whole(root, config, schema, split, rows(split))


def write_whole(
    root: Path, config: str, schema: pa.Schema, split: str, rows: Iterable[Mapping[str, Any]]
) -> list[Written]:
    """Write one split of a config that fits into memory; nothing where there is no row."""
    batch = pa.RecordBatch.from_pylist(list(rows), schema)
    return write_split(root, config, split, schema, [batch], count=batch.num_rows)
