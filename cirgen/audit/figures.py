"""What an audit finds: figures with their intervals, or the reason why one is not there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, SupportsFloat

from cirgen.intervals import Interval

Unit = Literal["count", "percent", "points", "number", "ratio"]
"""Of a value: a whole number, 0 to 100, a difference of such, any number, a quotient."""
SCHEMA = 1
"""Raise when the meaning of a field of audit.json changes."""


@dataclass(frozen=True)
class Figure:
    """One number, with its interval where it has one; without a value, `absent` says why."""

    name: str
    label: str
    value: float | None = None
    unit: Unit = "count"
    low: float | None = None
    high: float | None = None
    absent: str = ""
    """One sentence: why there is no value, and what would give one."""

    @property
    def interval(self) -> Interval | None:
        """Return value and limits, None where there are no limits."""
        if self.value is None or self.low is None or self.high is None:
            return None
        return Interval(self.value, self.low, self.high)


@dataclass(frozen=True)
class Listed:
    """Things by number, such as the most frequent openings."""

    title: str
    items: tuple[tuple[str, float], ...]
    total: float = 0
    """What shares are taken of; 0 where a share means nothing."""


@dataclass(frozen=True)
class Histogram:
    """Counts between edges."""

    title: str
    edges: tuple[float, ...]
    """One more than counts."""
    counts: Mapping[str, tuple[float, ...]]
    """Name of a curve to its counts."""


@dataclass(frozen=True)
class Section:
    """Figures that belong together."""

    name: str
    title: str
    figures: tuple[Figure, ...]
    about: str = ""
    """How they are defined, for the page."""
    lists: tuple[Listed, ...] = ()
    histograms: tuple[Histogram, ...] = ()


@dataclass(frozen=True)
class Audit:
    """Everything that was found of one corpus."""

    corpus: str
    kind: str
    version: str
    """Of cirgen."""
    notes: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What was asked: split, encoders with their hashes, judge, benchmarks."""
    sections: tuple[Section, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    """Hash of the audited files of a dataset folder."""

    def figures(self) -> Iterator[tuple[str, Figure]]:
        """Yield every figure with its key, `section.name`."""
        for section in self.sections:
            for figure in section.figures:
                yield f"{section.name}.{figure.name}", figure

    def find(self, key: str) -> Figure | None:
        """Return a figure by its key, None where the audit has none of that name."""
        return dict(self.figures()).get(key)

    def section(self, name: str) -> Section | None:
        """Return a section by its name."""
        return next((section for section in self.sections if section.name == name), None)

    def record(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {"schema": SCHEMA, **asdict(self)}

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> Audit:
        """Return what `record` wrote."""
        sections = tuple(_section(section) for section in record["sections"])
        known = {name: record[name] for name in ("corpus", "kind", "version", "settings", "files")}
        return cls(**known, notes=tuple(record["notes"]), sections=sections)


def _section(record: Mapping[str, Any]) -> Section:
    return Section(
        name=record["name"],
        title=record["title"],
        about=record["about"],
        figures=tuple(Figure(**figure) for figure in record["figures"]),
        lists=tuple(
            Listed(one["title"], tuple((label, number) for label, number in one["items"]), one["total"])
            for one in record["lists"]
        ),
        histograms=tuple(
            Histogram(one["title"], tuple(one["edges"]), {name: tuple(c) for name, c in one["counts"].items()})
            for one in record["histograms"]
        ),
    )


def count(name: str, label: str, number: float) -> Figure:
    """Return a whole number."""
    return Figure(name, label, int(number), "count")


def number(name: str, label: str, value: SupportsFloat) -> Figure:
    """Return any number."""
    return Figure(name, label, float(value), "number")


def percent(name: str, label: str, found: Interval | float) -> Figure:
    """Return a share, 0 to 1, in per cent."""
    return _scaled(name, label, found, "percent", 100.0)


def points(name: str, label: str, found: Interval) -> Figure:
    """Return a difference of shares, in points of per cent."""
    return _scaled(name, label, found, "points", 100.0)


def ratio(name: str, label: str, found: Interval) -> Figure:
    """Return a quotient."""
    return _scaled(name, label, found, "ratio", 1.0)


def _scaled(name: str, label: str, found: Interval | float, unit: Unit, scale: float) -> Figure:
    if isinstance(found, Interval) and found.known:
        value, low, high = (scale * one for one in found)
        return Figure(name, label, value, unit, low, high)
    return Figure(name, label, scale * (found.value if isinstance(found, Interval) else found), unit)


def missing(reason: str, names: Sequence[tuple[str, str]], unit: Unit = "percent") -> tuple[Figure, ...]:
    """Return figures, by name and label, that could not be had for one reason."""
    return tuple(Figure(name, label, unit=unit, absent=reason) for name, label in names)
