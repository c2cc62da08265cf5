"""Verdicts as they are given: one line of JSON each, on disk before the reviewer hears that it is kept.

The file only ever grows. The last verdict of a reviewer on a triplet counts, so a mind can be changed and nothing is
lost. Any number of processes may append: each holds the file alone for one line. A kill can leave half a line at the
end; nobody was told that it is kept, readers pass over it, and the next line begins on its own.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cirgen.file_locks import alone
from cirgen.review.verdicts import VERDICTS, reviewer_name
from cirgen.shards import flush_to_disk


@dataclass
class Given:
    """What was said so far."""

    verdicts: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    """triplet_id to reviewer to verdict."""
    unreadable: int = 0
    """Lines that hold no verdict, such as one that a kill cut off."""

    @property
    def reviewers(self) -> list[str]:
        """Return who gave a verdict, by name."""
        return sorted({name for by_reviewer in self.verdicts.values() for name in by_reviewer})

    def of(self, reviewer: str) -> dict[str, str]:
        """Return the verdicts of one reviewer, by triplet_id."""
        return {triplet: found[reviewer] for triplet, found in self.verdicts.items() if reviewer in found}


class Journal:
    """The verdicts of a review folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "verdicts.jsonl"

    def append(self, reviewer: str, triplet_id: str, verdict: str) -> None:
        """Keep a verdict; it is on disk when this returns.

        Raises:
            OSError: it could not be written, and is not kept.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        said = {"reviewer": reviewer, "triplet_id": triplet_id, "verdict": verdict, "time": now}
        line = json.dumps(said, ensure_ascii=False).encode() + b"\n"
        with alone(self.path), self.path.open("r+b") as file:
            end = file.seek(0, os.SEEK_END)
            if end and not self._ends_a_line(file.fileno(), end):
                line = b"\n" + line
            file.seek(0, os.SEEK_END)
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
            if not end:
                flush_to_disk(self.path.parent)

    @staticmethod
    def _ends_a_line(descriptor: int, end: int) -> bool:
        return os.pread(descriptor, 1, end - 1) == b"\n"

    def read(self) -> Given:
        """Return every verdict that counts."""
        given = Given()
        for line in self._lines():
            said = _parsed(line)
            if said is None:
                given.unreadable += 1
            else:
                reviewer, triplet_id, verdict = said
                given.verdicts[triplet_id][reviewer] = verdict
        return given

    def _lines(self) -> Iterator[bytes]:
        if self.path.is_file():
            yield from (line for line in self.path.read_bytes().split(b"\n") if line)


def _parsed(line: bytes) -> tuple[str, str, str] | None:
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return None
    match said:
        case {"reviewer": str(reviewer), "triplet_id": str(triplet_id), "verdict": str(verdict)}:
            known = verdict in VERDICTS and "" != reviewer == reviewer_name(reviewer)
            return (reviewer, triplet_id, verdict) if known else None
        case _:
            return None
