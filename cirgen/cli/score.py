"""`cirgen score`: anyone's embeddings or rankings under a benchmark's official protocol."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cirgen.cli.options import JsonOption
from cirgen.errors import UserError
from cirgen.resources import local_path

if TYPE_CHECKING:
    from rich.table import Table

    from cirgen_benchmark.protocols.base import Protocol, Scores
    from cirgen_benchmark.protocols.submissions import Submission


class BenchmarkName(StrEnum):
    """What can be scored."""

    FASHIONIQ = "fashioniq"
    CIRR = "cirr"
    CIRCO = "circo"
    GENECIS = "genecis"


class Reference(StrEnum):
    """Whether a query's reference stays in the ranking."""

    KEEP = "keep"
    REMOVE = "remove"


class GalleryName(StrEnum):
    """Galleries of FashionIQ."""

    ORIGINAL = "original"
    VAL_UNION = "val_union"


class TaskName(StrEnum):
    """Tasks of GeneCIS."""

    FOCUS_ATTRIBUTE = "focus_attribute"
    CHANGE_ATTRIBUTE = "change_attribute"
    FOCUS_OBJECT = "focus_object"
    CHANGE_OBJECT = "change_object"


def score(
    benchmark: Annotated[
        BenchmarkName, typer.Option(metavar="NAME", help="Whose protocol: fashioniq, cirr, circo or genecis.")
    ],
    root: Annotated[
        Path, typer.Option(help="Your copy of it. Annotations are enough; where there are images, too, none may miss.")
    ],
    split: Annotated[
        str | None, typer.Option(help="E.g. val; test1 of CIRR and test of CIRCO make files for their servers.")
    ] = None,
    features: Annotated[Path | None, typer.Option(help="Embeddings: a safetensors file, see above.")] = None,
    rankings: Annotated[
        list[Path] | None,
        typer.Option(metavar="PATH", help="Or rankings, as the server takes them; for CIRR give it twice."),
    ] = None,
    compare: Annotated[
        list[Path] | None,
        typer.Option(metavar="PATH", help="The features, or rankings, of another model: paired differences."),
    ] = None,
    reference: Annotated[
        Reference | None,
        typer.Option(metavar="WHAT", help="FashionIQ: keep or remove a query's reference in its ranking; keep."),
    ] = None,
    gallery: Annotated[
        GalleryName | None, typer.Option(metavar="NAME", help="FashionIQ: original or val_union alone.")
    ] = None,
    task: Annotated[
        list[TaskName] | None, typer.Option(metavar="NAME", help="GeneCIS: one task, such as focus_object; all four.")
    ] = None,
    normalize: Annotated[
        bool, typer.Option("--normalize", help="Compare by cosine; by dot product without it.")
    ] = False,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Go on without what is missing; each key then says `partial`.")
    ] = False,
    submission: Annotated[
        Path | None, typer.Option(help="Folder to write the files for the benchmark's server to.")
    ] = None,
    per_query: Annotated[Path | None, typer.Option(help="Parquet file to write the rank of each query to.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Score embeddings or rankings of any model under a benchmark's official protocol.

    A features file holds `gallery` (images x d) in the order of the split
    file and `queries` (queries x d) in that of the caption file, for FashionIQ
    and GeneCIS in parts: `gallery.dress`, `queries.dress` and so on. Intervals
    are a bootstrap over queries, paired where two models are compared. Ties
    count against the model.

    Example: cirgen score --benchmark cirr --root CIRR --features mine.safetensors
    """
    from cirgen_benchmark.protocols.contender import embedded_contender, ranked_contender, read_contender
    from cirgen_benchmark.protocols.registry import open_benchmark

    options: dict[str, Any] = {"reference": reference and reference.value, "gallery": gallery and gallery.value}
    options["tasks"] = [name.value for name in task] if task else None
    protocol = open_benchmark(benchmark.value, split, root, allow_missing=allow_missing, **options)
    files, compared = _expanded(_files(features, rankings, normalize)), _expanded(compare or ())
    submission, per_query = submission and _expand(submission), per_query and _expand(per_query)
    model = ranked_contender(protocol, files) if rankings else embedded_contender(protocol, files[0], normalize)
    _check_outputs(protocol, compared, per_query, submission)
    _check_overwritten(per_query, [*files, *compared])
    sent = model.submissions() if submission else []
    if submission and protocol.withheld:
        _show_files(_write_files(submission, sent), model.remark, as_json)
        return
    scores = model.scores()
    other = read_contender(protocol, compared, normalize).scores() if compared else None
    notes = [*filter(None, [model.remark]), *scores.notes]
    found = _Found(protocol.name, scores, other, ", ".join(path.name for path in compared), notes, seed)
    found.written += _write_files(submission, sent) if submission else []
    found.written += [_write_table(per_query, scores, other)] if per_query else []
    if as_json:
        typer.echo(json.dumps(found.record(), indent=2))
    else:
        found.show()


def _files(features: Path | None, rankings: list[Path] | None, normalize: bool) -> list[Path]:
    if (features is None) == (not rankings):
        raise UserError("Give what is to be scored: either --features FILE.safetensors or --rankings FILE.json.")
    if rankings and normalize:
        raise UserError("Rankings are in an order already; leave out --normalize.")
    return [features] if features else list(rankings or ())


def _expand(path: Path) -> Path:
    """Understand `~`, which shells leave as it is in `--features=~/mine.safetensors`."""
    return local_path(str(path))


def _expanded(paths: Sequence[Path]) -> list[Path]:
    return [_expand(path) for path in paths]


def _check_outputs(
    protocol: Protocol, compare: Sequence[Path], per_query: Path | None, submission: Path | None
) -> None:
    if protocol.withheld and (compare or per_query):
        raise UserError(f"{protocol.name} withholds its targets; leave out --compare and --per-query.")
    if per_query and per_query.is_dir():
        raise UserError(
            f"{per_query} is a folder; name a file for --per-query, such as {per_query / 'ranks.parquet'}."
        )
    if submission and submission.exists() and not submission.is_dir():
        raise UserError(f"{submission} is a file; name a folder for --submission.")


def _check_overwritten(per_query: Path | None, read: Sequence[Path]) -> None:
    if not per_query or not per_query.exists():
        return
    if not per_query.is_file():
        raise UserError(f"{per_query} is no regular file; name another one for --per-query.")
    if any(path.samefile(per_query) for path in read if path.exists()):
        raise UserError(f"--per-query would overwrite {per_query}, which is scored; name another file.")


@contextmanager
def _written_to(place: Path, option: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{place} cannot be written ({error.strerror or error}); mend that or name another place: {option}."
        ) from error


def _write_files(folder: Path, files: Sequence[Submission]) -> list[Path]:
    with _written_to(folder, "--submission"):
        return [file.write(folder) for file in files]


def _show_files(written: Sequence[Path], remark: str, as_json: bool) -> None:
    """Say what was written for a server that alone knows the targets."""
    if as_json:
        typer.echo(
            json.dumps({"files": [str(path) for path in written], "notes": [remark] if remark else []}, indent=2)
        )
        return
    for path in written:
        typer.echo(f"{path}: checked, {path.stat().st_size:,} bytes, ready for the server")
    if remark:
        typer.echo(remark)


def _write_table(path: Path, scores: Scores, other: Scores | None) -> Path:
    """Write one row a query; what another model found stands in columns of the same names with `_compared`."""
    from cirgen.shards import write_batches

    table = scores.queries
    if other:
        found = other.queries.drop_columns(["query", "part", "reference", "target"])
        for name in found.column_names:
            table = table.append_column(f"{name}_compared", found[name])
    with _written_to(path, "--per-query"):
        write_batches(path, table.to_batches(), table.schema)
    return path


class _Found:
    """Figures of a model, beside those of another one where there is one."""

    def __init__(
        self,
        name: str,
        scores: Scores,
        other: Scores | None,
        compared: str,
        notes: Sequence[str],
        seed: int,
    ) -> None:
        from cirgen_benchmark.protocols.bootstrap import differences, intervals

        self._name = name
        self._compared = compared
        self._scores = scores
        self._other = other
        self._notes = notes
        self.written: list[Path] = []
        self._intervals = intervals(scores.figures, seed)
        self._differences = differences(scores.figures, other.figures, seed) if other else {}

    def record(self) -> dict[str, Any]:
        """Return plain data."""
        record: dict[str, Any] = {
            "benchmark": self._name,
            "queries": self._scores.queries.num_rows,
            "left_out": self._scores.left_out,
            "metrics": dict(self._scores.metrics),
            "intervals": {key: [one.low, one.high] for key, one in self._intervals.items()},
        }
        if self._other:
            record["compared"] = dict(self._other.metrics)
            record["differences"] = {key: one._asdict() for key, one in self._differences.items()}
        return {**record, "notes": list(self._notes), "files": [str(path) for path in self.written]}

    def show(self) -> None:
        """Print a table, what is missing, and what was written."""
        from rich.console import Console

        console = Console(markup=False, highlight=False)
        left_out = f" ({self._scores.left_out:,} left out)" if self._scores.left_out else ""
        title = f"{self._prefix}, {self._scores.queries.num_rows:,} queries{left_out}, in per cent"
        console.print(f"{title}; other: {self._compared}" if self._other else title, soft_wrap=True)
        console.print(self._difference_table() if self._other else self._table())
        for note in self._notes:
            console.print(note)
        for path in self.written:
            console.print(f"written: {path}", soft_wrap=True)

    def _table(self) -> Table:
        table = _columns("score", "95 % interval")
        for key, one in self._intervals.items():
            table.add_row(self._short(key), f"{one.value:.2f}", f"{one.low:.2f} to {one.high:.2f}")
        return table

    def _difference_table(self) -> Table:
        table = _columns("score", "other", "difference (95 % interval)")
        for key, ours in self._intervals.items():
            theirs = self._other.metrics.get(key) if self._other else None
            table.add_row(self._short(key), f"{ours.value:.2f}", *self._compared_to(key, theirs))
        return table

    def _compared_to(self, key: str, theirs: float | None) -> tuple[str, str]:
        if theirs is None:
            return "", ""
        one = self._differences[key]
        return f"{theirs:.2f}", f"{one.value:+.2f} ({one.low:+.2f} to {one.high:+.2f})"

    @property
    def _prefix(self) -> str:
        """What all metric keys begin with."""
        from cirgen_benchmark.protocols.holes import PARTIAL

        partial = f"{self._name}.{PARTIAL}"
        return partial if all(key.startswith(f"{partial}.") for key in self._intervals) else self._name

    def _short(self, key: str) -> str:
        return key.removeprefix(f"{self._prefix}.")


def _columns(*titles: str) -> Table:
    from rich.table import Table

    table = Table("", box=None, pad_edge=False)
    table.columns[0].no_wrap = True
    for title in titles:
        table.add_column(title, justify="right")
    return table
