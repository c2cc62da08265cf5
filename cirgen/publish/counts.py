"""How many rows each step of a run let through, and why it stopped the others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cirgen.captions import captions
from cirgen.parquet_sql import rows_of
from cirgen.publish.places import public_fields
from cirgen.run_folder import Run

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class FilterCount:
    """What one filter did with the triplets that every earlier one had accepted."""

    name: str
    settings: dict[str, Any]
    """Those that are set, without paths of this machine."""
    seen: int
    reasons: dict[str, int]
    """Reason to how often, most frequent first."""
    remarks: tuple[str, ...] = ()
    """What the filter says of its scores as a whole."""

    @property
    def passed(self) -> int:
        """Return how many it accepted."""
        return self.seen - sum(self.reasons.values())

    @property
    def pass_rate(self) -> float:
        """Return the share it accepted, 0 to 1; 1 where it saw none."""
        return self.passed / self.seen if self.seen else 1.0


@dataclass(frozen=True)
class Step:
    """One level of the funnel."""

    label: str
    count: int


@dataclass(frozen=True)
class Counts:
    """The funnel of a run."""

    found: int
    """Images that the source offered; one picture under two names counts twice."""
    readable: int
    unique: int
    captioned: int | None
    """Pictures with a caption; None where the recipe asks for none."""
    pairs: int
    planned: int
    """Modification texts asked for."""
    written: int
    filters: tuple[FilterCount, ...]
    accepted: int
    reasons: dict[str, int]
    """Every reason of rejection to how often, most frequent first."""

    @property
    def rejected(self) -> int:
        """Return how many planned triplets were not accepted."""
        return self.planned - self.accepted

    def image_steps(self) -> list[Step]:
        """Return the levels that count images."""
        captioned = [] if self.captioned is None else [Step("with a caption", self.captioned)]
        return [
            Step("images found", self.found),
            Step("readable", self.readable),
            Step("unique pictures", self.unique),
            *captioned,
        ]

    def triplet_steps(self) -> list[Step]:
        """Return the levels that count triplets."""
        kept = [Step(f"passed {one.name}", one.passed) for one in self.filters]
        return [Step("texts asked for", self.planned), Step("texts written", self.written), *kept]


def count(run: Run) -> Counts:
    """Count a run from its derived tables and its store."""
    with run.store.connect() as connection:
        rejected = f"SELECT reason, count(*) FROM {rows_of(run.verdicts)} WHERE reason <> '' GROUP BY 1"
        reasons = _counts(connection, rejected)
        statuses = _counts(connection, f"SELECT status, count(*) FROM {rows_of(run.triplets)} GROUP BY 1")
        taken_in = run.store.statuses("ingest", run.ingest_plan)
        planned, written = sum(statuses.values()), statuses.get("ok", 0)
        return Counts(
            found=sum(taken_in.values()),
            readable=taken_in.get("ok", 0),
            unique=_one(connection, f"SELECT count(*) FROM {rows_of(run.catalog)}"),
            captioned=_captioned(run, connection),
            pairs=_one(connection, f"SELECT count(*) FROM {rows_of(run.pairs)}"),
            planned=planned,
            written=written,
            filters=tuple(_filters(run, written, reasons)),
            accepted=accepted_count(run),
            reasons=reasons,
        )


def accepted_count(run: Run) -> int:
    """Return how many triplets of a run no filter rejected."""
    with run.store.connect() as connection:
        return _one(connection, f"SELECT count(*) FROM {rows_of(run.verdicts)} WHERE reason = ''")


def _filters(run: Run, seen: int, reasons: dict[str, int]) -> Iterable[FilterCount]:
    funnel = run.read_facts().get("funnel", {}).get("filters", [])
    remarks = {step["name"]: tuple(step.get("remarks", ())) for step in funnel}
    for settings in run.recipe.filter:
        fields = public_fields(settings.model_dump(mode="json", exclude_none=True))  # none: a bound that is not set
        name = str(fields.pop("name"))
        prefix = f"{name}: "
        own = {reason.removeprefix(prefix): n for reason, n in reasons.items() if reason.startswith(prefix)}
        one = FilterCount(name, {key: _said(value) for key, value in fields.items()}, seen, own, remarks.get(name, ()))
        yield one
        seen = one.passed


def _said(value: Any) -> Any:
    """Return a value as a reader takes it in: settings of their own in words, a model by its name."""
    if isinstance(value, Mapping) and "model" in value:
        return value["model"]  # the table of models says the rest
    return " ".join(f"{key} {item}" for key, item in value.items()) if isinstance(value, Mapping) else value


def _captioned(run: Run, connection: duckdb.DuckDBPyConnection) -> int | None:
    if not run.caption_plan.is_file():
        return None
    return _one(connection, f"SELECT count(*) FROM {captions(run, connection)}")


def _one(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    return int(connection.execute(query).fetchall()[0][0])


def _counts(connection: duckdb.DuckDBPyConnection, query: str) -> dict[str, int]:
    found = {str(name): int(number) for name, number in connection.execute(query).fetchall()}
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))
