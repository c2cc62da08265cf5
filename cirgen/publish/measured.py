"""What was measured of a dataset after it was made: audit, verdict of the bench, exact truth, for its card.

Each lies beside the run with the hashes of the files that it was measured on, and enters the card where these are the
files that are being exported, and nowhere else: rows that changed since have a card without. So an export depends on
store and recipe, and on these files where they are there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cirgen.audit.record import AUDITED
from cirgen.errors import UserError
from cirgen.publish.audited import audit_section
from cirgen.publish.manifest import file_hashes
from cirgen.run_folder import Run
from cirgen.shards import write_text

NAMES = {"bench": "card-bench.json", "truth": "card-truth.json"}
"""Kind of a measurement to its file in the run folder."""
_ARMS = 24  # rows of a card's table of arms


def note_measured(run: Run, kind: str, record: Mapping[str, Any]) -> None:
    """Keep what was measured of the dataset that the run has now."""
    measured = {"files": measured_files(run.dataset), "record": record}
    write_text(run.folder / NAMES[kind], json.dumps(measured, indent=1, ensure_ascii=False) + "\n")


def measured_files(root: Path) -> dict[str, str]:
    """Return the hashes of the files of a dataset that decide what is measured."""
    return {name: sha for name, sha in file_hashes(root).items() if name.startswith(AUDITED)}


def sections(run: Run, root: Path) -> dict[str, str]:
    """Return the sections of a card, by kind, as far as these very rows were measured.

    Args:
        run: the run.
        root: its new dataset folder, with the tables in it.
    """
    rendered: dict[str, Callable[[Mapping[str, Any]], str]] = {"bench": bench_section, "truth": truth_section}
    found = {"audit": audit_section(run, root)}
    for kind, render in rendered.items():
        record = _record(run, kind, root)
        found[kind] = render(record) if record else ""
    return found


def _record(run: Run, kind: str, root: Path) -> Mapping[str, Any] | None:
    path = run.folder / NAMES[kind]
    if not path.is_file():
        return None
    try:
        measured = json.loads(path.read_text(encoding="utf8"))
        files, record = dict(measured["files"]), dict(measured["record"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UserError(f"{path} cannot be read ({error!r}); remove it, or measure again.") from error
    if files == measured_files(root):
        return record
    run.progress.say(f"{path} was measured on other rows, so the card goes without it; measure again: cirgen card.")
    return None


def read_bench(path: Path) -> dict[str, Any]:
    """Return what `cirgen bench` measured.

    Raises:
        UserError: the file is none of its.
    """
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf8"))
        dict(record["corpora"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UserError(
            f"{path} is no bench.json that can be read ({error!r}); give that of `cirgen bench`."
        ) from error
    return record


def bench_section(record: Mapping[str, Any]) -> str:
    """Return the verdict of `cirgen bench` as Markdown."""
    rows = [(arm["arm"], _when(arm), _interval(arm["primary"])) for arm in record["arms"] if not arm.get("curve")][
        :_ARMS
    ]
    differences = [
        (
            one["name"],
            _when(one),
            f"{_interval(one['difference'])}{'' if one['significant'] else ' (not significant)'}",
        )
        for one in record["contrasts"]
    ]
    return "\n".join(
        [
            f"**{record['verdict']}**",
            "",
            f"`{record['metric']}`, percent; {len(record['seeds'])} seeds, {record['queries']:,} queries, "
            f"{record['references']:,} references; intervals: {record['intervals']}.",
            "",
            *_table(("arm", "at", "value"), rows),
            "",
            *_table(("difference", "at", "points"), differences),
            *(f"- {note}" for note in record.get("notes", ())),
        ]
    )


def _when(one: Mapping[str, Any]) -> str:
    return str(one.get("at", ""))


def _interval(figure: Mapping[str, float]) -> str:
    return f"{figure['value']:.1f} [{figure['low']:.1f}, {figure['high']:.1f}]"


def truth_section(record: Mapping[str, Any]) -> str:
    """Return what `cirgen world truth` counted as Markdown."""
    parts: Mapping[str, Any] = record["slices"]
    measures = [name for name in parts["all"] if name != "rows"]
    rows = [(name, f"{part['rows']:,}", *(_share(part[m]) for m in measures)) for name, part in parts.items()]
    return "\n".join(
        [
            "Counted from the exact attributes of the pictures, which nothing that made these rows has read; percent, "
            "with 95 % intervals clustered by reference.",
            "",
            *_table(("triplets", "rows", *measures), rows),
            "",
            *(f"- *{word}*: {meaning}." for word, meaning in record["meanings"].items()),
        ]
    )


def _share(value: Mapping[str, float]) -> str:
    return f"{100 * value['share']:.1f} [{100 * value['low']:.1f}, {100 * value['high']:.1f}]"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    from cirgen.publish.card import cell

    lines = [f"| {' | '.join(head)} |", f"|---{'|---:' * (len(head) - 1)}|"]
    return [*lines, *(f"| {' | '.join(cell(str(value)) for value in row)} |" for row in rows)]
