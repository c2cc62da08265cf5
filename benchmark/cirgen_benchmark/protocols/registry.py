"""The benchmarks by name: adding one touches its file and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from cirgen.errors import UserError
from cirgen.resources import local_path
from cirgen_benchmark.protocols.base import Protocol
from cirgen_benchmark.protocols.circo import CIRCO
from cirgen_benchmark.protocols.cirr import CIRR
from cirgen_benchmark.protocols.fashioniq import FashionIQ
from cirgen_benchmark.protocols.genecis import GeneCIS


class Benchmark(NamedTuple):
    """What can be opened under one name."""

    protocol: type[Protocol]
    splits: tuple[str, ...]
    """The one with public targets first."""
    options: tuple[str, ...] = ()
    """Beside `allow_missing`."""


BENCHMARKS: Mapping[str, Benchmark] = {
    "fashioniq": Benchmark(FashionIQ, ("val",), ("gallery", "reference", "text", "capitalised")),
    "cirr": Benchmark(CIRR, ("val", "test1")),
    "circo": Benchmark(CIRCO, ("val", "test"), ("text",)),
    "genecis": Benchmark(GeneCIS, ("all",), ("tasks",)),
}


def open_benchmark(
    name: str, split: str | None = None, root: Path = Path(), *, allow_missing: bool = False, **options: Any
) -> Protocol:
    """Open a benchmark.

    Args:
        name: of the benchmark.
        split: its public one by default.
        root: the copy, in the layout that people already have.
        allow_missing: go on without images and queries that have no embedding.
        options: as the benchmark's class takes them; None stands for its default.

    Raises:
        UserError: there is no such benchmark, split or option, or an annotation file is missing.
    """
    known = BENCHMARKS.get(name)
    if known is None:
        raise UserError(f"There is no benchmark '{name}'; choose one of {', '.join(BENCHMARKS)}.")
    if split is not None and split not in known.splits:
        raise UserError(f"{name} has no split '{split}' to score; choose one of {', '.join(known.splits)}.")
    given = {option: value for option, value in options.items() if value is not None}
    foreign = [option for option in given if option not in known.options]
    if foreign:
        raise UserError(f"{name} has no option {', '.join(foreign)}; leave it out.")
    make: Any = known.protocol
    protocol: Protocol = make(local_path(str(root)), split or known.splits[0], allow_missing=allow_missing, **given)
    return protocol
