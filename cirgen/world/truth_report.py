"""How much of a generated dataset is right, as the exact attributes of its images say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from rich.table import Table

from cirgen.errors import UserError
from cirgen.world.build import shipped_table
from cirgen.world.gallery import Gallery
from cirgen.world.shares import Share
from cirgen.world.truth import MEASURES, Verdict, judge_all, summary
from cirgen.world.truth_words import MEANINGS

_COLUMNS = ["triplet_id", "reference_id", "text", "target_id"]


class Judged(NamedTuple):
    """A triplet of the dataset with its verdict; `reason` is empty where it was accepted."""

    reference_id: str
    target_id: str
    reason: str
    verdict: Verdict


class Slice(NamedTuple):
    """`MEASURES` of one part of the dataset."""

    name: str
    rows: int
    measures: dict[str, Share]


def judge_dataset(dataset: Path, attributes: Path | None = None) -> tuple[Gallery, list[Judged]]:
    """Judge every accepted and every published rejected triplet among all images of the dataset.

    Without an attribute table, it is that of the shipped collection which the images are of.
    `UserError` if the folder holds no images or triplets, or the attribute table lacks one of its images.
    """
    images = _read(dataset / "images", ["image_id"])
    if not images:
        raise UserError(f"There is no dataset in {dataset}: name a run that came to its end, or its dataset folder.")
    image_ids = [str(row["image_id"]) for row in images]
    gallery = Gallery.load(attributes or shipped_table(image_ids), only=image_ids)
    accepted = _read(dataset / "triplets", _COLUMNS)
    rejected = _read(dataset / "rejected", [*_COLUMNS, "reason"])
    if not accepted and not rejected:
        raise UserError(f"no triplets under {dataset}: name the dataset folder of a run (RUN/dataset)")
    rows = accepted + rejected
    verdicts = judge_all(gallery, [(row["reference_id"], row["text"], row["target_id"]) for row in rows])
    judged = [
        Judged(row["reference_id"], row["target_id"], row.get("reason", ""), verdict)
        for row, verdict in zip(rows, verdicts, strict=True)
    ]
    return gallery, judged


def slices(gallery: Gallery, judged: list[Judged], seed: int = 0) -> list[Slice]:
    """Return the measures of what was accepted, what was rejected and why, and all: the raw output of the generator.

    The slices of held-out pairs take the triplets in which either image shows a pair of values that training never
    shows together.
    """

    def held_out(row: Judged) -> bool:
        return any(gallery.figure(name).shows_held_out_pair() for name in (row.reference_id, row.target_id))

    parts: dict[str, Callable[[Judged], bool]] = {
        "all": lambda _: True,
        "accepted": lambda row: not row.reason,
        "rejected": lambda row: bool(row.reason),
        "all, held-out pairs": held_out,
        "accepted, held-out pairs": lambda row: not row.reason and held_out(row),
    }
    for reason in sorted({row.reason for row in judged if row.reason}):
        parts[f"rejected: {reason}"] = lambda row, reason=reason: row.reason == reason  # type: ignore[misc]
    found = [_slice(name, [row for row in judged if belongs(row)], seed) for name, belongs in parts.items()]
    return [part for part in found if part]


def as_records(parts: list[Slice]) -> dict[str, Any]:
    """Return the slices as plain values, keyed by name."""
    return {
        part.name: {"rows": part.rows, **{name: value._asdict() for name, value in part.measures.items()}}
        for part in parts
    }


MAIN_SLICES = ("all", "accepted", "rejected")
SHORT_MEASURES = ("correct", "good")


def truth_tables(parts: list[Slice], title: str) -> list[Table]:
    """Return two tables in percent, with intervals, for 80 columns: the whole dataset, and its slices in short."""
    main = [part for part in parts if part.name in MAIN_SLICES]
    whole = Table("", *(f"{part.name}: {part.rows:,}" for part in main), title=title, box=None)
    for name in MEASURES:
        whole.add_row(name, *(_percent(part.measures[name]) for part in main))
    short = Table("slice", "rows", *SHORT_MEASURES, caption="percent [95 % interval, by reference]", box=None)
    for part in parts:
        if part not in main:
            short.add_row(part.name, f"{part.rows:,}", *(_percent(part.measures[name]) for name in SHORT_MEASURES))
    return [whole, short]


def legend() -> Table:
    """Return what the words of the tables mean, for 80 columns."""
    table = Table(box=None, show_header=False, title="what the words mean", title_justify="left")
    for word, meaning in MEANINGS.items():
        table.add_row(word, meaning)
    return table


def _percent(value: Share) -> str:
    return f"{100 * value.share:.1f} [{100 * value.low:.1f}, {100 * value.high:.1f}]"


def _slice(name: str, rows: list[Judged], seed: int) -> Slice | None:
    measures = summary([row.verdict for row in rows], [row.reference_id for row in rows], seed)
    return Slice(name, len(rows), measures) if measures else None


def _read(folder: Path, columns: list[str]) -> list[dict[str, Any]]:
    """Read columns of all Parquet files in `folder`, of every split; no rows if there are no files."""
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = []
    for file in sorted(folder.glob("*.parquet")):
        missing = set(columns).difference(pq.read_schema(file).names)
        if missing:
            raise UserError(f"{file} lacks the column {', '.join(sorted(missing))}: name the dataset folder of a run")
        rows += pq.read_table(file, columns=columns).to_pylist()
    return rows
