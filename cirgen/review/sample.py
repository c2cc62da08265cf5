"""Which triplets are reviewed: drawn by seed and id from accepted and rejected ones, with what each stands for.

Accepted and rejected triplets are drawn separately, half of the sample from each, or as many as there are: errors of
both kinds are seen, and what the mix distorts the weights set right. A row of a stratum with N triplets of which n are
judged stands for N / n. The first rows of an order that is drawn by seed and id, too, are a sample like the whole one,
so figures hold at any time. A larger sample of the same run holds every row of a smaller one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import pyarrow as pa
import pyarrow.parquet as pq

from cirgen.errors import UserError
from cirgen.keys import digest
from cirgen.parquet_sql import rows_of
from cirgen.run_folder import Run
from cirgen.shards import write_batches

Origin = Literal["all", "accepted", "rejected"]
ORIGINS: tuple[Origin, ...] = get_args(Origin)
STRATA = ("accepted", "rejected")
DEFAULT_ROWS = 200

SAMPLE = pa.schema(
    [
        pa.field("triplet_id", pa.string(), nullable=False),
        pa.field("reference_id", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("target_id", pa.string(), nullable=False),
        pa.field("stratum", pa.string(), nullable=False),  # accepted or rejected, when the sample was drawn
    ]
)
"""The rows of a review, in the order in which they are shown; texts as they were when it was drawn."""
_DESIGN = b"cirgen.review"


class Row(NamedTuple):
    """One triplet of a sample (`SAMPLE`)."""

    triplet_id: str
    reference_id: str
    text: str
    target_id: str
    stratum: str


@dataclass(frozen=True)
class Design:
    """How a sample was drawn."""

    rows: int
    """Asked for."""
    origin: Origin
    seed: int
    population: Mapping[str, int]
    """Triplets with a text, by stratum."""


@dataclass(frozen=True)
class Sample:
    """The triplets of a review."""

    rows: tuple[Row, ...]
    design: Design

    def weights(self, judged: Iterable[str]) -> dict[str, float]:
        """Return how many triplets of the run each judged one stands for, by triplet_id."""
        known = set(judged)
        rows = [row for row in self.rows if row.triplet_id in known]
        counts = {stratum: sum(row.stratum == stratum for row in rows) for stratum in STRATA}
        return {row.triplet_id: self.design.population[row.stratum] / counts[row.stratum] for row in rows}


def sample_path(folder: Path) -> Path:
    """Return where the sample of a review folder lies."""
    return folder / "sample.parquet"


def read_sample(folder: Path) -> Sample | None:
    """Return the sample of a review folder, None where none was drawn.

    Raises:
        UserError: the file is damaged.
    """
    path = sample_path(folder)
    if not path.is_file():
        return None
    try:
        table = pq.read_table(path, schema=SAMPLE)
        design = _design(json.loads(pq.read_metadata(path).metadata[_DESIGN]))
        rows = tuple(Row(**row) for row in table.to_pylist())
        _check_strata(rows, design)
    except (pa.ArrowException, OSError, LookupError, AttributeError, TypeError, ValueError) as error:
        raise UserError(f"{path} is damaged: move it away, and `cirgen review` draws the sample again.") from error
    return Sample(rows, design)


def _design(found: Mapping[str, Any]) -> Design:
    design = Design(**found)
    if design.origin not in ORIGINS or type(design.rows) is not int or type(design.seed) is not int:
        raise ValueError("no design")
    if not all(type(number) is int for number in design.population.values()):
        raise TypeError("no population")
    return design


def _check_strata(rows: Sequence[Row], design: Design) -> None:
    unknown = {row.stratum for row in rows} - ({*STRATA} & {*design.population})
    if unknown:
        raise ValueError(f"strata {unknown}")


def open_sample(
    run: Run, folder: Path, rows: int | None, origin: Origin | None, seed: int | None, judged: Iterable[str]
) -> Sample:
    """Return the sample of a review: the one that is there, or the one that is asked for.

    Args:
        run: with verdicts of its filters.
        folder: of the review.
        rows, origin, seed: None for what the sample that is there has, or a default.
        judged: triplet ids that somebody gave a verdict on.

    Raises:
        UserError: the run has nothing to review, or another sample would lose rows that were judged.
    """
    known = read_sample(folder)
    if known is not None and _asks_for(known.design, rows, origin, seed):
        return known
    before = known.design if known else Design(DEFAULT_ROWS, "all", 0, {})
    drawn = draw(
        run,
        before.rows if rows is None else rows,
        before.origin if origin is None else origin,
        before.seed if seed is None else seed,
    )
    if known is not None and not _keeps(drawn, known, set(judged)):
        raise UserError(
            f"{folder} holds verdicts on another sample ({known.design.rows} rows from {known.design.origin}, seed "
            f"{known.design.seed}), which this one would not hold: go on without -n, --from and --seed, or move that "
            "folder away to begin anew."
        )
    _write(folder, drawn)
    return drawn


def _asks_for(design: Design, rows: int | None, origin: Origin | None, seed: int | None) -> bool:
    asked = (rows, origin, seed)
    return all(one is None or one == other for one, other in zip(asked, design_of(design), strict=True))


def design_of(design: Design) -> tuple[int, Origin, int]:
    """Return what a command line says of a design."""
    return design.rows, design.origin, design.seed


def _keeps(drawn: Sample, known: Sample, judged: set[str]) -> bool:
    """Return whether every row that was judged is drawn again, unchanged."""
    return {row for row in known.rows if row.triplet_id in judged} <= set(drawn.rows)


def draw(run: Run, rows: int, origin: Origin = "all", seed: int = 0) -> Sample:
    """Draw a sample from the triplets of a run that have a text.

    Raises:
        UserError: there are none, or no verdicts of the filters yet.
    """
    if not run.verdicts.is_file():
        raise UserError(f"The run in {run.folder} has no verdicts to review yet; go on with `cirgen run`.")
    wanted = STRATA if origin == "all" else (origin,)
    with run.store.connect() as connection:
        triplets, verdicts = (rows_of(path) for path in (run.triplets, run.verdicts))
        written = (
            "SELECT t.triplet_id, t.reference_id, t.text, t.target_id, "
            "CASE WHEN v.reason = '' THEN 'accepted' ELSE 'rejected' END AS stratum "
            f"FROM {triplets} AS t JOIN {verdicts} AS v USING (triplet_id) WHERE t.status = 'ok'"
        )
        counts = dict(connection.execute(f"SELECT stratum, count(*) FROM ({written}) GROUP BY 1").fetchall())
        population = {stratum: int(counts.get(stratum, 0)) for stratum in wanted}
        lot = f"sha256(concat_ws('|', {seed}, 'review', triplet_id))"
        drawn = [
            Row(*map(str, row))
            for stratum, number in _shares(rows, population).items()
            for row in connection.execute(
                f"SELECT * FROM ({written}) WHERE stratum = '{stratum}' ORDER BY {lot}, triplet_id LIMIT {number}"
            ).fetchall()
        ]
    if not drawn:
        kind = "" if origin == "all" else f"{origin} "
        raise UserError(f"The run in {run.folder} has no {kind}triplets to review; look at its report for the reason.")
    drawn.sort(key=lambda row: digest("review order", seed, row.triplet_id))
    return Sample(tuple(drawn), Design(rows, origin, seed, population))


def _shares(rows: int, population: Mapping[str, int]) -> dict[str, int]:
    """Share rows out evenly among strata; what one is too small for goes to the others."""
    found: dict[str, int] = {}
    left = rows
    by_size = sorted(population.items(), key=lambda item: item[1])
    for place, (stratum, size) in enumerate(by_size):
        found[stratum] = min(size, left // (len(by_size) - place))
        left -= found[stratum]
    return found


def _write(folder: Path, sample: Sample) -> None:
    design = sample.design
    said = {"rows": design.rows, "origin": design.origin, "seed": design.seed, "population": dict(design.population)}
    batch = pa.RecordBatch.from_pylist([row._asdict() for row in sample.rows], schema=SAMPLE)
    write_batches(sample_path(folder), [batch], SAMPLE, {_DESIGN: json.dumps(said).encode()})


def drawn_from(rows: Sequence[Row]) -> dict[str, int]:
    """Count rows by stratum."""
    return {stratum: sum(row.stratum == stratum for row in rows) for stratum in STRATA}
